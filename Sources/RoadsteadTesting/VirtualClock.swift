public import FoundationEssentials
public import RegionKit

/// Time that passes only when a test says so. A sleeper wakes when time reaches its deadline; sleepers of one moment wake in the order
/// in which they lay down.
///
/// - manual (the default): `advance(by:)`, `advanceToNextSleeper()`; `sleepers(atLeast:)` waits until the code under test sleeps.
/// - automatic: a sleep moves time to its own deadline and returns at once. For code that runs one step at a time (`SimulatedRunner`).
public final class VirtualClock: RegionClock {
  public enum Mode: Sendable { case manual, automatic }

  private struct Sleeper: Sendable {
    let id: Int
    let deadline: Date
    let wake: CheckedContinuation<Void, any Error>
  }
  private struct State: Sendable {
    var now: Date
    var nextID = 0
    var sleepers: [Sleeper] = []
    var cancelled: Set<Int> = []
    var watchers: [(count: Int, wake: CheckedContinuation<Void, Never>)] = []
  }
  private let state: Guarded<State>
  private let mode: Mode
  /// At least 1, as in `SystemClock`.
  public let timeScale: Double

  /// Begins on 1 January 2026, 00:00 UTC unless told otherwise.
  public init(start: Date = Date(timeIntervalSince1970: 1_767_225_600), mode: Mode = .manual, timeScale: Double = 1) {
    state = Guarded(State(now: start))
    self.mode = mode
    self.timeScale = max(1, timeScale)
  }

  public func now() -> Date { state.with { $0.now } }
  public func scaled(_ seconds: Double) -> Double { seconds / timeScale }

  public func sleepReal(_ seconds: Double) async throws {
    try Task.checkCancellation()
    if mode == .automatic {
      advance(by: max(0, seconds))
      await Task.yield()
      return
    }
    if seconds <= 0 { return await Task.yield() }
    let id = state.with { state in
      state.nextID += 1
      return state.nextID
    }
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { (wake: CheckedContinuation<Void, any Error>) in
        let (cancelled, satisfied) = state.with { state -> (Bool, [CheckedContinuation<Void, Never>]) in
          if state.cancelled.remove(id) != nil { return (true, []) }
          state.sleepers.append(Sleeper(id: id, deadline: state.now.addingTimeInterval(seconds), wake: wake))
          let count = state.sleepers.count
          let satisfied = state.watchers.filter { $0.count <= count }.map(\.wake)
          state.watchers.removeAll { $0.count <= count }
          return (false, satisfied)
        }
        if cancelled { wake.resume(throwing: CancellationError()) }
        for watcher in satisfied { watcher.resume() }
      }
    } onCancel: {
      let sleeper = state.with { state -> Sleeper? in
        guard let index = state.sleepers.firstIndex(where: { $0.id == id }) else {
          state.cancelled.insert(id)
          return nil
        }
        return state.sleepers.remove(at: index)
      }
      sleeper?.wake.resume(throwing: CancellationError())
    }
    // A cancellation that came after the wake-up left its mark; forget it.
    state.with { _ = $0.cancelled.remove(id) }
  }

  /// Lets `seconds` (at least 0) pass and wakes whoever is due, in order of deadline.
  public func advance(by seconds: Double) { advance(to: now().addingTimeInterval(max(0, seconds))) }

  /// Moves time forward to a moment (never back) and wakes whoever is due by then.
  public func advance(to moment: Date) {
    let due = state.with { state -> [Sleeper] in
      state.now = max(state.now, moment)
      let now = state.now
      let due = state.sleepers.filter { $0.deadline <= now }.sorted { ($0.deadline, $0.id) < ($1.deadline, $1.id) }
      state.sleepers.removeAll { $0.deadline <= now }
      return due
    }
    for sleeper in due { sleeper.wake.resume() }
  }

  /// Moves time to the earliest deadline and wakes its sleepers. False, and time stands still, when nobody sleeps.
  @discardableResult
  public func advanceToNextSleeper() -> Bool {
    guard let next = nextDeadline else { return false }
    advance(to: next)
    return true
  }

  public var nextDeadline: Date? { state.with { $0.sleepers.map(\.deadline).min() } }
  public var sleeperCount: Int { state.with { $0.sleepers.count } }

  /// Returns once at least `count` tasks sleep, so that a test advances time only when the code under test waits for it.
  public func sleepers(atLeast count: Int) async {
    await withCheckedContinuation { (wake: CheckedContinuation<Void, Never>) in
      let enough = state.with { state in
        if state.sleepers.count >= count { return true }
        state.watchers.append((count, wake))
        return false
      }
      if enough { wake.resume() }
    }
  }
}
