public import RegionStore

/// One story of a machine kind, told again and again with crashes, repetitions and failures.
public protocol MachineScenario {
  associatedtype Region: SimulatedRegion
  /// Makes the region's parts over a store, from the store alone; called anew after each crash. What the handlers do to the outside world
  /// belongs into objects that the scenario itself holds: they survive.
  func makeRegion(_ store: any DurableStore, clock: VirtualClock) async throws -> Region
  /// Those who act from outside, if any.
  func makeActors() -> [any SimulatedActor<Region>]
  /// The request that begins the story. No crash happens in it.
  func begin(_ region: Region, _ store: any DurableStore, clock: VirtualClock) async throws
  /// Throws unless the story ended well: the machine is in its good final state and each effect happened as often as it may.
  func check(_ store: any DurableStore) async throws
  /// Throws unless the story ended as it must when every run of tasks of one kind fails: usually the machine's failed state.
  func checkFailed(_ store: any DurableStore, failing kind: String) async throws
  /// True when the story is over; by default when nothing is due any more.
  func isOver(_ store: any DurableStore) async throws -> Bool
}

extension MachineScenario {
  public func makeActors() -> [any SimulatedActor<Region>] { [] }
  public func isOver(_ store: any DurableStore) async throws -> Bool { false }
}

/// Which telling of the story went wrong, and how.
public struct MachineContractViolation: Error, Sendable, CustomStringConvertible {
  public let telling: String
  public let cause: any Error
  public var description: String { "\(telling): \(cause)" }
}

/// The tests that every machine kind inherits:
/// 1. the plain story, counting its n commits;
/// 2. for each k in 1...n: the process dies at commit k, once with that commit applied and once without;
/// 3. every task runs twice and every event arrives twice;
/// 4. each handler run in turn throws, once before and once after its effect;
/// 5. for each kind of task: every run of it throws, until it is exhausted.
///
/// A machine passes when `check` (in 5: `checkFailed`) holds after each. The first violation is thrown with the telling it happened in.
public struct MachineContractSuite {
  public struct Report: Sendable, Equatable {
    public var commits = 0
    public var taskRuns = 0
    public var tellings = 0
  }

  /// - Parameter make: a scenario with a new world; called for each telling.
  @discardableResult
  public static func run<Scenario: MachineScenario>(
    seed: UInt64 = 1, maximumSteps: Int = 100_000, _ make: @escaping () -> Scenario
  ) async throws -> Report {
    let suite = Telling(seed: seed, maximumSteps: maximumSteps, make: make)
    var report = Report()
    let plain = try await suite.tell("the plain story", FaultPlan())
    report.commits = plain.commits
    report.taskRuns = plain.taskRuns
    report.tellings = 1

    for commit in stride(from: 1, through: plain.commits, by: 1) {
      for applied in [true, false] {
        var plan = FaultPlan()
        plan.life = { $0 == 0 ? (commit, applied) : (nil, true) }
        _ = try await suite.tell("crash \(applied ? "after" : "before") commit \(commit) of \(plain.commits)", plan)
        report.tellings += 1
      }
    }
    var twice = FaultPlan()
    twice.task = { _, _ in .repeated }
    twice.event = { true }
    _ = try await suite.tell("each task and event twice", twice)
    report.tellings += 1

    for failing in 0..<plain.taskRuns {
      for fault in [TaskFault.failsBefore, .failsAfter, .lost] {
        var plan = FaultPlan()
        plan.task = { _, index in index == failing ? fault : .none }
        _ = try await suite.tell("task run \(failing + 1) of \(plain.taskRuns) \(fault)", plan)
        report.tellings += 1
      }
    }
    for kind in plain.kinds.sorted() {
      var plan = FaultPlan()
      plan.task = { row, _ in row.kind == kind ? .failsBefore : .none }
      _ = try await suite.tell("every \(kind) fails", plan, failing: kind)
      report.tellings += 1
    }
    return report
  }

  private struct Telling<Scenario: MachineScenario> {
    let seed: UInt64
    let maximumSteps: Int
    let make: () -> Scenario

    func tell(_ name: String, _ plan: FaultPlan, failing kind: String? = nil) async throws -> (
      commits: Int, taskRuns: Int, kinds: Set<String>
    ) {
      let kinds = Guarded<Set<String>>([])
      var watched = plan
      watched.task = { row, index in
        kinds.with { _ = $0.insert(row.kind) }
        return plan.task(row, index)
      }
      do {
        let scenario = make()
        let clock = VirtualClock()
        let store = MemoryStore(clock: clock)
        let opening = CrashingStore(store)
        let region = try await scenario.makeRegion(opening, clock: clock)
        try await scenario.begin(region, opening, clock: clock)
        let runner = try await SimulatedRunner(store: store, clock: clock, seed: seed, plan: watched) { process in
          try await scenario.makeRegion(process, clock: clock)
        }
        runner.actors = scenario.makeActors()
        try await runner.run(maximumSteps: maximumSteps) { try await scenario.isOver($0) }
        if let kind {
          try await scenario.checkFailed(store, failing: kind)
        } else {
          try await scenario.check(store)
        }
        return (runner.process.commitCount, runner.report.taskRuns, kinds.with { $0 })
      } catch {
        throw MachineContractViolation(telling: name, cause: error)
      }
    }
  }
}
