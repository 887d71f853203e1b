import Durable
import FoundationEssentials
import RegionKit
import RegionStore
import RoadsteadTesting
import XCTest

/// A door that opens slowly: enough of a machine to prove the suite that real machines inherit.
private struct Door: Machine, Equatable {
  static let collection = "test.door"
  enum State: String, Codable, Sendable { case closed, opening, open, broken }
  var state: State = .closed
}

private enum Steps {
  static let begin = Transition<Door, Void>("begin", from: [.closed], to: .opening)
  static let finish = Transition<Door, Void>("finish", from: [.opening], to: .open)
  static let fail = Transition<Door, Void>("fail", from: [.opening], to: .broken)
}

/// The world: motors that must run once for each door.
private final class Motors: Sendable {
  let runs = Journal()
}

private struct DoorRegion: SimulatedRegion {
  let handlers: [any TaskHandler]
  let consumers: [any EventConsumer]
}

private struct OpenDoor: TaskHandler {
  let store: any DurableStore
  let motors: Motors
  let clock: any RegionClock
  /// False: a mistake that the suite must find.
  let looksFirst: Bool
  let kind = "door.open"
  let maximumAttempts = 3
  let machineCollection: String? = Door.collection

  func run(_ task: ClaimedTask) async throws -> TaskOutcome {
    guard let door = try await store.get(Door.self, in: task.scope, id: task.subject) else { throw TaskFailure("no door") }
    if !looksFirst || !motors.runs.entries.contains(task.subject) { motors.runs.add(task.subject) }
    var decision = Decision(try Steps.finish(door.value))
    decision.events = [
      RegionEvent(
        id: "\(task.id)-opened", source: "test", detailType: "Door Opened", scope: task.scope, time: clock.now(),
        resources: [task.subject], detail: "{}")
    ]
    return .done(try decision.commit(replacing: door))
  }
  func exhausted(_ task: ClaimedTask, error: any Error) async throws -> StoreCommit {
    guard let door = try await store.get(Door.self, in: task.scope, id: task.subject) else { return StoreCommit() }
    return try Decision(try Steps.fail(door.value)).commit(replacing: door)
  }
}

private struct CountOpened: EventConsumer {
  let store: any DurableStore
  let name = "count-opened"
  func wants(_ event: RegionEvent) -> Bool { event.detailType == "Door Opened" }
  func consume(_ event: RegionEvent) async throws -> StoreCommit {
    let counter = try await store.get(Counter.self, in: scope, id: "opened")
    var commit = StoreCommit()
    try commit.put(
      Counter(count: (counter?.value.count ?? 0) + 1), in: scope, id: "opened",
      expecting: counter.map { .version($0.version) } ?? .absent)
    return commit
  }
}

private struct Doors: MachineScenario {
  var count = 3
  var looksFirst = true
  let motors = Motors()

  func makeRegion(_ store: any DurableStore, clock: VirtualClock) async throws -> DoorRegion {
    DoorRegion(
      handlers: [OpenDoor(store: store, motors: motors, clock: clock, looksFirst: looksFirst)],
      consumers: [CountOpened(store: store)])
  }
  func begin(_ region: DoorRegion, _ store: any DurableStore, clock: VirtualClock) async throws {
    for number in 0..<count {
      var commit = StoreCommit()
      try commit.put(Door(), in: scope, id: "d\(number)", expecting: .absent)
      try await store.commit(commit)
      try await store.transition(Door.self, in: scope, id: "d\(number)") { door in
        Decision(
          try Steps.begin(door.value),
          tasks: [
            NewTask(
              id: "open-d\(number)", kind: "door.open", scope: scope, subject: "d\(number)",
              due: clock.now().addingTimeInterval(Double(number)), expectedVersion: door.nextVersion)
          ])
      }
    }
  }
  func check(_ store: any DurableStore) async throws {
    let doors = try await store.list(Door.self, in: scope)
    guard doors.allSatisfy({ $0.value.state == .open && $0.version == 3 }) else { throw TaskFailure("doors are \(doors)") }
    let opened = try await store.get(Counter.self, in: scope, id: "opened")?.value.count
    guard opened == count else { throw TaskFailure("counted \(opened ?? 0) events for \(count) doors") }
    guard motors.runs.entries.sorted() == doors.map(\.id) else { throw TaskFailure("motors ran \(motors.runs.entries)") }
  }
  func checkFailed(_ store: any DurableStore, failing kind: String) async throws {
    let doors = try await store.list(Door.self, in: scope)
    guard doors.allSatisfy({ $0.value.state == .broken }) else { throw TaskFailure("doors are \(doors)") }
    guard motors.runs.entries.isEmpty else { throw TaskFailure("a motor ran") }
  }
}

final class MachineTests: XCTestCase {
  func testTheSuiteHoldsForASoundMachine() async throws {
    let report = try await MachineContractSuite.run { Doors() }
    XCTAssertEqual(report.commits, 6, "one for each door and one for each event")
    XCTAssertEqual(report.taskRuns, 3)
    XCTAssertEqual(report.tellings, 1 + 2 * 6 + 1 + 3 * 3 + 1)
  }

  func testTheSuiteFindsAnEffectThatIsNotRepeatable() async throws {
    do {
      try await MachineContractSuite.run { Doors(looksFirst: false) }
      XCTFail("a motor that runs twice after a crash went unnoticed")
    } catch let violation as MachineContractViolation {
      XCTAssertTrue(violation.telling.hasPrefix("crash before commit"), violation.telling)
    }
  }

  func testSeededSimulationsRepeatAndHold() async throws {
    func tell(_ seed: UInt64) async throws -> SimulationReport {
      let (clock, doors) = (VirtualClock(), Doors(count: 5))
      let store = MemoryStore(clock: clock)
      let runner = try await SimulatedRunner(
        store: store, clock: clock, seed: seed, plan: FaultPlan(roughButNeverExhausting, seed: seed)
      ) { try await doors.makeRegion($0, clock: clock) }
      while true {
        do {
          try await doors.begin(runner.region, store, clock: clock)
          break
        } catch is SimulatedCrash { try await runner.crash() }
      }
      try await runner.run()
      try await doors.check(store)
      return runner.report
    }
    var crashes = 0
    for seed in 1...300 as ClosedRange<UInt64> {
      let report = try await tell(seed)
      crashes += report.crashes
      if seed % 50 == 0 {
        let again = try await tell(seed)
        XCTAssertEqual(report, again, "seed \(seed) does not repeat")
      }
    }
    XCTAssertGreaterThan(crashes, 50)
  }

  /// Three failures in a row would break a door, rightly; so here nothing fails, it only is lost, repeated and killed.
  private var roughButNeverExhausting: SimulationFaults {
    var faults = SimulationFaults.rough
    (faults.failsBefore, faults.failsAfter, faults.crash, faults.lostTask) = (0, 0, 0.1, 0.2)
    return faults
  }

  func testTransitionsNameTheLegalStates() throws {
    XCTAssertThrowsError(try Steps.finish(Door(state: .closed))) {
      XCTAssertEqual("\($0)", "test.door is closed; finish is possible only from opening")
    }
    XCTAssertEqual(try Steps.begin(Door()).state, .opening)
  }

  func testTransitionRetriesLostRaces() async throws {
    let store = try SQLiteStore(inMemory: VirtualClock())
    var commit = StoreCommit()
    try commit.put(Counter(), in: scope, id: "c")
    try await store.commit(commit)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<16 {
        group.addTask {
          for _ in 0..<25 {
            try await store.transition(Counter.self, in: scope, id: "c", maximumRetries: 10_000) {
              Decision(Counter(count: $0.value.count + 1))
            }
          }
        }
      }
      try await group.waitForAll()
    }
    let counter = try await store.get(Counter.self, in: scope, id: "c")
    XCTAssertEqual(counter?.value.count, 400)
    XCTAssertEqual(counter?.version, 401)
    do {
      try await store.transition(Counter.self, in: scope, id: "nobody") { Decision($0.value) }
      XCTFail("a missing record went unnoticed")
    } catch is RecordMissing {}
  }
}
