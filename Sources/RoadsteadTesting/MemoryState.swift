import FoundationEssentials
import RegionKit
import RegionStore

/// A text compared by its UTF-8 bytes, as the disk store compares ids; Swift's own comparison takes canonically equivalent texts for one.
struct ByteKey: Hashable, Comparable, Sendable {
  let bytes: [UInt8]
  init(_ text: String) { bytes = Array(text.utf8) }
  var text: String { String(decoding: bytes, as: UTF8.self) }
  static func < (a: ByteKey, b: ByteKey) -> Bool { a.bytes.lexicographicallyPrecedes(b.bytes) }
}

/// What a `MemoryStore` holds.
struct MemoryState: Sendable {
  struct TableKey: Hashable, Sendable {
    let scope: Scope
    let collection: String
  }
  struct Row: Sendable {
    let version: Int64
    let json: Data
  }
  struct Table: Sendable {
    var rows: [ByteKey: Row] = [:]
    var order: [ByteKey] = []

    mutating func set(_ id: ByteKey, _ row: Row?) {
      let had = rows[id] != nil
      rows[id] = row
      if had == (row != nil) { return }
      let index = order.partitioningIndex { $0 >= id }
      if row == nil { order.remove(at: index) } else { order.insert(id, at: index) }
    }
    func range(_ range: IDRange) -> [(ByteKey, Row)] {
      let start = order.partitioningIndex { !$0.bytes.lexicographicallyPrecedes(range.lower) }
      return order[start...].prefix { range.upper.map($0.bytes.lexicographicallyPrecedes) ?? true }
        .filter { range.contains($0.bytes) }.compactMap { id in rows[id].map { (id, $0) } }
    }
  }
  struct TaskEntry: Sendable {
    let sequence: Int
    var row: TaskRow
  }

  var tables: [TableKey: Table] = [:]
  var tasks: [ByteKey: TaskEntry] = [:]
  var events: [StoredEvent] = []
  var positions: [String: Int64] = [:]
  var quarantine: [QuarantinedRow] = []
  private var taskSequence = 0
  private var lastPosition: Int64 = 0

  func table(_ key: StoreKey) -> Table? { tables[TableKey(scope: key.scope, collection: key.collection)] }
  private func version(_ key: StoreKey) -> Int64? { table(key)?.rows[ByteKey(key.id)]?.version }

  mutating func apply(_ commit: StoreCommit, first: (inout MemoryState) throws -> Void) throws {
    for (key, expectation) in commit.preconditions where !expectation.holds(forVersion: version(key)) {
      throw StoreConflict(key: key, expected: expectation)
    }
    for write in commit.writes where !write.expectation.holds(forVersion: version(write.key)) {
      throw StoreConflict(key: write.key, expected: write.expectation)
    }
    try first(&self)
    for write in commit.writes {
      let version = (version(write.key) ?? 0) + 1
      let row = write.json.map { Row(version: version, json: Data($0)) }
      tables[TableKey(scope: write.key.scope, collection: write.key.collection), default: Table()].set(ByteKey(write.key.id), row)
    }
    for id in commit.finishedTasks { tasks[ByteKey(id)] = nil }
    for task in commit.tasks where tasks[ByteKey(task.id)] == nil {
      taskSequence += 1
      let row = TaskRow(
        id: task.id, kind: task.kind, scope: task.scope, subject: task.subject, payload: task.payload, due: task.due,
        expectedVersion: task.expectedVersion)
      tasks[ByteKey(task.id)] = TaskEntry(sequence: taskSequence, row: row)
    }
    for event in commit.events {
      lastPosition += 1
      events.append(StoredEvent(position: lastPosition, event: event))
    }
  }

  var orderedTasks: [TaskEntry] {
    tasks.values.sorted { ($0.row.due, $0.sequence) < ($1.row.due, $1.sequence) }
  }

  mutating func claim(_ request: ClaimRequest) -> ClaimResult {
    for (id, entry) in tasks
    where entry.row.owner != request.owner && entry.row.leasedUntil.map({ $0 <= request.now }) ?? false {
      tasks[id]?.row = entry.row.with(owner: nil, until: nil)
    }
    var busy: Set<TaskLane> = []
    var next: Date?
    for entry in tasks.values where entry.row.owner != nil {
      busy.insert(TaskLane(entry.row))
      if request.kinds.contains(entry.row.kind), entry.row.owner != request.owner, let end = entry.row.leasedUntil {
        next = min(next ?? end, end)
      }
    }
    var claimed: [TaskRow] = []
    for entry in orderedTasks where entry.row.owner == nil && request.kinds.contains(entry.row.kind) {
      let row = entry.row
      if let only = request.only, only != row.id { continue }
      if busy.contains(TaskLane(row)) { continue }
      if row.due > request.now || claimed.count >= request.limit {
        next = min(next ?? row.due, row.due)
        break
      }
      busy.insert(TaskLane(row))
      let taken = row.claimed(by: request.owner, until: request.leaseUntil)
      tasks[ByteKey(row.id)]?.row = taken
      claimed.append(taken)
    }
    return ClaimResult(tasks: claimed, next: next)
  }

  /// False when the lease is void.
  mutating func change(_ lease: TaskLease, _ body: (TaskRow) -> TaskRow) -> Bool {
    guard let entry = tasks[ByteKey(lease.task)], entry.row.lease == lease else { return false }
    tasks[ByteKey(lease.task)]?.row = body(entry.row)
    return true
  }
}

extension TaskRow {
  func with(owner: String?, until: Date?) -> TaskRow {
    TaskRow(
      id: id, kind: kind, scope: scope, subject: subject, payload: payload, due: due, expectedVersion: expectedVersion,
      attempt: attempt, failures: failures, lastError: lastError, owner: owner, leasedUntil: until)
  }
  func with(due: Date, failures: Int, lastError: String?) -> TaskRow {
    TaskRow(
      id: id, kind: kind, scope: scope, subject: subject, payload: payload, due: due, expectedVersion: expectedVersion,
      attempt: attempt, failures: failures, lastError: lastError)
  }
}
