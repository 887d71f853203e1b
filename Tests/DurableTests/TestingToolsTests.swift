import Durable
import FoundationEssentials
import RegionKit
import RegionStore
import RoadsteadTesting
import XCTest

/// The tools that other tests stand on.
final class TestingToolsTests: XCTestCase {
  func testSleepersWakeWhenTheirTimeHasComeAndNotBefore() async throws {
    let clock = VirtualClock()
    let start = clock.now()
    let journal = Journal()
    for (index, seconds) in [30.0, 10, 20, 10].enumerated() {
      Task {
        try await clock.sleepReal(seconds)
        journal.add("\(Int(seconds))")
      }
      await clock.sleepers(atLeast: index + 1)
    }
    clock.advance(by: 9.9)
    XCTAssertEqual(clock.sleeperCount, 4)
    XCTAssertTrue(clock.advanceToNextSleeper())
    await journal.wait(for: 2)
    XCTAssertEqual(journal.entries, ["10", "10"])
    XCTAssertEqual(clock.now().timeIntervalSince(start), 10, accuracy: 1e-6)
    clock.advance(by: 100)
    await journal.wait(for: 4)
    XCTAssertEqual(Set(journal.entries[2...]), ["20", "30"])
    XCTAssertFalse(clock.advanceToNextSleeper(), "nobody sleeps")
    clock.advance(to: start)
    XCTAssertGreaterThan(clock.now(), start, "time never goes back")
  }

  func testCancelledSleepersEnd() async {
    let clock = VirtualClock()
    let asleep = Task { try await clock.sleepReal(5) }
    await clock.sleepers(atLeast: 1)
    asleep.cancel()
    let result = await asleep.result
    XCTAssertThrowsError(try result.get()) { XCTAssertTrue($0 is CancellationError) }
    XCTAssertEqual(clock.sleeperCount, 0)
    let early = Task {
      while !Task.isCancelled { await Task.yield() }
      try await clock.sleepReal(5)
    }
    early.cancel()
    let other = await early.result
    XCTAssertThrowsError(try other.get())
  }

  func testAutomaticTimeAndTimeScale() async throws {
    let clock = VirtualClock(mode: .automatic, timeScale: 60)
    let start = clock.now()
    try await clock.sleepReal(5)
    try await clock.sleepScaled(300)
    XCTAssertEqual(clock.now().timeIntervalSince(start), 10, accuracy: 1e-6)
  }

  func testTheSameSeedGivesTheSameSequence() {
    var generator = SeededGenerator(seed: 0)
    XCTAssertEqual(generator.next(), 0xE220_A839_7B1D_CDAF, "the first number of SplitMix64 for seed 0")
    XCTAssertEqual(SeededRandomness(seed: 4).hex(40), SeededRandomness(seed: 4).hex(40))
    XCTAssertNotEqual(SeededRandomness(seed: 4).hex(40), SeededRandomness(seed: 5).hex(40))
    var hits = 0
    for _ in 0..<10_000 where generator.chance(0.25) { hits += 1 }
    XCTAssertEqual(Double(hits), 2_500, accuracy: 250)
  }

  func testACrashingStoreDiesAtItsCommit() async throws {
    for applied in [true, false] {
      let inner = MemoryStore()
      let store = CrashingStore(inner, crashAt: 2, applied: applied)
      func put(_ id: String) async throws {
        var commit = StoreCommit()
        try commit.put(Counter(), in: scope, id: id)
        try await store.commit(commit)
      }
      try await put("a")
      do {
        try await put("b")
        XCTFail("it lives on")
      } catch is SimulatedCrash {}
      do {
        _ = try await store.get(Counter.self, in: scope, id: "a")
        XCTFail("the dead read")
      } catch is SimulatedCrash {}
      let left = try await inner.list(Counter.self, in: scope)
      XCTAssertEqual(left.map(\.id), applied ? ["a", "b"] : ["a"])
      XCTAssertEqual(store.commitCount, applied ? 2 : 1)
    }
  }

  func testChangesWakeALongPoll() async throws {
    for store in [MemoryStore(), try SQLiteStore(inMemory: VirtualClock())] as [any DurableStore] {
      let changes = store.changes { $0.keys.contains { $0.id == "watched" } }
      for id in ["other", "watched", "other"] {
        var commit = StoreCommit()
        try commit.put(Counter(), in: scope, id: id)
        try await store.commit(commit)
      }
      var iterator = changes.makeAsyncIterator()
      let woken: Void? = await iterator.next()
      XCTAssertNotNil(woken)
    }
  }
}
