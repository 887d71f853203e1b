public import Durable
public import FoundationEssentials
public import RegionKit
public import RegionStore

/// The process "died" here.
public struct SimulatedCrash: ProcessDeath, Sendable, CustomStringConvertible {
  public let description: String
}

/// Wraps a store and kills its user at the Nth commit: with `applied` the commit is on disk but its caller never hears of it, without it
/// the commit is lost. From then on every call throws `SimulatedCrash`; go on with the inner store and fresh handlers, as the next process
/// would. Claims and lease renewals are not counted.
public final class CrashingStore: DurableStore {
  private struct State: Sendable {
    var commits = 0
    var dead = false
  }
  public let inner: any DurableStore
  private let crashAt: Int?
  private let applied: Bool
  private let state = Guarded(State())

  /// - Parameter crashAt: 1 is the first commit; nil never crashes and only counts.
  public init(_ inner: any DurableStore, crashAt: Int? = nil, applied: Bool = true) {
    self.inner = inner
    self.crashAt = crashAt
    self.applied = applied
  }

  /// Commits that were applied through this wrapper.
  public var commitCount: Int { state.with { $0.commits } }
  public var hasCrashed: Bool { state.with { $0.dead } }
  /// Dies now.
  public func crash() { state.with { $0.dead = true } }

  private func alive() throws {
    if hasCrashed { throw SimulatedCrash(description: "the process has died") }
  }
  private func counted(_ commit: () async throws -> Void) async throws {
    try alive()
    let crashes = state.with { $0.commits + 1 == crashAt }
    if crashes && !applied {
      crash()
      throw SimulatedCrash(description: "died before commit \(crashAt ?? 0)")
    }
    try await commit()
    state.with { $0.commits += 1 }
    if crashes {
      crash()
      throw SimulatedCrash(description: "died after commit \(crashAt ?? 0)")
    }
  }

  public func commit(_ commit: StoreCommit) async throws { try await counted { try await inner.commit(commit) } }
  public func commit(_ commit: StoreCommit, ending lease: TaskLease) async throws {
    try await counted { try await inner.commit(commit, ending: lease) }
  }
  public func commit(_ commit: StoreCommit, advancing advance: ConsumerAdvance) async throws {
    try await counted { try await inner.commit(commit, advancing: advance) }
  }

  public func get<Record: StoredRecord>(_ type: Record.Type, in scope: Scope, id: String) async throws -> Stored<Record>? {
    try alive()
    return try await inner.get(type, in: scope, id: id)
  }
  public func list<Record: StoredRecord>(_ type: Record.Type, in scope: Scope, _ query: StoreQuery) async throws -> [Stored<Record>] {
    try alive()
    return try await inner.list(type, in: scope, query)
  }
  public func listAll<Record: StoredRecord>(_ type: Record.Type) async throws -> [Stored<Record>] {
    try alive()
    return try await inner.listAll(type)
  }
  public func claimTasks(_ request: ClaimRequest) async throws -> ClaimResult {
    try alive()
    return try await inner.claimTasks(request)
  }
  public func renewLeases(_ leases: [TaskLease], until: Date) async throws -> [TaskLease] {
    try alive()
    return try await inner.renewLeases(leases, until: until)
  }
  public func reschedule(_ lease: TaskLease, due: Date, failures: Int, error: String?) async throws {
    try alive()
    try await inner.reschedule(lease, due: due, failures: failures, error: error)
  }
  public func takeOverLeases(for owner: String) async throws -> Int {
    try alive()
    return try await inner.takeOverLeases(for: owner)
  }
  public func pendingTasks() async throws -> [TaskRow] {
    try alive()
    return try await inner.pendingTasks()
  }
  public func version(of key: StoreKey) async throws -> Int64? {
    try alive()
    return try await inner.version(of: key)
  }
  public func events(after position: Int64, limit: Int) async throws -> (events: [StoredEvent], scannedTo: Int64) {
    try alive()
    return try await inner.events(after: position, limit: limit)
  }
  public func consumerPosition(_ consumer: String) async throws -> Int64 {
    try alive()
    return try await inner.consumerPosition(consumer)
  }
  public func pruneEvents(through position: Int64, before: Date) async throws -> Int {
    try alive()
    return try await inner.pruneEvents(through: position, before: before)
  }
  public func quarantine(_ row: QuarantinedRow) async throws {
    try alive()
    try await inner.quarantine(row)
  }
  public func quarantined() async throws -> [QuarantinedRow] {
    try alive()
    return try await inner.quarantined()
  }
  public func dismissQuarantined(_ key: StoreKey, version: Int64) async throws {
    try alive()
    try await inner.dismissQuarantined(key, version: version)
  }
  public func observe(_ observer: any StoreObserver) { inner.observe(observer) }
}
