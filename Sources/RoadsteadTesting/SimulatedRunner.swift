public import Durable
public import FoundationEssentials
import RegionKit
public import RegionStore

/// The parts of a region that a simulated process runs. Made anew, from the store alone, after each crash.
public protocol SimulatedRegion {
  var handlers: [any TaskHandler] { get }
  var consumers: [any EventConsumer] { get }
}

extension SimulatedRegion {
  public var consumers: [any EventConsumer] { [] }
}

/// Somebody outside the region that acts by itself: an agent that polls and reports, a user. Lives on when the region crashes.
public protocol SimulatedActor<Region> {
  associatedtype Region: SimulatedRegion
  /// When it acts next; in the past or now means at once. Nil: it has nothing to do until something else has happened. Asked before
  /// each step, so it may look at the region.
  func nextAction(now: Date, region: Region) async throws -> Date?
  /// One action. A call to the region may throw `SimulatedCrash`; let it out. Whether the call had its effect is then unknown, as it is
  /// to a real client.
  func act(now: Date, region: Region) async throws
}

/// Counts of what happened in a simulation.
public struct SimulationReport: Sendable, Equatable {
  public var steps = 0
  public var taskRuns = 0
  public var events = 0
  public var actions = 0
  public var crashes = 0
  public var commits = 0
}

/// Runs task handlers, event consumers and outside actors over a store, one step at a time on one thread, in an order that the seed
/// chooses. Time is a `VirtualClock` that jumps to the next thing due. The same seed gives the same run.
///
/// ```swift
/// let clock = VirtualClock()
/// let runner = try await SimulatedRunner(store: MemoryStore(clock: clock), clock: clock, seed: seed, plan: FaultPlan(.rough, seed: seed)) {
///   store in MyRegion(store: store, clock: clock, world: world)   // conforms to SimulatedRegion
/// }
/// runner.actors = agents
/// try await runner.region.createSomething()
/// try await runner.run { store in try await isTerminal(store) }
/// ```
public final class SimulatedRunner<Region: SimulatedRegion> {
  /// Survives crashes; use it for checks.
  public let store: any DurableStore
  public let clock: VirtualClock
  /// The process that lives now.
  public private(set) var region: Region
  /// What the living process sees as its store; dies with it.
  public private(set) var process: CrashingStore
  public var actors: [any SimulatedActor<Region>] = []
  public private(set) var report = SimulationReport()

  private let build: (any DurableStore) async throws -> Region
  private let plan: FaultPlan
  private var generator: SeededGenerator
  private var deliveries: [String: EventDelivery] = [:]
  private var lives = 0
  private let leaseSeconds = 30.0

  /// - Parameter build: makes the region's parts over the given store; called at the start and after each crash.
  public init(
    store: any DurableStore, clock: VirtualClock, seed: UInt64, plan: FaultPlan = FaultPlan(),
    build: @escaping (any DurableStore) async throws -> Region
  ) async throws {
    self.store = store
    self.clock = clock
    self.plan = plan
    self.build = build
    generator = SeededGenerator(seed: seed)
    let life = plan.life(0)
    process = CrashingStore(store, crashAt: life.crashAt, applied: life.applied)
    region = try await build(process)
    lives = 1
  }

  private enum Choice {
    case task(TaskRow, any TaskHandler)
    case event(any EventConsumer)
    case actor(Int)
  }

  /// Does one thing that is due, chosen by the seed, or moves time to the next thing due. False when nothing is due, ever.
  /// Throws what an actor or the inner store throws; crashes are handled inside.
  public func step() async throws -> Bool {
    report.steps += 1
    do {
      let now = clock.now()
      let (choices, next) = try await due(now)
      if choices.isEmpty {
        guard let next else { return false }
        clock.advance(to: max(next, now).addingTimeInterval(plan.lateness()))
        return true
      }
      try await perform(choices[generator.below(choices.count)], now)
    } catch let crash as SimulatedCrash {
      if !process.hasCrashed { throw crash }
    }
    if process.hasCrashed { try await restart() }
    return true
  }

  /// Steps until `finished` says so or nothing is due ever again. Throws `SimulationStuck` after `maximumSteps`.
  /// - Returns: true when `finished` said so.
  @discardableResult
  public func run(maximumSteps: Int = 100_000, until finished: (any DurableStore) async throws -> Bool = { _ in false }) async throws
    -> Bool
  {
    for _ in 0..<maximumSteps {
      if try await finished(store) { return true }
      if try await !step() { return try await finished(store) }
    }
    throw SimulationStuck(steps: maximumSteps, waiting: try await store.pendingTasks().map(\.id))
  }

  /// Kills the process now and starts the next one.
  public func crash() async throws {
    process.crash()
    try await restart()
  }

  private func restart() async throws {
    report.crashes += 1
    while true {
      report.commits += process.commitCount
      let life = plan.life(lives)
      lives += 1
      process = CrashingStore(store, crashAt: life.crashAt, applied: life.applied)
      deliveries = [:]
      do {
        _ = try await process.takeOverLeases(for: owner)
        region = try await build(process)
        return
      } catch is SimulatedCrash {
        report.crashes += 1
      }
    }
  }

  private var owner: String { "life-\(lives)" }

  private func due(_ now: Date) async throws -> (choices: [Choice], next: Date?) {
    var choices: [Choice] = []
    var next: Date?
    func wait(until date: Date) { next = min(next ?? date, date) }
    let handlers = Dictionary(region.handlers.map { ($0.kind, $0) }) { first, _ in first }
    let rows = try await store.pendingTasks()
    var busy: Set<TaskLane> = []
    for row in rows {
      if let end = row.leasedUntil, end > now {
        busy.insert(TaskLane(row))
        wait(until: end)
      }
    }
    for row in rows where (row.leasedUntil ?? now) <= now {
      guard let handler = handlers[row.kind] else { continue }
      if busy.contains(TaskLane(row)) { continue }
      if row.due <= now { choices.append(.task(row, handler)) } else { wait(until: row.due) }
    }
    for consumer in region.consumers {
      var delivery = try await delivery(consumer)
      if try await delivery.hasNext(in: store) { choices.append(.event(consumer)) }
      deliveries[consumer.name] = delivery
    }
    for (index, actor) in actors.enumerated() {
      guard let moment = try await actor.nextAction(now: now, region: region) else { continue }
      if moment <= now { choices.append(.actor(index)) } else { wait(until: moment) }
    }
    return (choices, next)
  }

  private func delivery(_ consumer: any EventConsumer) async throws -> EventDelivery {
    if let known = deliveries[consumer.name] { return known }
    return try await EventDelivery(consumer, store: store)
  }

  private func perform(_ choice: Choice, _ now: Date) async throws {
    switch choice {
    case .actor(let index):
      report.actions += 1
      try await actors[index].act(now: now, region: region)
    case .event(let consumer):
      report.events += 1
      var delivery = try await delivery(consumer)
      do {
        if plan.event() { try await delivery.rehearseNext(from: process) }
        _ = try await delivery.deliverNext(from: process)
      } catch is PositionMoved {
        // The delivery has read the position again.
      }
      deliveries[consumer.name] = delivery
    case .task(let row, let handler):
      try await run(row, handler, now)
    }
  }

  private func run(_ row: TaskRow, _ handler: any TaskHandler, _ now: Date) async throws {
    let fault = plan.task(row, report.taskRuns)
    report.taskRuns += 1
    // Whoever loses it is another than whoever claims it again.
    var lost = false
    if case .lost = fault { lost = true }
    let claim = ClaimRequest(
      kinds: [row.kind], owner: lost ? "lost-\(report.taskRuns)" : owner, now: now, leaseUntil: now.addingTimeInterval(leaseSeconds),
      limit: 1, only: row.id)
    guard let claimed = try await process.claimTasks(claim).tasks.first, !lost else { return }
    _ = try await TaskStep.quiet(store: process, clock: clock).run(claimed, FaultyHandler(inner: handler, fault: fault))
  }
}

/// The simulation did not come to an end.
public struct SimulationStuck: Error, Sendable, CustomStringConvertible {
  public let steps: Int
  public let waiting: [String]
  public var description: String { "not finished after \(steps) steps; tasks waiting: \(waiting.prefix(10))" }
}

struct FaultyHandler: TaskHandler {
  let inner: any TaskHandler
  let fault: TaskFault
  var kind: String { inner.kind }
  var maximumAttempts: Int { inner.maximumAttempts }
  var machineCollection: String? { inner.machineCollection }

  func run(_ task: ClaimedTask) async throws -> TaskOutcome {
    switch fault {
    case .none, .lost: return try await inner.run(task)
    case .repeated:
      // Whether it threw or not: nobody hears of the first run.
      do { _ = try await inner.run(task) } catch let crash as SimulatedCrash { throw crash } catch {}
      return try await inner.run(
        ClaimedTask(
          id: task.id, kind: task.kind, scope: task.scope, subject: task.subject, payload: task.payload,
          expectedVersion: task.expectedVersion, attempt: task.attempt + 1))
    case .failsBefore: throw InjectedFailure(description: "injected before \(task.id)")
    case .failsAfter:
      _ = try await inner.run(task)
      throw InjectedFailure(description: "injected after \(task.id)")
    }
  }
  func exhausted(_ task: ClaimedTask, error: any Error) async throws -> StoreCommit {
    try await inner.exhausted(task, error: error)
  }
}
