import Durable
import Foundation
import Logging
import RegionKit
import RegionStore
import RoadsteadTesting
import XCTest

/// The runner on virtual time: nothing here waits for a clock on the wall.
final class TaskRunnerTests: XCTestCase {
  private let clock = VirtualClock()
  private let quiet = Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() }

  private func runner(
    _ store: any DurableStore, _ handlers: [any TaskHandler], seed: UInt64 = 1, _ change: (inout TaskRunner.Options) -> Void = { _ in }
  ) -> TaskRunner {
    var options = TaskRunner.Options()
    change(&options)
    return TaskRunner(
      store: store, handlers: handlers, clock: clock, randomness: SeededRandomness(seed: seed), options: options, log: quiet)
  }

  /// Waits until the store holds no task any more.
  private func idle(_ store: any DurableStore) async throws {
    while try await !store.pendingTasks().isEmpty { await Task.yield() }
  }

  func testWorkDueNowStartsAtOnceAndLaterWorkExactlyWhenDue() async throws {
    let store = try SQLiteStore(inMemory: clock)
    let journal = Journal()
    let clock = clock
    let start = clock.now()
    let runner = runner(
      store,
      [
        Handler { task in
          journal.add("\(task.id) \(clock.now().timeIntervalSince(start))")
          return .done(StoreCommit())
        }
      ])
    try await runner.start()
    try await add(store, task("later", due: start.addingTimeInterval(90)), task("now", due: start))
    await journal.wait(for: 1)
    // Looks again after a minute in case the wall clock was set, then at the due time.
    await clock.sleepers(atLeast: 1)
    while journal.entries.count < 2 {
      if clock.advanceToNextSleeper() { await Task.yield() } else { await Task.yield() }
    }
    XCTAssertEqual(journal.entries, ["now 0.0", "later 90.0"])
    await runner.shutdown()
  }

  func testFailuresGrowTheDelayUntilExhausted() async throws {
    let store = MemoryStore(clock: clock)
    let journal = Journal()
    let clock = clock
    let start = clock.now()
    let runner = runner(
      store,
      [
        Handler(
          maximumAttempts: 4,
          body: { task in
            journal.add("run \(task.attempt) at \((clock.now().timeIntervalSince(start) * 10).rounded() / 10)")
            throw TaskFailure("broken")
          },
          giveUp: { _, error in
            journal.add("exhausted: \(error)")
            var commit = StoreCommit()
            try commit.put(Counter(count: -1), in: scope, id: "failed")
            return commit
          })
      ])
    try await runner.start()
    try await add(store, task("t", due: start))
    while journal.entries.count < 5 {
      // Not to the next renewal of the lease, which is 10 s away.
      if let next = clock.nextDeadline, next.timeIntervalSince(clock.now()) < 5 { clock.advance(to: next) }
      await Task.yield()
    }
    XCTAssertEqual(
      journal.entries, ["run 1 at 0.0", "run 2 at 0.1", "run 3 at 0.3", "run 4 at 0.7", "exhausted: broken"])
    try await idle(store)
    let failed = try await store.get(Counter.self, in: scope, id: "failed")
    XCTAssertEqual(failed?.value.count, -1)
    await runner.shutdown()
  }

  func testALostRaceRunsTheHandlerAgainAtOnce() async throws {
    let store = try SQLiteStore(inMemory: clock)
    var commit = StoreCommit()
    try commit.put(Counter(), in: scope, id: "c")
    try await store.commit(commit)
    let runner = runner(
      store,
      [
        Handler { _ in
          guard let stored = try await store.get(Counter.self, in: scope, id: "c") else { throw TaskFailure("gone") }
          await Task.yield()
          var commit = StoreCommit()
          try commit.put(Counter(count: stored.value.count + 1), in: scope, id: "c", expecting: .version(stored.version))
          return .done(commit)
        }
      ]
    ) { $0.concurrency = 4 }
    try await runner.start()
    var commitAll = StoreCommit()
    commitAll.tasks = (0..<200).map { task("t\($0)", due: clock.now()) }
    try await store.commit(commitAll)
    try await idle(store)
    let count = try await store.get(Counter.self, in: scope, id: "c")?.value.count
    XCTAssertEqual(count, 200, "each of 200 racing tasks counted once, without waiting")
    await runner.shutdown()
  }

  func testTasksOfOneSubjectNeverOverlapAndConcurrencyIsBounded() async throws {
    let store = try SQLiteStore(inMemory: clock)
    let running = Journal()
    let clock = clock
    let busy = Busy()
    let runner = runner(
      store,
      [
        Handler { task in
          XCTAssertTrue(busy.enter(task.subject), "two tasks of \(task.subject) at once")
          for _ in 0..<20 { await Task.yield() }
          busy.leave(task.subject)
          running.add(task.id)
          return .done(StoreCommit())
        }
      ]
    ) { $0.concurrency = 7 }
    try await runner.start()
    for batch in 0..<10 {
      var commit = StoreCommit()
      commit.tasks = (0..<30).map { task("t\(batch)-\($0)", subject: "s\($0 % 12)", due: clock.now()) }
      try await store.commit(commit)
    }
    await running.wait(for: 300)
    XCTAssertEqual(Set(running.entries).count, 300)
    XCTAssertLessThanOrEqual(busy.most, 7)
    XCTAssertGreaterThan(busy.most, 1)
    await runner.shutdown()
  }

  func testATaskOfAnEarlierVersionIsDropped() async throws {
    let store = MemoryStore(clock: clock)
    let journal = Journal()
    for _ in 0..<3 {
      var commit = StoreCommit()
      try commit.put(Counter(), in: scope, id: "m")
      try await store.commit(commit)
    }
    let runner = runner(
      store,
      [
        Handler(machineCollection: Counter.collection) { task in
          journal.add(task.id)
          return .done(StoreCommit())
        }
      ])
    try await add(
      store, task("old", subject: "m", due: clock.now(), expectedVersion: 2),
      task("gone", subject: "nobody", due: clock.now(), expectedVersion: 1),
      task("right", subject: "m", due: clock.now(), expectedVersion: 3))
    try await runner.start()
    try await idle(store)
    XCTAssertEqual(journal.entries, ["right"])
    await runner.shutdown()
  }

  func testALongRunKeepsItsLeaseAndANewProcessTakesOverADeadOnes() async throws {
    let store = try SQLiteStore(inMemory: clock)
    let (started, gate, journal) = (Gate(), Gate(), Journal())
    let slow = Handler { task in
      journal.add("slow \(task.attempt)")
      started.open()
      await gate.wait()
      return .done(StoreCommit())
    }
    let mortal = CrashingStore(store)
    let first = runner(mortal, [slow], seed: 1)
    try await add(store, task("t", due: clock.now()))
    try await first.start()
    await started.wait()
    // Two minutes, four leases long: renewals keep it.
    for _ in 0..<12 {
      await clock.sleepers(atLeast: 1)
      let until = try await store.pendingTasks().first?.leasedUntil
      clock.advance(by: 10)
      while try await store.pendingTasks().first?.leasedUntil == until { await Task.yield() }
    }
    let rival = runner(store, [slow], seed: 2) { $0.exclusive = false }
    try await rival.start()
    XCTAssertEqual(journal.entries, ["slow 1"], "a rival that shares the store respects the lease")
    await rival.shutdown()

    mortal.crash()
    let heir = runner(
      store,
      [
        Handler { task in
          journal.add("heir \(task.attempt)")
          return .done(StoreCommit())
        }
      ], seed: 3)
    try await heir.start()
    await journal.wait(for: 2)
    XCTAssertEqual(journal.entries, ["slow 1", "heir 2"], "the only process on a home takes over at once")
    gate.open()
    await heir.shutdown()
    await first.shutdown(grace: 0)
    let left = try await store.pendingTasks()
    XCTAssertEqual(left, [])
  }

  func testShutdownWaitsThenCancelsAndFreesTheRow() async throws {
    let store = try SQLiteStore(inMemory: clock)
    let started = Journal()
    let clock = clock
    let runner = runner(
      store,
      [
        Handler { _ in
          started.add("run")
          try await clock.sleepReal(1_000)
          return .done(StoreCommit())
        }
      ])
    try await add(store, task("t", due: clock.now()))
    try await runner.start()
    await started.wait(for: 1)
    await clock.sleepers(atLeast: 2)
    async let stopped: Void = runner.shutdown(grace: 5)
    await clock.sleepers(atLeast: 3)
    clock.advance(by: 5)
    await stopped
    let rows = try await store.pendingTasks()
    XCTAssertEqual(rows.map(\.owner), [nil])
    XCTAssertEqual(rows.map(\.failures), [0], "stopping is no failure of the task")
    XCTAssertEqual(rows.first?.due, clock.now().addingTimeInterval(-5))
  }

  func testDelays() {
    XCTAssertEqual((1...5).map(TaskStep.delay), [0.1, 0.2, 0.4, 0.8, 1.6])
    XCTAssertEqual(TaskStep.delay(afterFailures: 1_000), 60)
  }
}

/// Who is at work, and how many were at most.
private final class Busy: @unchecked Sendable {
  private let lock = NSLock()
  private var names: Set<String> = []
  private(set) var most = 0
  func enter(_ name: String) -> Bool {
    lock.withLock {
      defer { most = max(most, names.count) }
      return names.insert(name).inserted
    }
  }
  func leave(_ name: String) { _ = lock.withLock { names.remove(name) } }
}
