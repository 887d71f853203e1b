public import FoundationEssentials
import GRDB
import RegionKit

extension PreparedStatement {
  /// id, owner, attempt at positions 1 to 3.
  func bind(_ lease: TaskLease) throws {
    try bind(1, lease.task)
    try bind(2, lease.owner)
    try bind(3, Int64(lease.attempt))
  }
  fileprivate static let taskColumns = """
    seq, id, kind, account, region, subject, payload, due, expected_version, attempt, failures, last_error, owner, leased_until
    """
  fileprivate func task() -> TaskRow {
    TaskRow(
      id: text(1), kind: text(2), scope: scope(3), subject: text(5), payload: bytes(6), due: date(7),
      expectedVersion: isNull(8) ? nil : integer(8), attempt: Int(integer(9)), failures: Int(integer(10)),
      lastError: isNull(11) ? nil : text(11), owner: isNull(12) ? nil : text(12), leasedUntil: isNull(13) ? nil : date(13))
  }
}

/// One of these runs at a time.
public struct TaskLane: Hashable, Sendable {
  let kind: String
  let scope: Scope
  let subject: String
  public init(_ row: TaskRow) { (kind, scope, subject) = (row.kind, row.scope, row.subject) }
}

extension SQLiteStore {
  public func claimTasks(_ request: ClaimRequest) async throws -> ClaimResult {
    try await writer.perform { (try Self.claim(request, $0), nil) }
  }

  private static func claim(_ request: ClaimRequest, _ database: Database) throws -> ClaimResult {
    let expire = try PreparedStatement(
      database, "UPDATE task SET owner = NULL, leased_until = NULL WHERE owner IS NOT NULL AND leased_until <= ? AND owner <> ?")
    try expire.bind(1, request.now)
    try expire.bind(2, request.owner)
    try expire.run()
    var busy: Set<TaskLane> = []
    var next: Date?
    try PreparedStatement(database, "SELECT \(PreparedStatement.taskColumns) FROM task WHERE owner IS NOT NULL").rows { row in
      let task = row.task()
      busy.insert(TaskLane(task))
      if request.kinds.contains(task.kind), task.owner != request.owner, let end = task.leasedUntil { next = min(next ?? end, end) }
      return true
    }
    var chosen: [(seq: Int64, task: TaskRow)] = []
    try PreparedStatement(database, "SELECT \(PreparedStatement.taskColumns) FROM task WHERE owner IS NULL ORDER BY due, seq").rows {
      row in
      let task = row.task()
      guard request.kinds.contains(task.kind), request.only.map({ $0 == task.id }) ?? true,
        !busy.contains(TaskLane(task))
      else { return true }
      if task.due > request.now || chosen.count >= request.limit {
        next = min(next ?? task.due, task.due)
        return false
      }
      busy.insert(TaskLane(task))
      chosen.append((row.integer(0), task))
      return true
    }
    for (seq, _) in chosen {
      let take = try PreparedStatement(
        database, "UPDATE task SET owner = ?, leased_until = ?, attempt = attempt + 1 WHERE seq = ?")
      try take.bind(1, request.owner)
      try take.bind(2, request.leaseUntil)
      try take.bind(3, seq)
      try take.run()
    }
    let tasks = chosen.map { $0.task.claimed(by: request.owner, until: request.leaseUntil) }
    return ClaimResult(tasks: tasks, next: next)
  }

  public func renewLeases(_ leases: [TaskLease], until: Date) async throws -> [TaskLease] {
    try await writer.perform { database in
      let statement = try PreparedStatement(
        database, "UPDATE task SET leased_until = ?4 WHERE id = ?1 AND owner = ?2 AND attempt = ?3")
      let lost = try leases.filter { lease in
        try statement.bind(lease)
        try statement.bind(4, until)
        return try statement.run() == 0
      }
      return (lost, nil)
    }
  }

  public func reschedule(_ lease: TaskLease, due: Date, failures: Int, error: String?) async throws {
    try await writer.perform { database in
      let statement = try PreparedStatement(
        database,
        """
        UPDATE task SET owner = NULL, leased_until = NULL, due = ?4, failures = ?5, last_error = ?6
        WHERE id = ?1 AND owner = ?2 AND attempt = ?3
        """)
      try statement.bind(lease)
      try statement.bind(4, due)
      try statement.bind(5, Int64(failures))
      try statement.bind(6, error)
      if try statement.run() == 0 { throw LeaseLost(lease: lease) }
      return ((), CommitSummary(earliestTask: due, endedTasks: true))
    }
  }

  public func takeOverLeases(for owner: String) async throws -> Int {
    try await writer.perform { database in
      let statement = try PreparedStatement(
        database, "UPDATE task SET owner = NULL, leased_until = NULL WHERE owner IS NOT NULL AND owner <> ?")
      try statement.bind(1, owner)
      let count = try statement.run()
      return (count, count > 0 ? CommitSummary(endedTasks: true) : nil)
    }
  }

  public func pendingTasks() async throws -> [TaskRow] {
    try await read { database in
      var tasks: [TaskRow] = []
      try PreparedStatement(database, "SELECT \(PreparedStatement.taskColumns) FROM task ORDER BY due, seq").rows { row in
        tasks.append(row.task())
        return true
      }
      return tasks
    }
  }
}

extension TaskRow {
  /// The row after a claim.
  public func claimed(by owner: String, until: Date) -> TaskRow {
    TaskRow(
      id: id, kind: kind, scope: scope, subject: subject, payload: payload, due: due, expectedVersion: expectedVersion,
      attempt: attempt + 1, failures: failures, lastError: lastError, owner: owner, leasedUntil: until)
  }
}
