import FoundationEssentials
import GRDB
import RegionKit

extension SQLiteStore {
  public func commit(_ commit: StoreCommit) async throws {
    try await writer.perform { ((), try Self.apply(commit, $0)) }
  }

  public func commit(_ commit: StoreCommit, ending lease: TaskLease) async throws {
    try await writer.perform { database in
      let statement = try PreparedStatement(database, "DELETE FROM task WHERE id = ? AND owner = ? AND attempt = ?")
      try statement.bind(lease)
      var summary = try Self.apply(commit, database) { if try statement.run() == 0 { throw LeaseLost(lease: lease) } }
      summary.endedTasks = true
      return ((), summary)
    }
  }

  public func commit(_ commit: StoreCommit, advancing advance: ConsumerAdvance) async throws {
    try await writer.perform { database in
      let summary = try Self.apply(commit, database) {
        guard try Self.position(of: advance.consumer, database) == advance.from else {
          throw PositionMoved(consumer: advance.consumer)
        }
        let statement = try PreparedStatement(
          database,
          """
          INSERT INTO consumer_position (consumer, position) VALUES (?, ?)
          ON CONFLICT (consumer) DO UPDATE SET position = excluded.position
          """)
        try statement.bind(1, advance.consumer)
        try statement.bind(2, advance.to)
        try statement.run()
      }
      return ((), summary)
    }
  }

  /// Judges every expectation against the store as it is before the commit, then changes it. `first` runs between the two: what a
  /// commit ends is gone before its own tasks are added, so a task may schedule itself again under its own id.
  private static func apply(_ commit: StoreCommit, _ database: Database, first: () throws -> Void = {}) throws -> CommitSummary {
    for (key, expectation) in commit.preconditions {
      try demand(expectation, of: key, is: current(key, database)?.version)
    }
    var seen: [Current?] = []
    seen.reserveCapacity(commit.writes.count)
    for write in commit.writes {
      let now = try current(write.key, database)
      try demand(write.expectation, of: write.key, is: now?.version)
      seen.append(now)
    }
    try first()
    var written: Set<StoreKey> = []
    for (write, now) in zip(commit.writes, seen) {
      // A second write of one key in a commit builds on the first.
      let again = commit.writes.count > 1 && !written.insert(write.key).inserted
      try perform(write, on: again ? current(write.key, database) : now, database)
    }
    for id in commit.finishedTasks {
      let statement = try PreparedStatement(database, "DELETE FROM task WHERE id = ?")
      try statement.bind(1, id)
      try statement.run()
    }
    for task in commit.tasks { try add(task, database) }
    for event in commit.events { try add(event, database) }
    return CommitSummary(commit)
  }

  struct Current {
    let version: Int64
    let indexed: [UInt8]?
  }

  private static func current(_ key: StoreKey, _ database: Database) throws -> Current? {
    let statement = try PreparedStatement(
      database, "SELECT version, indexed FROM record WHERE account = ? AND region = ? AND collection = ? AND id = ?")
    try statement.bind(key)
    return try statement.row { Current(version: $0.integer(0), indexed: $0.isNull(1) ? nil : $0.bytes(1)) }
  }

  private static func demand(_ expectation: Expectation, of key: StoreKey, is version: Int64?) throws {
    if !expectation.holds(forVersion: version) { throw StoreConflict(key: key, expected: expectation) }
  }

  private static func perform(_ write: StoreCommit.Write, on now: Current?, _ database: Database) throws {
    let key = write.key
    guard let json = write.json else {
      guard let now else { return }
      let statement = try PreparedStatement(
        database, "DELETE FROM record WHERE account = ? AND region = ? AND collection = ? AND id = ?")
      try statement.bind(key)
      try statement.run()
      return try reindex(key, from: now.indexed, to: nil, database)
    }
    let indexed = try encodeIndex(write.indexValues)
    if now == nil {
      let statement = try PreparedStatement(
        database,
        "INSERT INTO record (account, region, collection, id, version, json, indexed) VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6)")
      try statement.bind(key)
      try statement.bind(5, utf8: json)
      if let indexed { try statement.bind(6, utf8: indexed) } else { try statement.bind(6, nil as String?) }
      try statement.run()
    } else {
      let statement = try PreparedStatement(
        database,
        """
        UPDATE record SET version = version + 1, json = ?5, indexed = ?6
        WHERE account = ?1 AND region = ?2 AND collection = ?3 AND id = ?4
        """)
      try statement.bind(key)
      try statement.bind(5, utf8: json)
      if let indexed { try statement.bind(6, utf8: indexed) } else { try statement.bind(6, nil as String?) }
      try statement.run()
    }
    try reindex(key, from: now?.indexed, to: indexed, database)
  }

  private static func add(_ task: NewTask, _ database: Database) throws {
    let statement = try PreparedStatement(
      database,
      """
      INSERT INTO task (id, kind, account, region, subject, payload, due, expected_version) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (id) DO NOTHING
      """)
    try statement.bind(
      from: 1, texts: task.id, task.kind, task.scope.account.rawValue, task.scope.region.rawValue, task.subject)
    try statement.bind(6, blob: task.payload)
    try statement.bind(7, task.due)
    try statement.bind(8, task.expectedVersion)
    try statement.run()
  }

  private static func add(_ event: RegionEvent, _ database: Database) throws {
    let statement = try PreparedStatement(database, "INSERT INTO event (time, json) VALUES (?, ?)")
    try statement.bind(1, event.time)
    try statement.bind(2, utf8: Array(try RecordCoding.encode(event)))
    try statement.run()
  }
}

extension Expectation {
  /// Whether a record of this version (nil: none) is as expected.
  public func holds(forVersion version: Int64?) -> Bool {
    switch self {
    case .anything: true
    case .absent: version == nil
    case .present: version != nil
    case .version(let wanted): version == wanted
    }
  }
}
