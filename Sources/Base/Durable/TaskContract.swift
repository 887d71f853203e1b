public import FoundationEssentials
public import RegionKit
public import RegionStore

/// A claimed task row, as its handler sees it.
public struct ClaimedTask: Sendable {
  public let id: String
  public let kind: String
  public let scope: Scope
  public let subject: String
  public let payload: [UInt8]
  public let expectedVersion: Int64?
  /// 1 for the first run; grows with each claim, so a value above 1 says that an earlier run may have had its effect already.
  public let attempt: Int
  public init(
    id: String, kind: String, scope: Scope, subject: String, payload: [UInt8], expectedVersion: Int64?, attempt: Int
  ) {
    self.id = id
    self.kind = kind
    self.scope = scope
    self.subject = subject
    self.payload = payload
    self.expectedVersion = expectedVersion
    self.attempt = attempt
  }
}

/// What a handler wants done with its task row.
public enum TaskOutcome: Sendable {
  /// The commit is applied together with the end of the task row. A lost race (`StoreConflict`) runs the handler again at once.
  case done(StoreCommit)
  /// Not yet: run again at this time. `reason` goes to the log.
  case later(Date, reason: String)
}

/// Runs tasks of one kind. A handler is run at least once: after a crash its lease expires and it runs again, so an effect must be
/// repeatable or look first whether it has happened.
public protocol TaskHandler: Sendable {
  var kind: String { get }
  /// Throwing makes the runner retry with growing delays (0.1 s doubling to 60 s, real time) until `maximumAttempts`, then `exhausted`.
  func run(_ task: ClaimedTask) async throws -> TaskOutcome
  /// How often a throwing task is tried before `exhausted` decides. At least 1.
  var maximumAttempts: Int { get }
  /// What becomes of the machine when the task cannot be done: usually a transition to its failed state.
  func exhausted(_ task: ClaimedTask, error: any Error) async throws -> StoreCommit
  /// The collection of the machine that `subject` names. When it is given, the runner drops a task whose `expectedVersion` is not the
  /// machine's version any more; when it is nil (the default) the handler looks by itself.
  var machineCollection: String? { get }
}

extension TaskHandler {
  public var machineCollection: String? { nil }
  public var maximumAttempts: Int { 10 }
}

/// Reacts to events of other services. Receives each event at least once, in order per source; returns what to commit, and the runner
/// commits it together with the consumer's position.
public protocol EventConsumer: Sendable {
  var name: String { get }
  func wants(_ event: RegionEvent) -> Bool
  func consume(_ event: RegionEvent) async throws -> StoreCommit
}
