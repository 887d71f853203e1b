import FoundationEssentials
import RegionKit
import RegionStore

extension StoreContractSuite {
  static let zero = Date(timeIntervalSince1970: 1_000_000)
  static func at(_ seconds: Double) -> Date { zero.addingTimeInterval(seconds) }

  static func task(_ id: String, kind: String = "k", subject: String? = nil, due: Double = 0) -> NewTask {
    NewTask(id: id, kind: kind, scope: here, subject: subject ?? id, payload: [0, 255, 10], due: at(due), expectedVersion: 3)
  }
  static func event(_ id: String, time: Double = 0) -> RegionEvent {
    RegionEvent(
      id: id, source: "aws.test", detailType: "Test", scope: here, time: at(time), resources: ["r"], detail: #"{"a":"ü"}"#)
  }
  static func add(_ store: any DurableStore, _ tasks: [NewTask]) async throws {
    var commit = StoreCommit()
    commit.tasks = tasks
    try await store.commit(commit)
  }
  static func claim(
    _ store: any DurableStore, by owner: String = "me", now: Double = 0, limit: Int = 10, kinds: Set<String> = ["k"],
    only: String? = nil
  ) async throws -> ClaimResult {
    try await store.claimTasks(
      ClaimRequest(kinds: kinds, owner: owner, now: at(now), leaseUntil: at(now + 30), limit: limit, only: only))
  }
  static func expectLost(_ rule: String, _ body: () async throws -> Void) async throws {
    do { try await body() } catch is LeaseLost { return }
    throw StoreContractViolation(rule: rule, found: "no LeaseLost")
  }

  static let taskRules: [Rule] = [
    (
      "due tasks are claimed in order, once, and the next due time is told",
      { store in
        try await add(store, [task("late", due: 50), task("b", due: 1), task("a", due: 1), task("first")])
        try await add(store, [task("a", due: 0), task("foreign", kind: "other")])
        let one = try await claim(store, now: 1, limit: 2)
        try expectEqual(one.tasks.map(\.id), ["first", "b"], "order and limit")
        try expectEqual(one.tasks.first?.payload, [0, 255, 10], "payload")
        try expectEqual(one.tasks.first?.expectedVersion, 3, "expected version")
        try expectEqual(one.next, at(1), "more is due")
        let two = try await claim(store, now: 1)
        try expectEqual(two.tasks.map(\.id), ["a"], "a second add of an id changes nothing")
        try expectEqual(two.next, at(50), "the next due time; its own leases do not wake it")
        try expectEqual(try await claim(store, by: "rival", now: 1).next, at(31), "others' leases do")
        try expectEqual(try await claim(store, now: 1, kinds: ["unknown"]).next, nil, "nothing of a kind")
        let only = try await claim(store, now: 60, kinds: ["k", "other"], only: "foreign")
        try expectEqual(only.tasks.map(\.id), ["foreign"], "only this one")
      }
    ),
    (
      "tasks of one kind and subject are claimed one after another",
      { store in
        try await add(store, [task("a1", subject: "a"), task("a2", subject: "a"), task("b", subject: "b")])
        try await add(store, [task("a3", kind: "k2", subject: "a")])
        let first = try await claim(store, kinds: ["k", "k2"])
        try expectEqual(first.tasks.map(\.id), ["a1", "b", "a3"], "one of a lane")
        try expectEqual(try await claim(store, kinds: ["k", "k2"]).tasks.count, 0, "the lane is busy")
        guard let lease = first.tasks.first?.lease else { throw StoreContractViolation(rule: "lease", found: "none") }
        try await store.commit(StoreCommit(), ending: lease)
        try expectEqual(try await claim(store).tasks.map(\.id), ["a2"], "the lane is free")
      }
    ),
    (
      "a lease ends, is renewed, is taken over, and a void one changes nothing",
      { store in
        try await add(store, [task("a")])
        guard let old = try await claim(store, by: "old").tasks.first?.lease else {
          throw StoreContractViolation(rule: "lease", found: "none")
        }
        try expectEqual(try await store.renewLeases([old], until: at(40)), [], "renewed")
        try expectEqual(try await claim(store, by: "new", now: 39.9).tasks.count, 0, "still leased")
        try expectEqual(try await claim(store, by: "old", now: 99).tasks.count, 0, "late renewal is no second claim")
        let again = try await claim(store, by: "new", now: 40)
        try expectEqual(again.tasks.map(\.attempt), [2], "attempt after the lease ended")
        var commit = StoreCommit()
        try commit.put(Item(name: "ghost"), in: here, id: "ghost")
        let late = commit
        try await expectLost("commit") { try await store.commit(late, ending: old) }
        try await expectLost("reschedule") { try await store.reschedule(old, due: at(0), failures: 1, error: "x") }
        try expectEqual(try await store.renewLeases([old], until: at(99)), [old], "renewal of a void lease")
        try expectEqual(try await ids(store, StoreQuery()), [], "a void commit changed nothing")
        try expectEqual(try await store.takeOverLeases(for: "new"), 0, "own leases stay")
        try expectEqual(try await store.takeOverLeases(for: "third"), 1, "others' leases are void")
        try expectEqual(try await claim(store, by: "third", now: 40).tasks.map(\.attempt), [3], "claimed at once")
      }
    ),
    (
      "rescheduling and ending",
      { store in
        try await add(store, [task("a"), task("b")])
        let leases = try await claim(store).tasks.compactMap(\.lease)
        try await store.reschedule(leases[0], due: at(5.25), failures: 2, error: "broken")
        let row = try await store.pendingTasks().first { $0.id == "a" }
        try expectEqual(row?.due, at(5.25), "due")
        try expectEqual(row?.failures, 2, "failures")
        try expectEqual(row?.lastError, "broken", "error")
        try expectEqual(row?.owner, nil, "owner")
        var commit = StoreCommit()
        commit.tasks = [task("b", due: 9)]
        commit.finishedTasks = ["a", "unknown"]
        try await store.commit(commit, ending: leases[1])
        let left = try await store.pendingTasks()
        try expectEqual(left.map(\.id), ["b"], "a task may schedule itself anew")
        try expectEqual(left.first?.due, at(9), "its new due time")
        try expectEqual(left.first?.attempt, 0, "it begins anew")
        try await expectLost("ended twice") { try await store.commit(StoreCommit(), ending: leases[1]) }
      }
    ),
    (
      "a conflict leaves the claimed task alone",
      { store in
        try await add(store, [task("a")])
        let leases = try await claim(store).tasks.compactMap(\.lease)
        var commit = StoreCommit()
        commit.require(Item.self, in: here, id: "no", .present)
        let refused = commit
        try await expectConflict("refused") { try await store.commit(refused, ending: leases[0]) }
        try expectEqual(try await store.pendingTasks().map(\.owner), ["me"], "still claimed")
      }
    ),
  ]

  static let eventRules: [Rule] = [
    (
      "events are read in order, pruned, and positions move with a commit",
      { store in
        for number in 1...5 {
          var commit = StoreCommit()
          commit.events = [event("e\(number)", time: Double(number))]
          try await store.commit(commit)
        }
        let all = try await store.events(after: 0, limit: 3)
        try expectEqual(all.events.map(\.event.id), ["e1", "e2", "e3"], "first page")
        try expectEqual(all.events.first?.event, event("e1", time: 1), "whole")
        let rest = try await store.events(after: all.scannedTo, limit: 9)
        try expectEqual(rest.events.map(\.event.id), ["e4", "e5"], "second page")
        try expectEqual(try await store.events(after: rest.scannedTo, limit: 9).scannedTo, rest.scannedTo, "the end")

        try expectEqual(try await store.consumerPosition("c"), 0, "a new consumer")
        var commit = StoreCommit()
        try commit.put(Item(name: "x"), in: here, id: "x", expecting: .absent)
        let first = all.events[0].position
        let applied = commit
        try await store.commit(applied, advancing: ConsumerAdvance(consumer: "c", from: 0, to: first))
        do {
          try await store.commit(StoreCommit(), advancing: ConsumerAdvance(consumer: "c", from: 0, to: first))
          throw StoreContractViolation(rule: "an event is applied once", found: "twice")
        } catch is PositionMoved {}
        try await expectConflict("conflict keeps the position") {
          try await store.commit(applied, advancing: ConsumerAdvance(consumer: "c", from: first, to: first + 1))
        }
        try expectEqual(try await store.consumerPosition("c"), first, "position")
        try expectEqual(try await store.pruneEvents(through: all.scannedTo, before: at(2.5)), 2, "pruned")
        try expectEqual(try await store.events(after: 0, limit: 9).events.map(\.event.id), ["e3", "e4", "e5"], "left")
      }
    ),
    (
      "observers hear of commits",
      { store in
        let heard = Heard()
        store.observe(heard)
        var commit = StoreCommit()
        try commit.put(Item(name: "x"), in: here, id: "x")
        commit.tasks = [task("late", due: 7), task("soon", due: 2)]
        commit.events = [event("e")]
        try await store.commit(commit)
        let summary = heard.summaries.with { $0.last }
        try expectEqual(summary?.keys.map(\.id), ["x"], "keys")
        try expectEqual(summary?.earliestTask, at(2), "earliest task")
        try expectEqual(summary?.events.map(\.id), ["e"], "events")
        let count = heard.summaries.with { $0.count }
        var refused = StoreCommit()
        refused.require(Item.self, in: here, id: "x", .absent)
        let conflicting = refused
        try await expectConflict("refused") { try await store.commit(conflicting) }
        try expectEqual(heard.summaries.with { $0.count }, count, "nothing to hear of a refused commit")
      }
    ),
  ]

  private final class Heard: StoreObserver {
    let summaries = Guarded<[CommitSummary]>([])
    func storeDidCommit(_ summary: CommitSummary) { summaries.with { $0.append(summary) } }
  }
}
