import GRDB
import RegionKit

/// Facts about the home as a whole, e.g. the account and region it was made with.
extension SQLiteStore {
  public func homeValue(_ key: String) async throws -> String? {
    try readNow { database in
      let statement = try PreparedStatement(database, "SELECT value FROM home WHERE key = ?")
      try statement.bind(1, key)
      return try statement.row { $0.text(0) }
    }
  }

  /// Sets a fact that is not known yet, or with `replacing` any. Answers what is known afterwards.
  @discardableResult
  public func setHomeValue(_ key: String, _ value: String, replacing: Bool = false) async throws -> String {
    try await writer.perform { database in
      let statement = try PreparedStatement(
        database,
        replacing
          ? "INSERT INTO home (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
          : "INSERT INTO home (key, value) VALUES (?, ?) ON CONFLICT (key) DO NOTHING")
      try statement.bind(from: 1, texts: key, value)
      try statement.run()
      let select = try PreparedStatement(database, "SELECT value FROM home WHERE key = ?")
      try select.bind(1, key)
      return (try select.row { $0.text(0) } ?? value, nil)
    }
  }
}
