public import RegionStore

/// What goes wrong with one run of a task.
public enum TaskFault: Sendable {
  case none
  /// The runner that claimed the row is gone before it did anything: the row is free again when the lease ends.
  case lost
  /// The handler runs twice; what the first run decided is thrown away, its effect on the world stays.
  case repeated
  /// The handler's work fails before it has begun.
  case failsBefore
  /// The handler throws after it has had its effect.
  case failsAfter
}

/// Probabilities, each 0 to 1, of what may go wrong in a seeded simulation.
public struct SimulationFaults: Sendable {
  public var lostTask = 0.0
  public var repeatedTask = 0.0
  public var failsBefore = 0.0
  public var failsAfter = 0.0
  /// An event is given to its consumer twice; what it decided first is thrown away.
  public var repeatedEvent = 0.0
  /// For each commit: the process dies at it. Half of these commits are applied, half are lost.
  public var crash = 0.0
  /// When time moves on, it moves up to this many seconds too far, so that work is late.
  public var maximumLateness = 0.0
  public init() {}

  /// Everything goes wrong now and then.
  public static var rough: SimulationFaults {
    var faults = SimulationFaults()
    faults.lostTask = 0.02
    faults.repeatedTask = 0.05
    faults.failsBefore = 0.05
    faults.failsAfter = 0.05
    faults.repeatedEvent = 0.05
    faults.crash = 0.02
    faults.maximumLateness = 2
    return faults
  }
}

/// Decides, run by run, what goes wrong.
public struct FaultPlan: Sendable {
  /// - Parameters: the row as it is before it is claimed, and how many handler runs there were before.
  public var task: @Sendable (TaskRow, Int) -> TaskFault = { _, _ in .none }
  /// True to hand the consumer its event twice.
  public var event: @Sendable () -> Bool = { false }
  /// For life number n (from 0): at which of its commits the process dies (nil: never), and whether that commit is applied.
  public var life: @Sendable (Int) -> (crashAt: Int?, applied: Bool) = { _ in (nil, true) }
  /// By how many seconds time overshoots when it moves on.
  public var lateness: @Sendable () -> Double = { 0 }
  public init() {}

  /// Draws from a generator of its own.
  public init(_ faults: SimulationFaults, seed: UInt64) {
    let generator = Guarded(SeededGenerator(seed: seed))
    task = { _, _ in
      generator.with { generator in
        if generator.chance(faults.lostTask) { return .lost }
        if generator.chance(faults.repeatedTask) { return .repeated }
        if generator.chance(faults.failsBefore) { return .failsBefore }
        return generator.chance(faults.failsAfter) ? .failsAfter : .none
      }
    }
    event = { generator.with { $0.chance(faults.repeatedEvent) } }
    life = { _ in
      guard faults.crash > 0 else { return (nil, true) }
      return generator.with { generator in
        var commit = 1
        while commit < 10_000, !generator.chance(faults.crash) { commit += 1 }
        return (commit, generator.chance(0.5))
      }
    }
    lateness = {
      faults.maximumLateness <= 0 ? 0 : generator.with { Double($0.below(1_000_001)) / 1_000_000 * faults.maximumLateness }
    }
  }
}

/// The failure that `FaultPlan` injects.
public struct InjectedFailure: Error, Sendable, CustomStringConvertible {
  public let description: String
}
