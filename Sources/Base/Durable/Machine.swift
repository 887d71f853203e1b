public import RegionKit
public import RegionStore

/// A stored state machine: a record with a state. Its version is its transition number.
public protocol Machine: StoredRecord {
  associatedtype State: Hashable & Sendable
  var state: State { get set }
}

/// The machine is in a state from which this transition is not legal.
public struct IllegalTransition: Error, Sendable, CustomStringConvertible {
  public let transition: String
  public let machine: String
  public let state: String
  public let allowed: [String]
  public var description: String {
    "\(machine) is \(state); \(transition) is possible only from \(allowed.joined(separator: ", "))"
  }
}

/// One kind of step of a machine: the states it may begin in and what it changes. Pure: no I/O, no clock.
public struct Transition<M: Machine, Input: Sendable>: Sendable {
  public let name: String
  public let from: Set<M.State>
  public let apply: @Sendable (inout M, Input) throws -> Void

  public init(_ name: String, from: Set<M.State>, apply: @escaping @Sendable (inout M, Input) throws -> Void) {
    self.name = name
    self.from = from
    self.apply = apply
  }
  /// A step that only changes the state.
  public init(_ name: String, from: Set<M.State>, to state: M.State) {
    self.init(name, from: from) { machine, _ in machine.state = state }
  }

  public func isLegal(in state: M.State) -> Bool { from.contains(state) }

  /// The machine after the step. Throws `IllegalTransition` naming the legal states, or what `apply` throws.
  public func callAsFunction(_ machine: M, _ input: Input) throws -> M {
    guard isLegal(in: machine.state) else {
      throw IllegalTransition(
        transition: name, machine: M.collection, state: "\(machine.state)", allowed: from.map { "\($0)" }.sorted())
    }
    var machine = machine
    try apply(&machine, input)
    return machine
  }
}

extension Transition where Input == Void {
  public func callAsFunction(_ machine: M) throws -> M { try self(machine, ()) }
}

/// What one decision about a record comes to: the record as it shall be, and the tasks, events and further writes that go with it.
public struct Decision<Record: StoredRecord>: Sendable {
  public var record: Record
  public var tasks: [NewTask] = []
  public var events: [RegionEvent] = []
  /// Further writes of the same transaction.
  public var also = StoreCommit()

  public init(_ record: Record, tasks: [NewTask] = [], events: [RegionEvent] = []) {
    self.record = record
    self.tasks = tasks
    self.events = events
  }

  /// Everything in one commit that holds only while the record is as it was read.
  public func commit(replacing stored: Stored<Record>) throws -> StoreCommit {
    var commit = also
    try commit.put(record, in: stored.scope, id: stored.id, expecting: .version(stored.version))
    commit.tasks += tasks
    commit.events += events
    return commit
  }
}

extension Stored {
  /// The version this record has after the next write; what a task made by the transition is bound to.
  public var nextVersion: Int64 { version + 1 }
}

/// There is no such record to decide about.
public struct RecordMissing: Error, Sendable, CustomStringConvertible {
  public let key: StoreKey
  public init(key: StoreKey) { self.key = key }
  public var description: String { "there is no record \(key)" }
}

extension RegionStore {
  /// Reads a record, asks `decide` what becomes of it and commits that; when another writer was first, reads and decides again.
  /// - Parameter decide: pure; may be called several times. Nil leaves the record as it is.
  /// - Returns: the record as it lies in the store afterwards.
  /// - Throws: `RecordMissing`, what `decide` throws, or `StoreConflict` after `maximumRetries` lost races.
  @discardableResult
  public func transition<Record: StoredRecord>(
    _ type: Record.Type, in scope: Scope, id: String, maximumRetries: Int = 50,
    _ decide: (Stored<Record>) throws -> Decision<Record>?
  ) async throws -> Stored<Record> {
    var retries = 0
    while true {
      guard let stored = try await get(type, in: scope, id: id) else {
        throw RecordMissing(key: StoreKey(scope: scope, collection: Record.collection, id: id))
      }
      guard let decision = try decide(stored) else { return stored }
      do {
        try await commit(decision.commit(replacing: stored))
        return Stored(scope: scope, id: id, version: stored.nextVersion, value: decision.record)
      } catch let conflict as StoreConflict {
        retries += 1
        if retries > maximumRetries { throw conflict }
        await Task.yield()
      }
    }
  }
}
