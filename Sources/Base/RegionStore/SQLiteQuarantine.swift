import FoundationEssentials
import GRDB
import Logging
import RegionKit

extension SQLiteStore {
  func quarantine(_ raw: RawRecord, collection: String, error: any Error) async throws {
    try await quarantine(
      QuarantinedRow(
        key: StoreKey(scope: raw.scope, collection: collection, id: raw.id), version: raw.version, content: Array(raw.json),
        reason: "\(error)", time: clock.now()))
  }

  public func quarantine(_ row: QuarantinedRow) async throws {
    let isNew = try await writer.perform { database in
      let statement = try PreparedStatement(
        database,
        """
        INSERT OR IGNORE INTO quarantine (account, region, collection, id, version, content, reason, time)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        """)
      try statement.bind(row.key)
      try statement.bind(5, row.version)
      try statement.bind(6, blob: row.content)
      try statement.bind(7, row.reason)
      try statement.bind(8, row.time)
      return (try statement.run() > 0, nil)
    }
    // The content may hold secrets; the key does not.
    if isNew {
      log.error(
        "a stored row cannot be read; a copy is in quarantine",
        metadata: ["key": "\(row.key)", "version": "\(row.version)", "reason": "\(row.reason)"])
    }
  }

  public func quarantined() async throws -> [QuarantinedRow] {
    try await read { database in
      var rows: [QuarantinedRow] = []
      try PreparedStatement(
        database,
        """
        SELECT account, region, collection, id, version, content, reason, time FROM quarantine
        ORDER BY account, region, collection, id, version
        """
      ).rows { row in
        rows.append(
          QuarantinedRow(
            key: row.key(0), version: row.integer(4), content: row.bytes(5), reason: row.text(6), time: row.date(7)))
        return true
      }
      return rows
    }
  }

  public func dismissQuarantined(_ key: StoreKey, version: Int64) async throws {
    try await writer.perform { database in
      let statement = try PreparedStatement(
        database,
        "DELETE FROM quarantine WHERE account = ? AND region = ? AND collection = ? AND id = ? AND version = ?")
      try statement.bind(key)
      try statement.bind(5, version)
      try statement.run()
      return ((), nil)
    }
  }
}
