public import FoundationEssentials
public import Logging
public import RegionKit
public import RegionStore

/// What a handler threw earlier, as far as the row remembers it.
public struct TaskFailure: Error, Sendable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// An error after which the process is taken for dead (simulations throw it): nothing more is done for the task, as after a real `kill -9`.
public protocol ProcessDeath: Error {}

/// What became of one claimed task.
public enum TaskStepResult: Sendable, Equatable {
  /// Its commit is on disk and the row is gone.
  case done
  /// The machine had moved on; the row is gone and the handler did not run.
  case dropped
  /// The handler asked to run again later.
  case later(Date)
  /// The handler threw, and runs again at this time.
  case failed(Date)
  /// It threw too often; what `exhausted` decided is on disk and the row is gone.
  case exhausted
  /// Somebody else took the lease; whatever this run decided is void.
  case leaseLost
  /// The runner is stopping; the row is free again.
  case released
}

/// The life of one claimed task from claim to end. `TaskRunner` and the simulator both use it, so that what is simulated is what runs.
public struct TaskStep: Sendable {
  let store: any DurableStore
  let clock: any RegionClock
  let log: Logger
  /// How often in a row a lost race is tried again at once before it counts as a failure.
  static let maximumConflicts = 100

  public init(store: any DurableStore, clock: any RegionClock, log: Logger) {
    self.store = store
    self.clock = clock
    self.log = log
  }
  /// Without a log, for simulations that make failures by the thousand.
  public static func quiet(store: any DurableStore, clock: any RegionClock) -> TaskStep {
    TaskStep(store: store, clock: clock, log: Logger(label: "quiet", factory: { _ in SwiftLogNoOpLogHandler() }))
  }

  /// Seconds until the next try after this many failures in a row: 0.1 s doubling to 60 s.
  public static func delay(afterFailures failures: Int) -> Double {
    min(60, 0.1 * pow2(max(0, min(failures, 20) - 1)))
  }
  private static func pow2(_ exponent: Int) -> Double { Double(1 << exponent) }

  /// Runs a claimed row. Throws only what the store throws; the row then stays leased until the lease ends.
  public func run(_ row: TaskRow, _ handler: any TaskHandler) async throws -> TaskStepResult {
    guard let lease = row.lease else { throw TaskFailure("the task \(row.id) is not claimed") }
    do {
      return try await attempt(row, lease, handler)
    } catch is LeaseLost {
      log.warning("a task's lease was taken over while it ran", metadata: meta(row))
      return .leaseLost
    }
  }

  private func attempt(_ row: TaskRow, _ lease: TaskLease, _ handler: any TaskHandler) async throws -> TaskStepResult {
    if row.failures >= handler.maximumAttempts {
      return try await giveUp(row, lease, handler, TaskFailure(row.lastError ?? "it failed \(row.failures) times"))
    }
    for conflicts in 0... {
      if try await hasMovedOn(row, handler) {
        try await store.commit(StoreCommit(), ending: lease)
        return .dropped
      }
      do {
        // A run after a lost race is a repeated run: its first one may have had its effect.
        switch try await handler.run(claimed(row, attempt: row.attempt + conflicts)) {
        case .later(let due, let reason):
          log.debug("task runs again later", metadata: meta(row, ["due": "\(due)", "reason": "\(reason)"]))
          try await store.reschedule(lease, due: due, failures: 0, error: nil)
          return .later(due)
        case .done(let commit):
          try await store.commit(commit, ending: lease)
          return .done
        }
      } catch let error as StoreConflict {
        if conflicts + 1 >= Self.maximumConflicts { return try await failed(row, lease, handler, error) }
        await Task.yield()
      } catch let error as LeaseLost {
        throw error
      } catch let death as any ProcessDeath {
        throw death
      } catch is CancellationError where Task.isCancelled {
        try await store.reschedule(lease, due: row.due, failures: row.failures, error: row.lastError)
        return .released
      } catch {
        return try await failed(row, lease, handler, error)
      }
    }
    return .leaseLost
  }

  private func hasMovedOn(_ row: TaskRow, _ handler: any TaskHandler) async throws -> Bool {
    guard let collection = handler.machineCollection, let wanted = row.expectedVersion else { return false }
    return try await store.version(of: StoreKey(scope: row.scope, collection: collection, id: row.subject)) != wanted
  }

  private func failed(_ row: TaskRow, _ lease: TaskLease, _ handler: any TaskHandler, _ error: any Error) async throws
    -> TaskStepResult
  {
    let failures = row.failures + 1
    if failures >= handler.maximumAttempts { return try await giveUp(row, lease, handler, error) }
    return try await retry(row, lease, failures, error)
  }

  private func retry(_ row: TaskRow, _ lease: TaskLease, _ failures: Int, _ error: any Error) async throws -> TaskStepResult {
    let due = clock.deadline(afterReal: Self.delay(afterFailures: failures))
    log.warning("task failed and is tried again", metadata: meta(row, ["failures": "\(failures)", "error": "\(error)"]))
    try await store.reschedule(lease, due: due, failures: failures, error: "\(error)")
    return .failed(due)
  }

  private func giveUp(_ row: TaskRow, _ lease: TaskLease, _ handler: any TaskHandler, _ error: any Error) async throws
    -> TaskStepResult
  {
    log.error("task is exhausted", metadata: meta(row, ["error": "\(error)"]))
    var last: any Error = error
    for conflicts in 0..<Self.maximumConflicts {
      do {
        let commit = try await handler.exhausted(claimed(row, attempt: row.attempt + conflicts), error: error)
        try await store.commit(commit, ending: lease)
        return .exhausted
      } catch let error as StoreConflict {
        last = error
        await Task.yield()
      } catch let error as LeaseLost {
        throw error
      } catch let death as any ProcessDeath {
        throw death
      } catch {
        last = error
        break
      }
    }
    // Even giving up failed: the row stays, and giving up is tried again.
    return try await retry(row, lease, max(row.failures + 1, handler.maximumAttempts), last)
  }

  private func claimed(_ row: TaskRow, attempt: Int) -> ClaimedTask {
    ClaimedTask(
      id: row.id, kind: row.kind, scope: row.scope, subject: row.subject, payload: row.payload,
      expectedVersion: row.expectedVersion, attempt: attempt)
  }
  private func meta(_ row: TaskRow, _ more: Logger.Metadata = [:]) -> Logger.Metadata {
    more.merging(["task": "\(row.id)", "kind": "\(row.kind)", "attempt": "\(row.attempt)"]) { first, _ in first }
  }
}
