import FoundationEssentials
import GRDB
public import RegionKit

/// One row as read, before it is decoded (decoding happens outside the database's connection).
struct RawRecord: Sendable {
  let scope: Scope
  let id: String
  let version: Int64
  let json: Data
}

extension SQLiteStore {
  public func get<Record: StoredRecord>(_ type: Record.Type, in scope: Scope, id: String) async throws -> Stored<Record>? {
    let key = StoreKey(scope: scope, collection: Record.collection, id: id)
    // On the caller's thread: a lookup takes microseconds, less than a hop to another thread and back.
    let raw: RawRecord? = try readNow { database in
      let statement = try PreparedStatement(
        database, "SELECT version, json FROM record WHERE account = ? AND region = ? AND collection = ? AND id = ?")
      try statement.bind(key)
      return try statement.row { RawRecord(scope: scope, id: id, version: $0.integer(0), json: $0.data(1)) }
    }
    guard let raw else { return nil }
    do {
      return Stored(scope: scope, id: id, version: raw.version, value: try RecordCoding.decode(type, from: raw.json))
    } catch {
      try await quarantine(raw, collection: Record.collection, error: error)
      throw UnreadableRecord(key: key, reason: "\(error)")
    }
  }

  public func list<Record: StoredRecord>(_ type: Record.Type, in scope: Scope, _ query: StoreQuery) async throws -> [Stored<Record>] {
    if query.limit <= 0 { return [] }
    if query.index != nil { try await ensureIndexed(type) }
    let range = IDRange(query)
    let index = query.index
    // An unreadable row must not shorten a page: read on until the page is full or the rows end.
    var found: [Stored<Record>] = []
    var after = range.lower
    var strict = range.strict
    while true {
      let wanted = query.limit == .max ? Int64.max : Int64(query.limit - found.count)
      let (lower, isStrict) = (after, strict)
      let raws = try await read { database in
        let statement = try PreparedStatement(database, Self.listSQL(strict: isStrict, indexed: index != nil))
        try statement.bind(1, scope.account.rawValue)
        try statement.bind(2, scope.region.rawValue)
        try statement.bind(3, Record.collection)
        try statement.bind(4, utf8: lower)
        // Above every text stands a blob.
        if let upper = range.upper { try statement.bind(5, utf8: upper) } else { try statement.bind(5, blob: [0xff]) }
        try statement.bind(6, wanted)
        if let index {
          try statement.bind(7, index.name)
          try statement.bind(8, index.value)
        }
        var rows: [RawRecord] = []
        try statement.rows { row in
          rows.append(RawRecord(scope: scope, id: row.text(0), version: row.integer(1), json: row.data(2)))
          return true
        }
        return rows
      }
      found += try await decode(type, raws)
      guard let last = raws.last, query.limit != .max, raws.count == Int(wanted), found.count < query.limit else { return found }
      after = Array(last.id.utf8)
      strict = true
    }
  }

  public func listAll<Record: StoredRecord>(_ type: Record.Type) async throws -> [Stored<Record>] {
    try await decode(type, rawRecords(of: Record.collection))
  }

  /// Every row of a collection, ordered by scope and id.
  func rawRecords(of collection: String) async throws -> [RawRecord] {
    try await read { database in
      let statement = try PreparedStatement(
        database, "SELECT account, region, id, version, json FROM record WHERE collection = ? ORDER BY account, region, id")
      try statement.bind(1, collection)
      var rows: [RawRecord] = []
      try statement.rows { row in
        rows.append(RawRecord(scope: row.scope(0), id: row.text(2), version: row.integer(3), json: row.data(4)))
        return true
      }
      return rows
    }
  }

  public func version(of key: StoreKey) async throws -> Int64? {
    try readNow { database in
      let statement = try PreparedStatement(
        database, "SELECT version FROM record WHERE account = ? AND region = ? AND collection = ? AND id = ?")
      try statement.bind(key)
      return try statement.row { $0.integer(0) }
    }
  }

  func readNow<Result>(_ body: (Database) throws -> Result) throws -> Result { try database.unsafeRead(body) }
  /// For reads whose size is not known: off the threads that Swift's tasks run on.
  func read<Result: Sendable>(_ body: @escaping @Sendable (Database) throws -> Result) async throws -> Result {
    try await database.unsafeRead(body)
  }

  private func decode<Record: StoredRecord>(_ type: Record.Type, _ raws: [RawRecord]) async throws -> [Stored<Record>] {
    var found: [Stored<Record>] = []
    found.reserveCapacity(raws.count)
    for raw in raws {
      do {
        let value = try RecordCoding.decode(type, from: raw.json)
        found.append(Stored(scope: raw.scope, id: raw.id, version: raw.version, value: value))
      } catch {
        try await quarantine(raw, collection: Record.collection, error: error)
      }
    }
    return found
  }

  private static func listSQL(strict: Bool, indexed: Bool) -> String {
    let order = strict ? ">" : ">="
    return indexed
      ? """
      SELECT r.id, r.version, r.json FROM record_index i JOIN record r
      ON r.account = i.account AND r.region = i.region AND r.collection = i.collection AND r.id = i.id
      WHERE i.account = ?1 AND i.region = ?2 AND i.collection = ?3 AND i.name = ?7 AND i.value = ?8
      AND i.id \(order) ?4 AND i.id < ?5 ORDER BY i.id LIMIT ?6
      """
      : """
      SELECT id, version, json FROM record WHERE account = ?1 AND region = ?2 AND collection = ?3
      AND id \(order) ?4 AND id < ?5 ORDER BY id LIMIT ?6
      """
  }
}

/// A query's bounds as bytes: ids are ordered by their UTF-8 bytes, in every store.
public struct IDRange: Sendable {
  public let lower: [UInt8]
  /// True when `lower` itself is outside.
  public let strict: Bool
  /// Exclusive; nil: no bound.
  public let upper: [UInt8]?

  public init(_ query: StoreQuery) {
    let prefix = Array(query.prefix.utf8)
    let after = query.after.map { Array($0.utf8) }
    if let after, !after.lexicographicallyPrecedes(prefix) {
      (lower, strict) = (after, true)
    } else {
      (lower, strict) = (prefix, false)
    }
    // UTF-8 has no byte 0xff, so the last byte can always grow by one.
    upper = prefix.isEmpty ? nil : Array(prefix.dropLast()) + [(prefix.last ?? 0) + 1]
  }

  public func contains(_ id: [UInt8]) -> Bool {
    if id.lexicographicallyPrecedes(lower) || (strict && id == lower) { return false }
    return upper.map { id.lexicographicallyPrecedes($0) } ?? true
  }
}
