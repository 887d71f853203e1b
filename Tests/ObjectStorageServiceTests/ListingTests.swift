import FoundationEssentials
import RegionKit
import RegionStore
import RoadsteadTesting
import Synchronization
import WireModel
import XCTest

@testable import ObjectStorageService

/// Listings against what a naive model makes of the same keys.
final class ListingTests: XCTestCase {
  private func sorted(_ keys: some Sequence<String>) -> [String] {
    var unique: [[UInt8]: String] = [:]
    for key in keys { unique[Array(key.utf8)] = key }
    return unique.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value)
  }

  /// What a listing shows, in order: keys and groups.
  private func model(_ keys: [String], prefix: String, delimiter: String, after: String) -> [String] {
    var out: [[UInt8]] = []
    for key in keys.map({ Array($0.utf8) }) where key.starts(with: prefix.utf8) {
      var shown = key
      let wanted = Array(delimiter.utf8)
      if !wanted.isEmpty {
        let rest = Array(key.dropFirst(prefix.utf8.count))
        var i = 0
        while i + wanted.count <= rest.count {
          if Array(rest[i..<(i + wanted.count)]) == wanted {
            shown = Array(key[..<(prefix.utf8.count + i + wanted.count)])
            break
          }
          i += 1
        }
      }
      if !after.isEmpty, !Array(after.utf8).lexicographicallyPrecedes(shown) { continue }
      if !after.isEmpty, shown == key, !Array(after.utf8).lexicographicallyPrecedes(key) { continue }
      if out.last != shown { out.append(shown) }
    }
    return out.map { String(decoding: $0, as: UTF8.self) }
  }

  private func shown(_ page: [String: WireValue]) -> [String] { sorted(page.keys_ + page.prefixes) }

  func testRandomKeysPrefixesDelimitersAndPageSizes() async throws {
    var generator = SeededGenerator(seed: 31)
    for round in 0..<4 {
      let s3 = try S3Bench(store: round == 0 ? nil : MemoryStore())
      try await s3.make("bkt")
      try await s3.make("neighbour")
      var keys: [String] = []
      for _ in 0..<120 {
        let key = NamingTests.exotic(&generator, most: 5)
        keys.append(key)
        try await s3.put("bkt", key, [])
        try await s3.put("neighbour", key + "x", [])
      }
      keys = sorted(keys)
      for _ in 0..<25 {
        let prefix = generator.chance(0.5) ? "" : String(keys[generator.below(keys.count)].unicodeScalars.prefix(1 + generator.below(2)))
        let delimiter = ["", "/", "a", "//", "é", "!", "/a"][generator.below(7)]
        let after = generator.chance(0.6) ? "" : keys[generator.below(keys.count)]
        let size = 1 + generator.below(generator.chance(0.5) ? 5 : 150)
        let expected = model(keys, prefix: prefix, delimiter: delimiter, after: after)
        let name = "round \(round) prefix \(prefix.debugDescription) delimiter \(delimiter) after \(after.debugDescription) size \(size)"
        let v2 = try await walkV2(s3, prefix, delimiter, after, size)
        XCTAssertEqual(v2.map { Array($0.utf8) }, expected.map { Array($0.utf8) }, "V2 " + name)
        let v1 = try await walkV1(s3, prefix, delimiter, after, size)
        XCTAssertEqual(v1.map { Array($0.utf8) }, expected.map { Array($0.utf8) }, "V1 " + name)
      }
    }
  }

  private func walkV2(_ s3: S3Bench, _ prefix: String, _ delimiter: String, _ after: String, _ size: Int) async throws -> [String] {
    var out: [String] = []
    var token: String?
    while true {
      var input: [String: WireValue] = ["Bucket": .string("bkt"), "MaxKeys": .int(Int64(size)), "Prefix": .string(prefix)]
      if !delimiter.isEmpty { input["Delimiter"] = .string(delimiter) }
      if let token { input["ContinuationToken"] = .string(token) } else if !after.isEmpty { input["StartAfter"] = .string(after) }
      let page = try await s3.run("ListObjectsV2", input)
      let items = shown(page)
      XCTAssertLessThanOrEqual(items.count, size)
      XCTAssertEqual(page.number("KeyCount"), items.count)
      out += items
      guard page.flag("IsTruncated") == true else { return out }
      XCTAssertEqual(items.count, size, "a truncated page is full")
      token = page.text("NextContinuationToken")
      XCTAssertNotNil(token)
    }
  }

  private func walkV1(_ s3: S3Bench, _ prefix: String, _ delimiter: String, _ after: String, _ size: Int) async throws -> [String] {
    var out: [String] = []
    var marker = after
    while true {
      var input: [String: WireValue] = ["Bucket": .string("bkt"), "MaxKeys": .int(Int64(size)), "Prefix": .string(prefix)]
      if !delimiter.isEmpty { input["Delimiter"] = .string(delimiter) }
      if !marker.isEmpty { input["Marker"] = .string(marker) }
      let page = try await s3.run("ListObjects", input)
      out += shown(page)
      guard page.flag("IsTruncated") == true else { return out }
      XCTAssertEqual(page.text("NextMarker") != nil, !delimiter.isEmpty, "S3 names the next marker only with a delimiter")
      marker = page.text("NextMarker") ?? page.keys_.last ?? ""
    }
  }

  func testDetailsOfTheAnswers() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    for key in ["a b/c+d", "a b/é", "z\u{1}"] { try await s3.put("bkt", key, bytes("x")) }
    let encoded = try await s3.run(
      "ListObjectsV2", ["Bucket": .string("bkt"), "EncodingType": .string("url"), "FetchOwner": .bool(true), "Prefix": .string("a b/")])
    XCTAssertEqual(encoded.keys_, ["a%20b/c%2Bd", "a%20b/%C3%A9"])
    XCTAssertEqual(encoded.text("Prefix"), "a%20b/")
    let first = encoded.list("Contents").first ?? [:]
    XCTAssertEqual(first.object("Owner").text("ID")?.count, 64)
    XCTAssertEqual(first.text("ETag"), "\"9dd4e461268c8034f5c8564e155c67a6\"")
    XCTAssertEqual(first.text("StorageClass"), "STANDARD")
    XCTAssertEqual(first.number("Size"), 1)
    let plain = try await s3.run("ListObjectsV2", ["Bucket": .string("bkt")])
    XCTAssertEqual(plain.list("Contents").first?.object("Owner").isEmpty, true)
    XCTAssertEqual(plain.number("MaxKeys"), 1000)
    let none = try await s3.run("ListObjectsV2", ["Bucket": .string("bkt"), "MaxKeys": .int(0)])
    XCTAssertEqual([none.flag("IsTruncated"), none.number("KeyCount") == 0], [false, true])
    let many = try await s3.run("ListObjectsV2", ["Bucket": .string("bkt"), "MaxKeys": .int(5000)])
    XCTAssertEqual(many.number("MaxKeys"), 1000)
    await assertError("InvalidArgument") { try await s3.run("ListObjectsV2", ["Bucket": .string("bkt"), "MaxKeys": .int(-1)]) }
    await assertError("InvalidArgument") { try await s3.run("ListObjects", ["Bucket": .string("bkt"), "EncodingType": .string("xml")]) }
    await assertError("InvalidArgument") {
      try await s3.run("ListObjectsV2", ["Bucket": .string("bkt"), "ContinuationToken": .string("x")])
    }
    await assertError("NoSuchBucket") { try await s3.run("ListObjects", ["Bucket": .string("nowhere")]) }
  }

  /// A page must not cost more because the bucket is large: rows read are counted.
  func testCostDoesNotGrowWithTheBucket() async throws {
    let counter = CountingStore(MemoryStore())
    let s3 = try S3Bench(store: counter)
    try await s3.make("bkt")
    for i in 0..<3000 { try await s3.put("bkt", "dir\(i % 3)/file\(i)", []) }
    counter.reset()
    let groups = try await s3.run("ListObjectsV2", ["Bucket": .string("bkt"), "Delimiter": .string("/")])
    XCTAssertEqual(groups.prefixes, ["dir0/", "dir1/", "dir2/"])
    XCTAssertLessThan(counter.rows, 150, "three groups of a thousand keys each")
    counter.reset()
    let page = try await s3.run("ListObjectsV2", ["Bucket": .string("bkt"), "MaxKeys": .int(10), "StartAfter": .string("dir1/")])
    XCTAssertEqual(page.keys_.count, 10)
    XCTAssertLessThan(counter.rows, 20)
  }
}

/// Counts the rows that listings read.
final class CountingStore: RegionStore, @unchecked Sendable {
  private let inner: MemoryStore
  private let lock = Mutex(())
  private var count = 0
  init(_ inner: MemoryStore) { self.inner = inner }
  var rows: Int { lock.withLock { _ in count } }
  func reset() { lock.withLock { _ in count = 0 } }
  func get<Record: StoredRecord>(_ type: Record.Type, in scope: Scope, id: String) async throws -> Stored<Record>? {
    try await inner.get(type, in: scope, id: id)
  }
  func list<Record: StoredRecord>(_ type: Record.Type, in scope: Scope, _ query: StoreQuery) async throws -> [Stored<Record>] {
    let found = try await inner.list(type, in: scope, query)
    lock.withLock { _ in count += found.count }
    return found
  }
  func listAll<Record: StoredRecord>(_ type: Record.Type) async throws -> [Stored<Record>] { try await inner.listAll(type) }
  func commit(_ commit: StoreCommit) async throws { try await inner.commit(commit) }
}
