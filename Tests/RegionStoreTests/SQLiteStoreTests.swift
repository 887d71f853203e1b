import Foundation
import GRDB
import Logging
import RegionKit
import RegionStore
import RoadsteadTesting
import XCTest

private let here = Scope(account: AccountID("111111111111"), region: RegionName("us-east-1"))
private let quiet = Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() }

private struct Note: StoredRecord, Equatable {
  static let collection = "test.note"
  var text: String
}
/// The same records as a later release declares them, with an index.
private struct IndexedNote: StoredRecord, Equatable {
  static let collection = "test.note"
  var text: String
  var indexValues: [String: String] { ["first": String(text.prefix(1))] }
}

final class SQLiteStoreTests: XCTestCase {
  private func put<R: StoredRecord>(_ store: any RegionStore, _ id: String, _ record: R, _ expecting: Expectation = .anything)
    async throws
  {
    var commit = StoreCommit()
    try commit.put(record, in: here, id: id, expecting: expecting)
    try await store.commit(commit)
  }

  /// Random commits of many callers at once: each is applied whole or refused whole, and versions count exactly the applied writes.
  func testConcurrentCommitsConflictAlone() async throws {
    let folder = try TemporaryFolder()
    let store = try SQLiteStore(path: folder.path + "/s.db", log: quiet)
    let ids = (0..<12).map { "n\($0)" }
    for id in ids { try await put(store, id, Note(text: "0")) }
    let applied = try await withThrowingTaskGroup(of: [String: Int64].self) { group in
      for caller in 0..<24 {
        group.addTask {
          var generator = SeededGenerator(seed: UInt64(caller))
          var applied: [String: Int64] = [:]
          for _ in 0..<40 {
            let chosen = Array(ids.shuffled(using: &generator).prefix(1 + generator.below(3)))
            var commit = StoreCommit()
            for id in chosen {
              guard let read = try await store.get(Note.self, in: here, id: id) else { throw StoreConflictMissing() }
              try commit.put(
                Note(text: String((Int(read.value.text) ?? -1) + 1)), in: here, id: id, expecting: .version(read.version))
            }
            do {
              try await store.commit(commit)
              for id in chosen { applied[id, default: 0] += 1 }
            } catch is StoreConflict {}
          }
          return applied
        }
      }
      return try await group.reduce(into: [:] as [String: Int64]) { $0.merge($1, uniquingKeysWith: +) }
    }
    XCTAssertGreaterThan(applied.values.reduce(0, +), 40)
    for id in ids {
      let read = try await store.get(Note.self, in: here, id: id)
      XCTAssertEqual(read?.version, 1 + applied[id, default: 0], id)
      XCTAssertEqual(read?.value.text, String(applied[id, default: 0]), "a write of \(id) was lost or half applied")
    }
  }
  private struct StoreConflictMissing: Error {}

  func testReopening() async throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/s.db"
    do {
      let store = try SQLiteStore(path: path, log: quiet)
      try await put(store, "a", Note(text: "kept"))
      var commit = StoreCommit()
      commit.tasks = [NewTask(id: "t", kind: "k", scope: here, subject: "a", due: Date(timeIntervalSince1970: 5))]
      commit.events = [
        RegionEvent(id: "e", source: "s", detailType: "d", scope: here, time: Date(timeIntervalSince1970: 5), resources: [], detail: "{}")
      ]
      try await store.commit(commit)
    }
    let store = try SQLiteStore(path: path, log: quiet)
    let note = try await store.get(Note.self, in: here, id: "a")
    XCTAssertEqual(note?.value.text, "kept")
    let tasks = try await store.pendingTasks()
    XCTAssertEqual(tasks.map(\.id), ["t"])
    let events = try await store.events(after: 0, limit: 5).events
    XCTAssertEqual(events.map(\.event.id), ["e"])
    // Positions are never used twice, even after every event was deleted.
    _ = try await store.pruneEvents(through: 1, before: .distantFuture)
    var commit = StoreCommit()
    commit.events = events.map(\.event)
    try await store.commit(commit)
    let again = try await store.events(after: 0, limit: 5).events
    XCTAssertEqual(again.map(\.position), [2])
  }

  func testAnAnsweredCommitIsSyncedAndTheFileIsWAL() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/s.db"
    let store = try SQLiteStore(path: path, log: quiet)
    let mode = try DatabaseQueue(path: path).read { try String.fetchOne($0, sql: "PRAGMA journal_mode") }
    XCTAssertEqual(mode, "wal")
    withExtendedLifetime(store) {}
  }

  func testAStoreOfANewerReleaseIsLeftAlone() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/s.db"
    _ = try SQLiteStore(path: path, log: quiet)
    try DatabaseQueue(path: path).write {
      try $0.execute(sql: "INSERT INTO grdb_migrations (identifier) VALUES ('99 from the future')")
    }
    XCTAssertThrowsError(try SQLiteStore(path: path, log: quiet)) { XCTAssertTrue("\($0)".contains("newer release"), "\($0)") }
  }

  func testAnIndexAddedLaterIsRebuilt() async throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/s.db"
    do {
      let store = try SQLiteStore(path: path, log: quiet, buildID: "1")
      for number in 0..<1_200 { try await put(store, "n\(number)", Note(text: number % 3 == 0 ? "apple" : "pear")) }
      let none = try await store.list(Note.self, in: here, StoreQuery(index: ("first", "a")))
      XCTAssertEqual(none.count, 0)
    }
    do {
      let store = try SQLiteStore(path: path, log: quiet, buildID: "2")
      let apples = try await store.list(IndexedNote.self, in: here, StoreQuery(index: ("first", "a")))
      XCTAssertEqual(apples.count, 400)
      XCTAssertTrue(apples.allSatisfy { $0.version == 1 }, "an index is no new version")
    }
    // And one that is declared no more goes away.
    let store = try SQLiteStore(path: path, log: quiet, buildID: "3")
    let none = try await store.list(Note.self, in: here, StoreQuery(index: ("first", "a")))
    XCTAssertEqual(none.count, 0)
  }

  func testADamagedEventAndRecordAreQuarantined() async throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/s.db"
    do {
      let store = try SQLiteStore(path: path, log: quiet)
      for id in ["a", "b", "c"] { try await put(store, id, Note(text: id)) }
      for id in ["e1", "e2"] {
        var commit = StoreCommit()
        commit.events = [
          RegionEvent(id: id, source: "s", detailType: "d", scope: here, time: .distantPast, resources: [], detail: "{}")
        ]
        try await store.commit(commit)
      }
    }
    try await DatabaseQueue(path: path).write {
      try $0.execute(sql: "UPDATE record SET json = x'00ff7b' WHERE id = 'b'; UPDATE event SET json = '{' WHERE position = 1")
    }
    let store = try SQLiteStore(path: path, log: quiet)
    let notes = try await store.list(Note.self, in: here)
    XCTAssertEqual(notes.map(\.id), ["a", "c"])
    let events = try await store.events(after: 0, limit: 10)
    XCTAssertEqual(events.events.map(\.event.id), ["e2"])
    XCTAssertEqual(events.scannedTo, 2)
    let rows = try await store.quarantined()
    XCTAssertEqual(rows.map { "\($0.key.collection) \($0.key.id)" }, ["event 1", "test.note b"])
    XCTAssertEqual(rows.last?.content, [0, 0xff, 0x7b])
    // It can be replaced; the copy stays.
    try await put(store, "b", Note(text: "new"), .version(1))
    let repaired = try await store.get(Note.self, in: here, id: "b")
    XCTAssertEqual(repaired?.version, 2)
    let kept = try await store.quarantined()
    XCTAssertEqual(kept.count, 2)
  }

  func testFactsOfTheHome() async throws {
    let folder = try TemporaryFolder()
    do {
      let store = try SQLiteStore(path: folder.path + "/s.db", log: quiet)
      let none = try await store.homeValue("account")
      XCTAssertNil(none)
      try await store.setHomeValue("account", "111111111111")
    }
    let store = try SQLiteStore(path: folder.path + "/s.db", log: quiet)
    let kept = try await store.setHomeValue("account", "222222222222")
    XCTAssertEqual(kept, "111111111111")
    let replaced = try await store.setHomeValue("account", "222222222222", replacing: true)
    XCTAssertEqual(replaced, "222222222222")
  }

  func testBackUp() async throws {
    let folder = try TemporaryFolder()
    let store = try SQLiteStore(path: folder.path + "/s.db", log: quiet)
    try await put(store, "a", Note(text: "kept"))
    try store.backUp(to: folder.path + "/copy.db")
    try await put(store, "b", Note(text: "later"))
    let copy = try SQLiteStore(path: folder.path + "/copy.db", log: quiet)
    let notes = try await copy.list(Note.self, in: here)
    XCTAssertEqual(notes.map(\.id), ["a"])
  }
}

final class HomeLockTests: XCTestCase {
  func testASecondHolderIsToldWhoAndSinceWhen() throws {
    let folder = try TemporaryFolder()
    let home = folder.path + "/home"
    let clock = VirtualClock()
    var lock: HomeLock? = try HomeLock(home: home, clock: clock, command: "roadstead up --port\n4566")
    XCTAssertThrowsError(try HomeLock(home: home, clock: clock, command: "second")) { error in
      guard let held = error as? HomeLock.Held else { return XCTFail("\(error)") }
      XCTAssertEqual(held.pid, String(ProcessInfo.processInfo.processIdentifier))
      XCTAssertEqual(held.since, "2026-01-01T00:00:00Z")
      XCTAssertEqual(held.command, "roadstead up --port 4566")
      XCTAssertTrue(held.description.contains("since 2026-01-01T00:00:00Z"))
    }
    withExtendedLifetime(lock) {}
    lock = nil
    XCTAssertNoThrow(try HomeLock(home: home, clock: clock, command: "third"))
  }

  func testAHomeThatCannotBeMade() throws {
    let folder = try TemporaryFolder()
    XCTAssertThrowsError(try HomeLock(home: folder.path + "/no/such/parent", clock: VirtualClock(), command: "")) {
      XCTAssertTrue("\($0)".contains("cannot be made"), "\($0)")
    }
  }
}
