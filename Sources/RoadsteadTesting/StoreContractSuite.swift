import FoundationEssentials
import RegionKit
public import RegionStore

/// A rule of the store contract was broken.
public struct StoreContractViolation: Error, Sendable, CustomStringConvertible {
  public let rule: String
  public let found: String
  public var description: String { "\(rule): \(found)" }
}

/// What every `DurableStore` must do, whatever lies underneath. Each rule gets an empty store from `make`.
public struct StoreContractSuite: Sendable {
  public static let rules: [(name: String, check: @Sendable (any DurableStore) async throws -> Void)] =
    recordRules + taskRules + eventRules

  /// Checks all rules; throws at the first one broken.
  public static func run(_ make: () async throws -> any DurableStore) async throws {
    for rule in rules {
      do { try await rule.check(try await make()) } catch let violation as StoreContractViolation { throw violation } catch {
        throw StoreContractViolation(rule: rule.name, found: "threw \(error)")
      }
    }
  }

  struct Item: StoredRecord, Equatable {
    static let collection = "contract.item"
    var name: String
    var color: String?
    var indexValues: [String: String] { color.map { ["color": $0] } ?? [:] }
  }
  static let here = Scope(account: AccountID("111111111111"), region: RegionName("us-east-1"))
  static let there = Scope(account: AccountID("111111111111"), region: RegionName("eu-west-1"))
  static let other = Scope(account: AccountID("222222222222"), region: RegionName("us-east-1"))

  static func expect(_ holds: Bool, _ rule: String, _ found: @autoclosure () -> String = "it does not hold") throws {
    if !holds { throw StoreContractViolation(rule: rule, found: found()) }
  }
  static func expectEqual<T: Equatable>(_ found: T, _ wanted: T, _ rule: String) throws {
    try expect(found == wanted, rule, "found \(found), wanted \(wanted)")
  }
  static func expectConflict(_ rule: String, _ body: () async throws -> Void) async throws {
    do { try await body() } catch is StoreConflict { return }
    throw StoreContractViolation(rule: rule, found: "no StoreConflict")
  }
  static func put(
    _ store: any DurableStore, _ id: String, _ item: Item, in scope: Scope = here, expecting: Expectation = .anything
  ) async throws {
    var commit = StoreCommit()
    try commit.put(item, in: scope, id: id, expecting: expecting)
    try await store.commit(commit)
  }
  static func ids(_ store: any DurableStore, _ query: StoreQuery, in scope: Scope = here) async throws -> [String] {
    try await store.list(Item.self, in: scope, query).map(\.id)
  }

  typealias Rule = (name: String, check: @Sendable (any DurableStore) async throws -> Void)

  static let recordRules: [Rule] = [
    (
      "versions begin at 1 and grow by one",
      { store in
        try await put(store, "a", Item(name: "one"))
        try await put(store, "a", Item(name: "two"), expecting: .version(1))
        let read = try await store.get(Item.self, in: here, id: "a")
        try expectEqual(read?.version, 2, "version after two writes")
        try expectEqual(read?.value, Item(name: "two"), "value after two writes")
        let elsewhere = try await store.get(Item.self, in: there, id: "a")
        try expect(elsewhere == nil, "another region has its own records")
      }
    ),
    (
      "expectations",
      { store in
        try await expectConflict("present of nothing") { try await put(store, "a", Item(name: "x"), expecting: .present) }
        try await expectConflict("version of nothing") { try await put(store, "a", Item(name: "x"), expecting: .version(1)) }
        try await put(store, "a", Item(name: "x"), expecting: .absent)
        try await expectConflict("absent of something") { try await put(store, "a", Item(name: "y"), expecting: .absent) }
        try await expectConflict("old version") { try await put(store, "a", Item(name: "y"), expecting: .version(2)) }
        try await put(store, "a", Item(name: "y"), expecting: .present)
        var commit = StoreCommit()
        commit.delete(Item.self, in: here, id: "a", expecting: .version(2))
        commit.delete(Item.self, in: here, id: "never there")
        try await store.commit(commit)
        try expectEqual(try await store.version(of: StoreKey(scope: here, collection: Item.collection, id: "a")), nil, "deleted")
      }
    ),
    (
      "a commit is applied whole or not at all",
      { store in
        try await put(store, "guard", Item(name: "g"))
        var commit = StoreCommit()
        try commit.put(Item(name: "x", color: "red"), in: here, id: "x")
        commit.tasks.append(task("t"))
        commit.events.append(event("e"))
        commit.require(Item.self, in: here, id: "guard", .version(7))
        let refused = commit
        try await expectConflict("precondition") { try await store.commit(refused) }
        try expectEqual(try await ids(store, StoreQuery()), ["guard"], "records after a refused commit")
        try expectEqual(try await ids(store, StoreQuery(index: ("color", "red"))), [], "index after a refused commit")
        try expectEqual(try await store.pendingTasks().count, 0, "tasks after a refused commit")
        try expectEqual(try await store.events(after: 0, limit: 9).events.count, 0, "events after a refused commit")
      }
    ),
    (
      "expectations are judged before the commit, and a second write builds on the first",
      { store in
        var commit = StoreCommit()
        try commit.put(Item(name: "1", color: "red"), in: here, id: "a", expecting: .absent)
        try commit.put(Item(name: "2", color: "blue"), in: here, id: "a", expecting: .absent)
        try await store.commit(commit)
        let read = try await store.get(Item.self, in: here, id: "a")
        try expectEqual(read?.version, 2, "version")
        try expectEqual(read?.value.name, "2", "last write wins")
        try expectEqual(try await ids(store, StoreQuery(index: ("color", "red"))), [], "index of the first write")
        try expectEqual(try await ids(store, StoreQuery(index: ("color", "blue"))), ["a"], "index of the second write")
      }
    ),
    (
      "ids are listed in byte order, by prefix, page and scope",
      { store in
        // é composed and decomposed are two ids; U+FFFF sorts below U+10000 in UTF-8 though not in UTF-16.
        let all = ["", "a", "a/", "a/b", "a/é", "a/e\u{301}", "ab", "b\u{0}c", "b", "z\u{FFFF}", "z\u{10000}", "Z"]
        for id in all { try await put(store, id, Item(name: id)) }
        try await put(store, "elsewhere", Item(name: ""), in: there)
        let sorted = all.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        func same(_ found: [String], _ wanted: [String], _ rule: String) throws {
          try expectEqual(found.map { Array($0.utf8) }, wanted.map { Array($0.utf8) }, rule)
        }
        try same(try await ids(store, StoreQuery()), sorted, "all")
        for prefix in ["a", "a/", "b", "z", "a/e", "zz"] {
          let wanted = sorted.filter { $0.utf8.starts(with: prefix.utf8) }
          try same(try await ids(store, StoreQuery(prefix: prefix)), wanted, "prefix \(prefix)")
          for limit in 1...3 {
            var paged: [String] = []
            while true {
              let page = try await ids(store, StoreQuery(prefix: prefix, after: paged.last, limit: limit))
              paged += page
              if page.count < limit { break }
            }
            try same(paged, wanted, "pages of \(limit) with prefix \(prefix)")
          }
        }
        try same(try await ids(store, StoreQuery(limit: 0)), [], "no limit")
        let everywhere = try await store.listAll(Item.self)
        try same(everywhere.map(\.id), ["elsewhere"] + sorted, "every scope")
      }
    ),
    (
      "indexes follow their records",
      { store in
        for number in 0..<30 { try await put(store, "i\(number + 10)", Item(name: "", color: number % 3 == 0 ? "red" : nil)) }
        try expectEqual(try await ids(store, StoreQuery(index: ("color", "red"))).count, 10, "red ones")
        try expectEqual(try await ids(store, StoreQuery(after: "i10", limit: 2, index: ("color", "red"))), ["i13", "i16"], "page")
        try await put(store, "i10", Item(name: "", color: "blue"))
        try await put(store, "i13", Item(name: ""))
        var commit = StoreCommit()
        commit.delete(Item.self, in: here, id: "i16")
        try await store.commit(commit)
        try expectEqual(try await ids(store, StoreQuery(index: ("color", "red"))).count, 7, "red ones after changes")
        try expectEqual(try await ids(store, StoreQuery(index: ("color", "blue"))), ["i10"], "blue ones")
        try expectEqual(try await ids(store, StoreQuery(index: ("shape", "red"))), [], "an index nobody has")
        try expectEqual(try await ids(store, StoreQuery(index: ("color", "red")), in: other), [], "another account")
      }
    ),
    (
      "an unreadable row is kept, reported and does not break listing",
      { store in
        struct Old: StoredRecord {
          static let collection = "contract.item"
          var quite: Int
        }
        for id in ["a", "c", "d"] { try await put(store, id, Item(name: id)) }
        var commit = StoreCommit()
        try commit.put(Old(quite: 1), in: here, id: "b")
        try await store.commit(commit)
        try expectEqual(try await ids(store, StoreQuery()), ["a", "c", "d"], "listing past it")
        try expectEqual(try await ids(store, StoreQuery(limit: 2)), ["a", "c"], "a full page past it")
        let rows = try await store.quarantined()
        try expectEqual(rows.map(\.key.id), ["b"], "quarantine, once")
        try expectEqual(rows.first.map { String(decoding: $0.content, as: UTF8.self) }, #"{"quite":1}"#, "its content")
        do {
          _ = try await store.get(Item.self, in: here, id: "b")
          throw StoreContractViolation(rule: "get of an unreadable row", found: "no error")
        } catch is UnreadableRecord {}
        try expectEqual(try await store.get(Old.self, in: here, id: "b")?.value.quite, 1, "it stays where it is")
        if let row = rows.first { try await store.dismissQuarantined(row.key, version: row.version) }
        try expectEqual(try await store.quarantined().count, 0, "dismissed")
      }
    ),
  ]
}
