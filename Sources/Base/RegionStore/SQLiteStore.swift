import FoundationEssentials
import GRDB
public import Logging
public import RegionKit

/// Why a store could not be opened.
public struct StoreOpenError: Error, Sendable, CustomStringConvertible {
  public let description: String
}

/// The region's store in one SQLite file: write-ahead log, every answered commit synced to disk, one writer that puts the commits of many
/// callers into one transaction, a pool of readers that never wait for it. The home's lock (`HomeLock`) keeps other processes out.
public final class SQLiteStore: DurableStore {
  let database: any DatabaseWriter
  let writer: GroupWriter
  let clock: any RegionClock
  let log: Logger
  let observers = StoreObservers()
  /// What a collection without an `indexSchema` of its own is stamped with: its indexes are checked once per build.
  let buildID: String
  let checkedIndexes = Locked<Set<String>>([])

  /// Opens or creates the store at `path`. Throws `StoreOpenError` when the file is of a newer release or cannot be synced as promised.
  /// - Parameter buildID: names the program's build; by default the executable's own size and time of change.
  public convenience init(
    path: String, clock: any RegionClock = SystemClock(), log: Logger = Logger(label: "roadstead.store"), buildID: String? = nil
  ) throws {
    var configuration = Self.configuration
    configuration.maximumReaderCount = 8
    let pool = try DatabasePool(path: path, configuration: configuration)
    try pool.writeWithoutTransaction { db in
      // GRDB sets NORMAL for a pool, which may lose the last commits when the power goes.
      try db.execute(sql: "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864")
      guard try Int.fetchOne(db, sql: "PRAGMA synchronous") == 2, try String.fetchOne(db, sql: "PRAGMA journal_mode") == "wal"
      else { throw StoreOpenError(description: "\(path) cannot be opened with a write-ahead log and full syncing.") }
    }
    try self.init(pool, name: path, clock: clock, log: log, buildID: buildID)
  }

  /// A store in memory, for tests: the same SQL, nothing on disk.
  public convenience init(
    inMemory clock: any RegionClock = SystemClock(), log: Logger = Logger(label: "roadstead.store"), buildID: String? = nil
  ) throws {
    try self.init(try DatabaseQueue(configuration: Self.configuration), name: "memory", clock: clock, log: log, buildID: buildID)
  }

  private init(_ database: any DatabaseWriter, name: String, clock: any RegionClock, log: Logger, buildID: String?) throws {
    let migrator = Schema.migrator
    if try database.read({ try migrator.hasBeenSuperseded($0) }) {
      throw StoreOpenError(
        description: "\(name) was written by a newer release of Roadstead. Start that release, or restore a backup of the home.")
    }
    try migrator.migrate(database)
    self.database = database
    self.clock = clock
    self.log = log
    self.buildID = buildID ?? Self.executableID()
    writer = GroupWriter(database, observers)
  }

  private static var configuration: Configuration {
    var configuration = Configuration()
    configuration.foreignKeysEnabled = false
    configuration.busyMode = .timeout(10)
    configuration.label = "roadstead.store"
    // Whose readers stay open keep their prepared statements.
    configuration.persistentReadOnlyConnections = true
    return configuration
  }

  public func observe(_ observer: any StoreObserver) { observers.add(observer) }

  /// Copies the whole store, consistent as of one moment, to a new file. Blocks while it copies.
  public func backUp(to path: String) throws {
    let target = try DatabaseQueue(path: path)
    try database.backup(to: target)
  }

  private static func executableID() -> String {
    let path = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? "/proc/self/exe"
    let attributes = (try? FileManager.default.attributesOfItem(atPath: path)) ?? [:]
    let changed = (attributes[.modificationDate] as? Date)?.timeIntervalSince1970 ?? 0
    return "\(attributes[.size] ?? 0)-\(changed)"
  }
}
