public import FoundationEssentials
public import RegionKit

/// A task row as it lies in the store.
public struct TaskRow: Sendable, Equatable {
  public let id: String
  public let kind: String
  public let scope: Scope
  public let subject: String
  public let payload: [UInt8]
  public let due: Date
  public let expectedVersion: Int64?
  /// How often it was claimed, this claim included.
  public let attempt: Int
  /// How often in a row its handler threw.
  public let failures: Int
  /// What the handler threw last, as text.
  public let lastError: String?
  /// Who holds it, and until when; nil when nobody does.
  public let owner: String?
  public let leasedUntil: Date?

  public init(
    id: String, kind: String, scope: Scope, subject: String, payload: [UInt8], due: Date, expectedVersion: Int64?,
    attempt: Int = 0, failures: Int = 0, lastError: String? = nil, owner: String? = nil, leasedUntil: Date? = nil
  ) {
    self.id = id
    self.kind = kind
    self.scope = scope
    self.subject = subject
    self.payload = payload
    self.due = due
    self.expectedVersion = expectedVersion
    self.attempt = attempt
    self.failures = failures
    self.lastError = lastError
    self.owner = owner
    self.leasedUntil = leasedUntil
  }

  /// The proof of the claim; nil when the row is not claimed.
  public var lease: TaskLease? { owner.map { TaskLease(task: id, owner: $0, attempt: attempt) } }
}

/// A claim on a task row. It is void once somebody else claimed the row, because `attempt` has grown then.
public struct TaskLease: Sendable, Hashable {
  public let task: String
  public let owner: String
  public let attempt: Int
  public init(task: String, owner: String, attempt: Int) {
    self.task = task
    self.owner = owner
    self.attempt = attempt
  }
}

/// The lease was taken over or the task ended: what its holder decided is void.
public struct LeaseLost: Error, Sendable, CustomStringConvertible {
  public let lease: TaskLease
  public init(lease: TaskLease) { self.lease = lease }
  public var description: String { "\(lease.owner) no longer holds task \(lease.task) (attempt \(lease.attempt))" }
}

/// A wish to claim due tasks.
public struct ClaimRequest: Sendable {
  public var kinds: Set<String>
  public var owner: String
  public var now: Date
  public var leaseUntil: Date
  /// At least 1.
  public var limit: Int
  /// Claim this task or none.
  public var only: String?
  public init(kinds: Set<String>, owner: String, now: Date, leaseUntil: Date, limit: Int, only: String? = nil) {
    self.kinds = kinds
    self.owner = owner
    self.now = now
    self.leaseUntil = leaseUntil
    self.limit = limit
    self.only = only
  }
}

public struct ClaimResult: Sendable {
  /// The claimed rows in order of due time, then of creation.
  public var tasks: [TaskRow]
  /// When to claim again: the next due time or end of somebody else's lease. Not after `now` when the limit was reached. Nil: no task waits.
  public var next: Date?
  public init(tasks: [TaskRow], next: Date?) {
    self.tasks = tasks
    self.next = next
  }
}

/// An event with its place in the region's one sequence. Positions grow and are never used twice; there may be gaps.
public struct StoredEvent: Sendable, Equatable {
  public let position: Int64
  public let event: RegionEvent
  public init(position: Int64, event: RegionEvent) {
    self.position = position
    self.event = event
  }
}

/// Moves a consumer's position, as part of the commit that its event led to.
public struct ConsumerAdvance: Sendable, Equatable {
  public let consumer: String
  public let from: Int64
  public let to: Int64
  public init(consumer: String, from: Int64, to: Int64) {
    self.consumer = consumer
    self.from = from
    self.to = to
  }
}

/// The consumer's position was not where the caller thought: another dispatcher has applied the event.
public struct PositionMoved: Error, Sendable {
  public let consumer: String
  public init(consumer: String) { self.consumer = consumer }
}

/// What a commit changed, told to observers once it is on disk.
public struct CommitSummary: Sendable {
  public var keys: [StoreKey]
  /// The earliest due time of the tasks it added; nil when it added none.
  public var earliestTask: Date?
  /// True when it ended a task, which may free another of the same subject.
  public var endedTasks: Bool
  public var events: [RegionEvent]
  public init(keys: [StoreKey] = [], earliestTask: Date? = nil, endedTasks: Bool = false, events: [RegionEvent] = []) {
    self.keys = keys
    self.earliestTask = earliestTask
    self.endedTasks = endedTasks
    self.events = events
  }
  public init(_ commit: StoreCommit) {
    self.init(
      keys: commit.writes.map(\.key), earliestTask: commit.tasks.map(\.due).min(), endedTasks: !commit.finishedTasks.isEmpty,
      events: commit.events)
  }
}

/// Told of every commit after it is durable and before its caller goes on. Called on the writer's thread: return quickly, never block.
public protocol StoreObserver: AnyObject, Sendable {
  func storeDidCommit(_ summary: CommitSummary)
}

/// A row that could not be read, kept as it was.
public struct QuarantinedRow: Sendable, Equatable {
  /// For a record its key. For an event: collection `event`, id is the position.
  public let key: StoreKey
  public let version: Int64
  public let content: [UInt8]
  public let reason: String
  public let time: Date
  public init(key: StoreKey, version: Int64, content: [UInt8], reason: String, time: Date) {
    self.key = key
    self.version = version
    self.content = content
    self.reason = reason
    self.time = time
  }
}

/// `get` met a row that does not decode. The row stays where it is and a copy lies in quarantine.
public struct UnreadableRecord: Error, Sendable, CustomStringConvertible {
  public let key: StoreKey
  public let reason: String
  public init(key: StoreKey, reason: String) {
    self.key = key
    self.reason = reason
  }
  public var description: String { "the record \(key) cannot be read (a copy is in quarantine): \(reason)" }
}

/// What the task runner and the event dispatcher need of a store besides records. One contract suite holds every implementation to it.
public protocol DurableStore: RegionStore {
  /// Applies the commit and ends the claimed task in one transaction. Throws `LeaseLost` and changes nothing when the lease is void.
  func commit(_ commit: StoreCommit, ending lease: TaskLease) async throws
  /// Applies the commit and moves the consumer in one transaction. Throws `PositionMoved` when it is not at `from`.
  func commit(_ commit: StoreCommit, advancing advance: ConsumerAdvance) async throws
  /// Claims due tasks, never two of one kind and subject at a time. Leases that ended by `now` are void, but not the
  /// claimer's own: it knows what it still runs, however late it renews.
  func claimTasks(_ request: ClaimRequest) async throws -> ClaimResult
  /// Prolongs leases; answers those that are void.
  func renewLeases(_ leases: [TaskLease], until: Date) async throws -> [TaskLease]
  /// Gives a claimed task back, to run at `due`. Throws `LeaseLost`.
  func reschedule(_ lease: TaskLease, due: Date, failures: Int, error: String?) async throws
  /// Voids every lease that `owner` does not hold; right when the home is locked by this process alone. Answers how many.
  func takeOverLeases(for owner: String) async throws -> Int
  /// All task rows in order of due time, then of creation (for inspection and simulation).
  func pendingTasks() async throws -> [TaskRow]
  /// The version of a record without reading it; nil when it is absent.
  func version(of key: StoreKey) async throws -> Int64?
  /// Events after a position, in order; `scannedTo` is at least the last position looked at (unreadable ones are quarantined).
  func events(after position: Int64, limit: Int) async throws -> (events: [StoredEvent], scannedTo: Int64)
  /// 0 for a consumer that never applied an event.
  func consumerPosition(_ consumer: String) async throws -> Int64
  /// Deletes events at or before a position that are older than a time. Answers how many.
  func pruneEvents(through position: Int64, before: Date) async throws -> Int
  func quarantine(_ row: QuarantinedRow) async throws
  func quarantined() async throws -> [QuarantinedRow]
  /// Forgets a quarantined copy, after somebody has looked at it.
  func dismissQuarantined(_ key: StoreKey, version: Int64) async throws
  /// Observers are held weakly.
  func observe(_ observer: any StoreObserver)
}

/// The observers of a store. Any thread may use it.
public final class StoreObservers: Sendable {
  private struct Weak: Sendable { weak var value: (any StoreObserver)? }
  private let list = Locked<[Weak]>([])
  public init() {}
  public func add(_ observer: any StoreObserver) {
    list.with { list in
      list.removeAll { $0.value == nil }
      list.append(Weak(value: observer))
    }
  }
  public func notify(_ summary: CommitSummary) {
    for observer in list.with({ $0 }) { observer.value?.storeDidCommit(summary) }
  }
}
