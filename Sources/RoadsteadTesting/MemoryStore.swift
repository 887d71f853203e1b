public import FoundationEssentials
public import RegionKit
public import RegionStore

/// A store without a disk that keeps to the same contract, for simulations: every call completes at once on the caller's thread, so runs
/// repeat exactly. Records pass through JSON as they do on disk.
public final class MemoryStore: DurableStore {
  let state = Guarded(MemoryState())
  private let observers = StoreObservers()
  private let clock: any RegionClock

  public init(clock: any RegionClock = VirtualClock()) { self.clock = clock }

  public func observe(_ observer: any StoreObserver) { observers.add(observer) }

  // Records

  public func get<Record: StoredRecord>(_ type: Record.Type, in scope: Scope, id: String) async throws -> Stored<Record>? {
    let key = StoreKey(scope: scope, collection: Record.collection, id: id)
    guard let row = state.with({ $0.table(key)?.rows[ByteKey(id)] }) else { return nil }
    do {
      return Stored(scope: scope, id: id, version: row.version, value: try RecordCoding.decode(type, from: row.json))
    } catch {
      try await quarantine(row, key, error)
      throw UnreadableRecord(key: key, reason: "\(error)")
    }
  }

  public func list<Record: StoredRecord>(_ type: Record.Type, in scope: Scope, _ query: StoreQuery) async throws -> [Stored<Record>] {
    let range = IDRange(query)
    let table = MemoryState.TableKey(scope: scope, collection: Record.collection)
    var found: [Stored<Record>] = []
    for (id, row) in state.with({ $0.tables[table]?.range(range) ?? [] }) {
      if found.count >= query.limit { break }
      guard let value = try await decode(type, row, scope, id) else { continue }
      // Index values are asked of the record itself, so there is nothing to rebuild.
      if let index = query.index, value.indexValues[index.name].map(ByteKey.init) != ByteKey(index.value) { continue }
      found.append(Stored(scope: scope, id: id.text, version: row.version, value: value))
    }
    return found
  }

  public func listAll<Record: StoredRecord>(_ type: Record.Type) async throws -> [Stored<Record>] {
    let tables = state.with { state in
      state.tables.filter { $0.key.collection == Record.collection }
        .sorted {
          ($0.key.scope.account.rawValue, $0.key.scope.region.rawValue) < ($1.key.scope.account.rawValue, $1.key.scope.region.rawValue)
        }
        .map { ($0.key.scope, $0.value.range(IDRange(StoreQuery()))) }
    }
    var found: [Stored<Record>] = []
    for (scope, rows) in tables {
      for (id, row) in rows {
        guard let value = try await decode(type, row, scope, id) else { continue }
        found.append(Stored(scope: scope, id: id.text, version: row.version, value: value))
      }
    }
    return found
  }

  private func decode<Record: StoredRecord>(_ type: Record.Type, _ row: MemoryState.Row, _ scope: Scope, _ id: ByteKey) async throws
    -> Record?
  {
    do { return try RecordCoding.decode(type, from: row.json) } catch {
      try await quarantine(row, StoreKey(scope: scope, collection: Record.collection, id: id.text), error)
      return nil
    }
  }

  public func version(of key: StoreKey) async throws -> Int64? {
    state.with { $0.table(key)?.rows[ByteKey(key.id)]?.version }
  }

  // Commits

  public func commit(_ commit: StoreCommit) async throws { try apply(commit, ended: false) { _ in } }

  public func commit(_ commit: StoreCommit, ending lease: TaskLease) async throws {
    try apply(commit, ended: true) { state in
      guard state.tasks[ByteKey(lease.task)]?.row.lease == lease else { throw LeaseLost(lease: lease) }
      state.tasks[ByteKey(lease.task)] = nil
    }
  }

  public func commit(_ commit: StoreCommit, advancing advance: ConsumerAdvance) async throws {
    try apply(commit, ended: false) { state in
      guard state.positions[advance.consumer, default: 0] == advance.from else {
        throw PositionMoved(consumer: advance.consumer)
      }
      state.positions[advance.consumer] = advance.to
    }
  }

  private func apply(_ commit: StoreCommit, ended: Bool, first: (inout MemoryState) throws -> Void) throws {
    try state.with { state in try state.apply(commit, first: first) }
    var summary = CommitSummary(commit)
    summary.endedTasks = summary.endedTasks || ended
    observers.notify(summary)
  }

  // Tasks

  public func claimTasks(_ request: ClaimRequest) async throws -> ClaimResult { state.with { $0.claim(request) } }

  public func renewLeases(_ leases: [TaskLease], until: Date) async throws -> [TaskLease] {
    state.with { state in leases.filter { !state.change($0) { $0.with(owner: $0.owner, until: until) } } }
  }

  public func reschedule(_ lease: TaskLease, due: Date, failures: Int, error: String?) async throws {
    let held = state.with { state in state.change(lease) { $0.with(due: due, failures: failures, lastError: error) } }
    if !held { throw LeaseLost(lease: lease) }
    observers.notify(CommitSummary(earliestTask: due, endedTasks: true))
  }

  public func takeOverLeases(for owner: String) async throws -> Int {
    let count = state.with { state in
      var count = 0
      for (id, entry) in state.tasks where entry.row.owner != nil && entry.row.owner != owner {
        state.tasks[id]?.row = entry.row.with(owner: nil, until: nil)
        count += 1
      }
      return count
    }
    if count > 0 { observers.notify(CommitSummary(endedTasks: true)) }
    return count
  }

  public func pendingTasks() async throws -> [TaskRow] { state.with { $0.orderedTasks.map(\.row) } }

  // Events

  public func events(after position: Int64, limit: Int) async throws -> (events: [StoredEvent], scannedTo: Int64) {
    let events = state.with { state in
      let start = state.events.partitioningIndex { $0.position > position }
      return Array(state.events[start...].prefix(limit))
    }
    return (events, events.last?.position ?? position)
  }
  public func consumerPosition(_ consumer: String) async throws -> Int64 { state.with { $0.positions[consumer, default: 0] } }
  public func pruneEvents(through position: Int64, before: Date) async throws -> Int {
    state.with { state in
      let count = state.events.count
      state.events.removeAll { $0.position <= position && $0.event.time < before }
      return count - state.events.count
    }
  }

  // Quarantine

  private func quarantine(_ row: MemoryState.Row, _ key: StoreKey, _ error: any Error) async throws {
    try await quarantine(
      QuarantinedRow(key: key, version: row.version, content: Array(row.json), reason: "\(error)", time: clock.now()))
  }
  public func quarantine(_ row: QuarantinedRow) async throws {
    state.with { state in
      if !state.quarantine.contains(where: { $0.key == row.key && $0.version == row.version }) { state.quarantine.append(row) }
    }
  }
  public func quarantined() async throws -> [QuarantinedRow] { state.with { $0.quarantine } }
  public func dismissQuarantined(_ key: StoreKey, version: Int64) async throws {
    state.with { $0.quarantine.removeAll { $0.key == key && $0.version == version } }
  }
}

extension Array {
  /// The first index whose element satisfies `predicate`, when all after it do too.
  func partitioningIndex(_ predicate: (Element) -> Bool) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if predicate(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
