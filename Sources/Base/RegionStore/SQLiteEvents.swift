public import FoundationEssentials
import GRDB
import RegionKit

extension SQLiteStore {
  public func events(after position: Int64, limit: Int) async throws -> (events: [StoredEvent], scannedTo: Int64) {
    let raws = try await read { database in
      let statement = try PreparedStatement(
        database, "SELECT position, json FROM event WHERE position > ? ORDER BY position LIMIT ?")
      try statement.bind(1, position)
      try statement.bind(2, Int64(limit))
      var rows: [(position: Int64, json: [UInt8])] = []
      try statement.rows { row in
        rows.append((row.integer(0), row.bytes(1)))
        return true
      }
      return rows
    }
    var events: [StoredEvent] = []
    for raw in raws {
      do {
        events.append(StoredEvent(position: raw.position, event: try RecordCoding.decode(RegionEvent.self, from: raw.json)))
      } catch {
        try await quarantine(
          QuarantinedRow(
            key: StoreKey(
              scope: Scope(account: AccountID(""), region: RegionName("")), collection: "event", id: String(raw.position)),
            version: 1, content: raw.json, reason: "\(error)", time: clock.now()))
      }
    }
    return (events, raws.last?.position ?? position)
  }

  static func position(of consumer: String, _ database: Database) throws -> Int64 {
    let statement = try PreparedStatement(database, "SELECT position FROM consumer_position WHERE consumer = ?")
    try statement.bind(1, consumer)
    return try statement.row { $0.integer(0) } ?? 0
  }

  public func consumerPosition(_ consumer: String) async throws -> Int64 {
    try readNow { try Self.position(of: consumer, $0) }
  }

  public func pruneEvents(through position: Int64, before: Date) async throws -> Int {
    try await writer.perform { database in
      let statement = try PreparedStatement(database, "DELETE FROM event WHERE position <= ? AND time < ?")
      try statement.bind(1, position)
      try statement.bind(2, before)
      return (try statement.run(), nil)
    }
  }
}
