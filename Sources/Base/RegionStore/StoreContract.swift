public import FoundationEssentials
public import RegionKit

/// A value kept in an ordered collection. One Swift type per collection; ids are unique in a scope and listed in byte order.
public protocol StoredRecord: Codable, Sendable {
  /// The collection's name, `service.noun`, e.g. `codedeploy.application`. Never changes once released.
  static var collection: String { get }
  /// Values of declared secondary indexes: index name to value. An index may be added later; the store rebuilds it.
  var indexValues: [String: String] { get }
  /// Names the way `indexValues` is made, e.g. `2`; change it whenever an index is added or made otherwise. Empty (the default): the store
  /// checks the whole collection once after each new build of the program, which costs microseconds a record.
  static var indexSchema: String { get }
}

extension StoredRecord {
  public static var indexSchema: String { "" }
  public var indexValues: [String: String] { [:] }
}

/// Where a record lies.
public struct StoreKey: Hashable, Sendable, Codable, CustomStringConvertible {
  public let scope: Scope
  public let collection: String
  public let id: String
  public init(scope: Scope, collection: String, id: String) {
    self.scope = scope
    self.collection = collection
    self.id = id
  }
  public var description: String { "\(scope)/\(collection)/\(id)" }
}

/// A record as read, with the version that a commit may demand.
public struct Stored<Record: StoredRecord>: Sendable {
  public let scope: Scope
  public let id: String
  /// Begins at 1 and grows by one with each write. For a machine this is its transition number.
  public let version: Int64
  public let value: Record
  public init(scope: Scope, id: String, version: Int64, value: Record) {
    self.scope = scope
    self.id = id
    self.version = version
    self.value = value
  }
}

/// What a write or precondition demands of the record as it is now.
public enum Expectation: Sendable, Equatable {
  case anything
  case absent
  case present
  case version(Int64)
}

/// A side effect that is due. Effects run only from task rows; see `Durable`.
public struct NewTask: Sendable {
  /// Unique; committing a task whose id exists already changes nothing (so a repeated transition schedules once).
  public var id: String
  /// Which handler runs it, e.g. `codedeploy.deployment.advance`.
  public var kind: String
  public var scope: Scope
  /// The record id of the machine the task belongs to.
  public var subject: String
  /// JSON.
  public var payload: [UInt8]
  public var due: Date
  /// The machine version it was made for; a handler drops the task when the machine has moved on. Nil: not bound to a version.
  public var expectedVersion: Int64?
  public init(
    id: String, kind: String, scope: Scope, subject: String, payload: [UInt8] = [], due: Date, expectedVersion: Int64? = nil
  ) {
    self.id = id
    self.kind = kind
    self.scope = scope
    self.subject = subject
    self.payload = payload
    self.due = due
    self.expectedVersion = expectedVersion
  }
}

/// Something that happened, in the shape of the EventBridge event that AWS emits for the same thing. Delivered at least once.
public struct RegionEvent: Sendable, Codable, Equatable {
  public var id: String
  /// `aws.codedeploy`, `aws.ec2`, …
  public var source: String
  /// `CodeDeploy Deployment State-change Notification`, …
  public var detailType: String
  public var scope: Scope
  public var time: Date
  public var resources: [String]
  /// JSON text.
  public var detail: String
  public init(
    id: String, source: String, detailType: String, scope: Scope, time: Date, resources: [String], detail: String
  ) {
    self.id = id
    self.source = source
    self.detailType = detailType
    self.scope = scope
    self.time = time
    self.resources = resources
    self.detail = detail
  }
}

/// Everything one decision changes, applied in one transaction or not at all.
public struct StoreCommit: Sendable {
  public struct Write: Sendable {
    public let key: StoreKey
    public let expectation: Expectation
    /// JSON of the record; nil deletes it (deleting what is absent is no error unless the expectation says so).
    public let json: [UInt8]?
    public let indexValues: [String: String]
  }
  public private(set) var writes: [Write] = []
  public private(set) var preconditions: [(key: StoreKey, expectation: Expectation)] = []
  public var tasks: [NewTask] = []
  /// Ids of task rows this commit ends.
  public var finishedTasks: [String] = []
  public var events: [RegionEvent] = []

  public init() {}

  public mutating func put<Record: StoredRecord>(
    _ record: Record, in scope: Scope, id: String, expecting expectation: Expectation = .anything
  ) throws {
    writes.append(
      Write(
        key: StoreKey(scope: scope, collection: Record.collection, id: id), expectation: expectation,
        json: Array(try RecordCoding.encode(record)), indexValues: record.indexValues))
  }
  public mutating func delete<Record: StoredRecord>(
    _ type: Record.Type, in scope: Scope, id: String, expecting expectation: Expectation = .anything
  ) {
    writes.append(
      Write(
        key: StoreKey(scope: scope, collection: Record.collection, id: id), expectation: expectation, json: nil,
        indexValues: [:]))
  }
  /// Demands something of a record that this commit does not write.
  public mutating func require<Record: StoredRecord>(
    _ type: Record.Type, in scope: Scope, id: String, _ expectation: Expectation
  ) {
    preconditions.append((StoreKey(scope: scope, collection: Record.collection, id: id), expectation))
  }
}

/// A commit lost a race: a record was not as expected. The caller reads again and decides again.
public struct StoreConflict: Error, Sendable, CustomStringConvertible {
  public let key: StoreKey
  public let expected: Expectation
  public init(key: StoreKey, expected: Expectation) {
    self.key = key
    self.expected = expected
  }
  public var description: String { "\(key) is not \(expected)" }
}

/// How much of a collection to list, in id order (or, with `index`, in id order among the records with that index value).
public struct StoreQuery: Sendable {
  public var prefix: String = ""
  /// Exclusive lower bound of the id.
  public var after: String?
  public var limit: Int = .max
  public var index: (name: String, value: String)?
  public init(prefix: String = "", after: String? = nil, limit: Int = .max, index: (name: String, value: String)? = nil) {
    self.prefix = prefix
    self.after = after
    self.limit = limit
    self.index = index
  }
}

/// The region's one store. No closure runs inside a database transaction; an answered commit is on disk.
public protocol RegionStore: Sendable {
  func get<Record: StoredRecord>(_ type: Record.Type, in scope: Scope, id: String) async throws -> Stored<Record>?
  func list<Record: StoredRecord>(_ type: Record.Type, in scope: Scope, _ query: StoreQuery) async throws -> [Stored<Record>]
  /// The same over every account and region (for reconcilers and start-up), ordered by scope and id.
  func listAll<Record: StoredRecord>(_ type: Record.Type) async throws -> [Stored<Record>]
  /// Throws `StoreConflict` and changes nothing when an expectation does not hold.
  func commit(_ commit: StoreCommit) async throws
}

extension RegionStore {
  public func list<Record: StoredRecord>(_ type: Record.Type, in scope: Scope) async throws -> [Stored<Record>] {
    try await list(type, in: scope, StoreQuery())
  }
}

/// How records become bytes: JSON with sorted keys and ISO-independent dates (seconds since 1970), stable across releases.
public enum RecordCoding {
  public static func encode<Value: Encodable>(_ value: Value) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    encoder.dateEncodingStrategy = .secondsSince1970
    return try encoder.encode(value)
  }
  public static func decode<Value: Decodable>(_ type: Value.Type, from bytes: some Sequence<UInt8>) throws -> Value {
    let decoder = JSONDecoder()
    decoder.dateDecodingStrategy = .secondsSince1970
    return try decoder.decode(type, from: (bytes as? Data) ?? Data(bytes))
  }
}
