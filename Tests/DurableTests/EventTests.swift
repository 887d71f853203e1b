import Durable
import FoundationEssentials
import Logging
import RegionKit
import RegionStore
import RoadsteadTesting
import XCTest

private struct Consumer: EventConsumer {
  let name: String
  var wanted: @Sendable (RegionEvent) -> Bool = { _ in true }
  let body: @Sendable (RegionEvent) async throws -> StoreCommit
  func wants(_ event: RegionEvent) -> Bool { wanted(event) }
  func consume(_ event: RegionEvent) async throws -> StoreCommit { try await body(event) }
}

final class EventTests: XCTestCase {
  private let clock = VirtualClock()
  private let quiet = Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() }

  private func publish(_ store: any RegionStore, _ ids: String...) async throws {
    var commit = StoreCommit()
    commit.events = ids.map {
      RegionEvent(id: $0, source: "test", detailType: "T", scope: scope, time: clock.now(), resources: [], detail: "{}")
    }
    try await store.commit(commit)
  }
  private static func count(_ store: any DurableStore, _ event: RegionEvent) async throws -> StoreCommit {
    let stored = try await store.get(Counter.self, in: scope, id: event.id)
    var commit = StoreCommit()
    try commit.put(Counter(count: (stored?.value.count ?? 0) + 1), in: scope, id: event.id)
    return commit
  }

  func testEventsArriveInOrderAndOnceInEffectAcrossRestarts() async throws {
    let store = try SQLiteStore(inMemory: clock)
    let journal = Journal()
    for round in 0..<3 {
      let dispatcher = EventDispatcher(
        store: store,
        consumers: [
          Consumer(name: "all") { event in
            journal.add(event.id)
            return try await Self.count(store, event)
          },
          Consumer(name: "none", wanted: { _ in false }) { _ in
            XCTFail("unwanted event")
            return StoreCommit()
          },
        ], clock: clock, log: quiet)
      await dispatcher.start()
      for number in 0..<50 { try await publish(store, "e\(round)-\(number)") }
      await journal.wait(for: (round + 1) * 50)
      // Its commit may still be on the way when the process stops; what was not committed comes again.
      while try await store.get(Counter.self, in: scope, id: "e\(round)-49") == nil { await Task.yield() }
      await dispatcher.shutdown()
    }
    XCTAssertEqual(journal.entries, (0..<3).flatMap { round in (0..<50).map { "e\(round)-\($0)" } })
    let counters = try await store.list(Counter.self, in: scope)
    XCTAssertEqual(counters.count, 150)
    XCTAssertTrue(counters.allSatisfy { $0.value.count == 1 })
  }

  func testAFailingConsumerHoldsUpOnlyItselfAndAPoisonEventIsSetAside() async throws {
    let store = MemoryStore(clock: clock)
    let (good, bad) = (Journal(), Journal())
    let dispatcher = EventDispatcher(
      store: store,
      consumers: [
        Consumer(name: "good") {
          good.add($0.id)
          return StoreCommit()
        },
        Consumer(name: "bad") {
          bad.add($0.id)
          if $0.id == "poison" { throw TaskFailure("indigestible") }
          return StoreCommit()
        },
      ], clock: clock, maximumAttempts: 3, log: quiet)
    await dispatcher.start()
    try await publish(store, "a", "poison", "z")
    await good.wait(for: 3)
    while bad.entries.count < 5 {
      // The hourly cleaner sleeps too; only short sleeps are the retries.
      if let next = clock.nextDeadline, next.timeIntervalSince(clock.now()) < 60 { clock.advance(to: next) }
      await Task.yield()
    }
    XCTAssertEqual(bad.entries, ["a", "poison", "poison", "poison", "z"])
    let rows = try await store.quarantined()
    XCTAssertEqual(rows.map(\.key.collection), ["undelivered.bad"])
    XCTAssertEqual(rows.map(\.reason), ["indigestible"])
    await dispatcher.shutdown()
  }
}

final class ReconcilerTests: XCTestCase {
  private struct Watcher: Reconciler {
    let name = "watcher"
    let period = 300.0
    let store: any DurableStore
    let body: @Sendable (StoreKey) async throws -> Void
    func keys() async throws -> [StoreKey] {
      try await store.listAll(Counter.self).map { StoreKey(scope: $0.scope, collection: Counter.collection, id: $0.id) }
    }
    func keys(touchedBy commit: CommitSummary) -> [StoreKey] { commit.keys.filter { $0.collection == Counter.collection } }
    func reconcile(_ key: StoreKey) async throws { try await body(key) }
  }

  func testStartPeriodTouchAndRetry() async throws {
    let clock = VirtualClock()
    let store = MemoryStore(clock: clock)
    let journal = Journal()
    func put(_ id: String) async throws {
      var commit = StoreCommit()
      try commit.put(Counter(), in: scope, id: id)
      try await store.commit(commit)
    }
    try await put("a")
    let runner = ReconcilerRunner(
      Watcher(store: store) { key in
        journal.add(key.id)
        if key.id == "bad", journal.entries.filter({ $0 == "bad" }).count < 3 { throw TaskFailure("not yet") }
      }, store: store, clock: clock, log: Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() })
    await runner.start()
    await journal.wait(for: 1)
    try await put("b")
    await journal.wait(for: 2)
    XCTAssertEqual(journal.entries, ["a", "b"], "at start and when touched")
    await clock.sleepers(atLeast: 1)
    clock.advance(by: 300)
    await journal.wait(for: 4)
    XCTAssertEqual(journal.entries[2...].sorted(), ["a", "b"], "everything once a period")
    try await put("bad")
    while journal.entries.count < 7 {
      if let next = clock.nextDeadline, next.timeIntervalSince(clock.now()) < 60 { clock.advance(to: next) }
      await Task.yield()
    }
    XCTAssertEqual(journal.entries[4...], ["bad", "bad", "bad"], "retried until it succeeds")
    await runner.shutdown()
  }
}
