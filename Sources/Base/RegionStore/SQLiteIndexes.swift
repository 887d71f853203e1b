import FoundationEssentials
import GRDB
import Logging
import RegionKit

/// Secondary indexes. A record's row carries its own index values too, so that a write knows which index rows to take away.
extension SQLiteStore {
  static func encodeIndex(_ values: [String: String]) throws -> [UInt8]? {
    values.isEmpty ? nil : Array(try RecordCoding.encode(values))
  }
  private static func decodeIndex(_ bytes: [UInt8]?) throws -> [String: String] {
    try bytes.map { try RecordCoding.decode([String: String].self, from: $0) } ?? [:]
  }

  static func reindex(_ key: StoreKey, from old: [UInt8]?, to new: [UInt8]?, _ database: Database) throws {
    if old == new { return }
    let before = try decodeIndex(old)
    let after = try decodeIndex(new)
    for (name, value) in before where after[name].map({ !$0.utf8.elementsEqual(value.utf8) }) ?? true {
      try changeIndex(
        """
        DELETE FROM record_index
        WHERE account = ?1 AND region = ?2 AND collection = ?3 AND id = ?4 AND name = ?5 AND value = ?6
        """, key, name, value, database)
    }
    for (name, value) in after where before[name].map({ !$0.utf8.elementsEqual(value.utf8) }) ?? true {
      try changeIndex(
        "INSERT OR IGNORE INTO record_index (account, region, collection, id, name, value) VALUES (?, ?, ?, ?, ?, ?)",
        key, name, value, database)
    }
  }

  private static func changeIndex(
    _ sql: String, _ key: StoreKey, _ name: String, _ value: String, _ database: Database
  ) throws {
    let statement = try PreparedStatement(database, sql)
    try statement.bind(key)
    try statement.bind(5, name)
    try statement.bind(6, value)
    try statement.run()
  }

  /// Makes sure, once per process and collection, that the index rows are those the record type declares today. The digest stored with
  /// the collection says which declaration they were made by; when it differs every record is looked at.
  func ensureIndexed<Record: StoredRecord>(_ type: Record.Type) async throws {
    let name = Record.collection
    if checkedIndexes.with({ $0.contains(name) }) { return }
    let digest = Record.indexSchema.isEmpty ? "build \(buildID)" : "schema \(Record.indexSchema)"
    let stored: String? = try readNow { database in
      let statement = try PreparedStatement(database, "SELECT index_digest FROM collection WHERE name = ?")
      try statement.bind(1, name)
      return try statement.row { $0.text(0) }
    }
    if stored != digest { try await rebuildIndexes(type, digest: digest) }
    checkedIndexes.with { _ = $0.insert(name) }
  }

  private func rebuildIndexes<Record: StoredRecord>(_ type: Record.Type, digest: String) async throws {
    var stale: [(key: StoreKey, version: Int64, indexed: [UInt8]?)] = []
    for raw in try await rawRecords(of: Record.collection) {
      // What cannot be decoded keeps the index rows it has; listing quarantines it.
      guard let value = try? RecordCoding.decode(type, from: raw.json) else { continue }
      let key = StoreKey(scope: raw.scope, collection: Record.collection, id: raw.id)
      stale.append((key, raw.version, try Self.encodeIndex(value.indexValues)))
    }
    var changed = 0
    for start in stride(from: 0, to: stale.count, by: 500) {
      let part = stale[start..<min(start + 500, stale.count)]
      changed += try await writer.perform { database in
        var changed = 0
        for (key, version, indexed) in part where try Self.replaceIndex(of: key, version: version, with: indexed, database) {
          changed += 1
        }
        return (changed, nil)
      }
    }
    try await writer.perform { database in
      let statement = try PreparedStatement(
        database,
        """
        INSERT INTO collection (name, index_digest) VALUES (?, ?)
        ON CONFLICT (name) DO UPDATE SET index_digest = excluded.index_digest
        """)
      try statement.bind(from: 1, texts: Record.collection, digest)
      try statement.run()
      return ((), nil)
    }
    if changed > 0 { log.notice("rebuilt indexes", metadata: ["collection": "\(Record.collection)", "records": "\(changed)"]) }
  }

  /// False when the record has changed meanwhile (its writer has set today's values then) or its values are right already.
  private static func replaceIndex(
    of key: StoreKey, version: Int64, with indexed: [UInt8]?, _ database: Database
  ) throws -> Bool {
    let select = try PreparedStatement(
      database,
      "SELECT indexed FROM record WHERE account = ? AND region = ? AND collection = ? AND id = ? AND version = ?")
    try select.bind(key)
    try select.bind(5, version)
    guard let old = try select.row({ $0.isNull(0) ? [UInt8]?.none : $0.bytes(0) }), old != indexed else { return false }
    let update = try PreparedStatement(
      database, "UPDATE record SET indexed = ?5 WHERE account = ?1 AND region = ?2 AND collection = ?3 AND id = ?4")
    try update.bind(key)
    if let indexed { try update.bind(5, utf8: indexed) } else { try update.bind(5, nil as String?) }
    try update.run()
    try reindex(key, from: old, to: indexed, database)
    return true
  }
}
