import FoundationEssentials
import GRDB
import GRDBSQLite
import RegionKit

/// A prepared statement of GRDB's cache, bound and stepped through SQLite's own calls: texts keep their exact bytes (GRDB's binding ends
/// a text at NUL) and a row costs no intermediate value. Reset it after use, or it holds its read snapshot open: `run`, `row` and `rows` do.
struct PreparedStatement {
  private let handle: OpaquePointer
  private let database: Database
  private static let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

  init(_ database: Database, _ sql: String) throws {
    self.database = database
    handle = try database.cachedStatement(sql: sql).sqliteStatement
    sqlite3_reset(handle)
  }

  private func check(_ code: CInt) throws {
    if code != SQLITE_OK { throw failure(code) }
  }
  private func failure(_ code: CInt) -> DatabaseError {
    let message = database.sqliteConnection.flatMap { sqlite3_errmsg($0) }.map { String(cString: $0) }
    return DatabaseError(resultCode: ResultCode(rawValue: code), message: message, sql: String(cString: sqlite3_sql(handle)))
  }

  // Binding; positions begin at 1.
  func bind(_ position: CInt, _ text: String) throws {
    var text = text
    let code = text.withUTF8 { bytes in
      sqlite3_bind_text64(
        handle, position, UnsafeRawPointer(bytes.baseAddress ?? Self.empty).assumingMemoryBound(to: CChar.self),
        UInt64(bytes.count), Self.transient, UInt8(SQLITE_UTF8))
    }
    try check(code)
  }
  func bind(_ position: CInt, _ text: String?) throws {
    if let text { try bind(position, text) } else { try check(sqlite3_bind_null(handle, position)) }
  }
  func bind(_ position: CInt, utf8 bytes: [UInt8]) throws {
    let code = bytes.withUnsafeBufferPointer { bytes in
      sqlite3_bind_text64(
        handle, position, UnsafeRawPointer(bytes.baseAddress ?? Self.empty).assumingMemoryBound(to: CChar.self),
        UInt64(bytes.count), Self.transient, UInt8(SQLITE_UTF8))
    }
    try check(code)
  }
  func bind(_ position: CInt, blob bytes: [UInt8]) throws {
    let code = bytes.withUnsafeBytes {
      sqlite3_bind_blob64(handle, position, $0.baseAddress ?? UnsafeRawPointer(Self.empty), UInt64($0.count), Self.transient)
    }
    try check(code)
  }
  func bind(_ position: CInt, _ number: Int64) throws { try check(sqlite3_bind_int64(handle, position, number)) }
  func bind(_ position: CInt, _ number: Int64?) throws {
    if let number { try bind(position, number) } else { try check(sqlite3_bind_null(handle, position)) }
  }
  func bind(_ position: CInt, _ number: Double?) throws {
    if let number {
      try check(sqlite3_bind_double(handle, position, number))
    } else {
      try check(sqlite3_bind_null(handle, position))
    }
  }
  func bind(_ position: CInt, _ date: Date?) throws { try bind(position, date?.timeIntervalSince1970) }

  /// Binds texts from a position on.
  func bind(from position: CInt = 1, texts: String...) throws {
    for (offset, text) in texts.enumerated() { try bind(position + CInt(offset), text) }
  }
  func bind(_ key: StoreKey, from position: CInt = 1) throws {
    try bind(position, key.scope.account.rawValue)
    try bind(position + 1, key.scope.region.rawValue)
    try bind(position + 2, key.collection)
    try bind(position + 3, key.id)
  }

  private nonisolated(unsafe) static let empty: UnsafePointer<UInt8> = {
    let byte = UnsafeMutablePointer<UInt8>.allocate(capacity: 1)
    byte.initialize(to: 0)
    return UnsafePointer(byte)
  }()

  /// True when a row is there.
  private func step() throws -> Bool {
    switch sqlite3_step(handle) {
    case SQLITE_ROW: return true
    case SQLITE_DONE: return false
    case let code:
      let error = failure(code)
      sqlite3_reset(handle)
      throw error
    }
  }
  /// Executes a statement that answers nothing; the number of rows changed.
  @discardableResult
  func run() throws -> Int {
    defer { sqlite3_reset(handle) }
    while try step() {}
    return Int(sqlite3_changes(database.sqliteConnection))
  }
  /// The first row, or nil.
  func row<Result>(_ read: (PreparedStatement) throws -> Result) throws -> Result? {
    defer { sqlite3_reset(handle) }
    return try step() ? try read(self) : nil
  }
  /// Each row until `read` answers false.
  func rows(_ read: (PreparedStatement) throws -> Bool) throws {
    defer { sqlite3_reset(handle) }
    while try step() { if try !read(self) { return } }
  }

  // Reading; columns begin at 0.
  func isNull(_ column: CInt) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }
  func integer(_ column: CInt) -> Int64 { sqlite3_column_int64(handle, column) }
  func number(_ column: CInt) -> Double { sqlite3_column_double(handle, column) }
  func date(_ column: CInt) -> Date { Date(timeIntervalSince1970: number(column)) }
  func text(_ column: CInt) -> String {
    guard let start = sqlite3_column_text(handle, column) else { return "" }
    let count = Int(sqlite3_column_bytes(handle, column))
    return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
  }
  func bytes(_ column: CInt) -> [UInt8] {
    guard let start = sqlite3_column_blob(handle, column) else { return [] }
    return Array(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column))))
  }
  func data(_ column: CInt) -> Data {
    guard let start = sqlite3_column_blob(handle, column) else { return Data() }
    return Data(bytes: start, count: Int(sqlite3_column_bytes(handle, column)))
  }
  func key(_ column: CInt) -> StoreKey {
    StoreKey(scope: scope(column), collection: text(column + 2), id: text(column + 3))
  }
  func scope(_ column: CInt) -> Scope { Scope(account: AccountID(text(column)), region: RegionName(text(column + 1))) }
}
