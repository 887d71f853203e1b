import FoundationEssentials
import Ports
import RegionKit
import RoadsteadTesting
import WireModel
import XCTest

@testable import ObjectStorageService

/// Versioning against a list of versions kept by hand.
final class VersioningTests: XCTestCase {
  private struct Entry: Equatable {
    var id: String
    var content: [UInt8]?
  }

  private struct Model {
    /// Newest first, by key.
    var keys: [String: [Entry]] = [:]
    var status: String?

    mutating func put(_ key: String, _ content: [UInt8]?, id: String) {
      var list = keys[key] ?? []
      if status != "Enabled" { list.removeAll { $0.id == "null" } }
      list.insert(Entry(id: id, content: content), at: 0)
      keys[key] = list
    }
    mutating func delete(_ key: String, markerId: String?) {
      if status == nil { keys[key] = nil } else if let markerId { put(key, nil, id: markerId) }
    }
    mutating func remove(_ key: String, _ id: String) {
      keys[key]?.removeAll { $0.id == id }
      if keys[key]?.isEmpty == true { keys[key] = nil }
    }
    var sortedKeys: [String] { keys.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) } }
    var all: [String] {
      sortedKeys.flatMap { key in
        (keys[key] ?? []).enumerated().map { "\(key) \($1.id) \($1.content == nil ? "marker" : "object") \($0 == 0)" }
      }
    }
    var current: [String] { sortedKeys.filter { keys[$0]?.first?.content != nil } }
  }

  func testAgainstAModel() async throws {
    for seed in UInt64(1)...8 {
      var generator = SeededGenerator(seed: seed)
      let s3 = try S3Bench(store: seed == 1 ? nil : MemoryStore(), seed: seed)
      try await s3.make("bkt")
      var model = Model()
      let keys = ["a", "a/b", "b", "é"]
      for step in 0..<150 {
        let key = keys[generator.below(keys.count)]
        s3.clock.advance(by: generator.chance(0.3) ? 1 : 0)
        switch generator.below(10) {
        case 0:
          let status = generator.chance(0.6) ? "Enabled" : "Suspended"
          try await s3.version("bkt", status)
          model.status = status
        case 1...4:
          let content = bytes("\(step)") + (generator.chance(0.1) ? [UInt8](repeating: 0, count: 17_000) : [])
          let put = try await s3.put("bkt", key, content)
          XCTAssertEqual(put.text("VersionId") != nil, model.status == "Enabled")
          model.put(key, content, id: put.text("VersionId") ?? "null")
        case 5, 6:
          let done = try await s3.run("DeleteObject", ["Bucket": .string("bkt"), "Key": .string(key)])
          XCTAssertEqual(done.flag("DeleteMarker") ?? false, model.status != nil)
          model.delete(key, markerId: done.text("VersionId"))
        default:
          let list = model.keys[key] ?? []
          let id = list.isEmpty || generator.chance(0.1) ? "null" : list[generator.below(list.count)].id
          let done = try await s3.run("DeleteObject", ["Bucket": .string("bkt"), "Key": .string(key), "VersionId": .string(id)])
          let was = list.first { $0.id == id }
          XCTAssertEqual(done.flag("DeleteMarker") ?? false, was.map { $0.content == nil } ?? false)
          model.remove(key, id)
        }
        if step % 10 == 0 { try await compare(s3, model, &generator, "seed \(seed) step \(step)") }
      }
      try await s3.runTasks()
      let files = model.keys.values.joined().filter { ($0.content?.count ?? 0) > 16_384 }
      XCTAssertEqual(s3.content.ids.count, files.count, "every byte that no version names is gone (seed \(seed))")
    }
  }

  private func compare(_ s3: S3Bench, _ model: Model, _ generator: inout SeededGenerator, _ name: String) async throws {
    let listed = try await s3.run("ListObjectsV2", ["Bucket": .string("bkt")])
    XCTAssertEqual(listed.keys_, model.current, name)
    // Pages of one tell the whole order; larger ones list objects and markers apart.
    let one = try await walk(s3, 1)
    XCTAssertEqual(one, model.all, "\(name) in pages of one")
    let size = 2 + generator.below(6)
    let walked = try await walk(s3, size)
    XCTAssertEqual(walked.sorted(), model.all.sorted(), "\(name) in pages of \(size)")
    for (key, list) in model.keys {
      for entry in list {
        let input: [String: WireValue] = ["VersionId": .string(entry.id)]
        if let content = entry.content {
          let (fields, got) = try await s3.get("bkt", key, input)
          XCTAssertEqual(got, content, name)
          if model.status != nil { XCTAssertEqual(fields.text("VersionId"), entry.id) }
        } else {
          await assertError("MethodNotAllowed", status: 405) { _ = try await s3.get("bkt", key, input) }
        }
      }
      if list.first?.content == nil {
        let error = await assertError("NoSuchKey", status: 404) { _ = try await s3.get("bkt", key) }
        XCTAssertEqual(error?.headers["x-amz-delete-marker"], "true")
        XCTAssertEqual(error?.headers["x-amz-version-id"], list.first?.id)
      }
    }
  }

  private func walk(_ s3: S3Bench, _ size: Int) async throws -> [String] {
    var out: [String] = []
    var input: [String: WireValue] = ["Bucket": .string("bkt"), "MaxKeys": .int(Int64(size))]
    while true {
      let page = try await s3.run("ListObjectVersions", input)
      var entries = page.list("Versions").map { ($0, "object") }
      entries += page.list("DeleteMarkers").map { ($0, "marker") }
      XCTAssertLessThanOrEqual(entries.count, size)
      out += entries.map { entry in
        "\(entry.0.text("Key") ?? "") \(entry.0.text("VersionId") ?? "") \(entry.1) \(entry.0.flag("IsLatest") ?? false)"
      }
      guard page.flag("IsTruncated") == true else { return out }
      input["KeyMarker"] = .string(page.text("NextKeyMarker") ?? "")
      input["VersionIdMarker"] = page.text("NextVersionIdMarker").map { .string($0) }
    }
  }

  func testMarkersAndVersionsByName() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt", versioning: "Enabled")
    let one = try await s3.put("bkt", "k", bytes("1")).text("VersionId") ?? ""
    let two = try await s3.put("bkt", "k", bytes("2")).text("VersionId") ?? ""
    XCTAssertNotEqual(one, two)
    XCTAssertEqual(one.utf8.count, 32)
    let deleted = try await s3.run("DeleteObject", ["Bucket": .string("bkt"), "Key": .string("k")])
    let marker = deleted.text("VersionId") ?? ""
    await assertError("NoSuchKey") { _ = try await s3.get("bkt", "k") }
    let (_, old) = try await s3.get("bkt", "k", ["VersionId": .string(one)])
    XCTAssertEqual(old, bytes("1"))
    await assertError("NoSuchVersion", status: 404) {
      _ = try await s3.get("bkt", "k", ["VersionId": .string(String(repeating: "0", count: 32))])
    }
    let invalid = await assertError("InvalidArgument", status: 400) { _ = try await s3.get("bkt", "k", ["VersionId": .string("abc")]) }
    XCTAssertEqual(invalid?.fields["ArgumentName"], "versionId")
    await assertError("InvalidRequest") {
      try await s3.run(
        "CopyObject", ["Bucket": .string("bkt"), "Key": .string("c"), "CopySource": .string("bkt/k?versionId=\(marker)")])
    }
    let copied = try await s3.run(
      "CopyObject", ["Bucket": .string("bkt"), "Key": .string("c"), "CopySource": .string("bkt/k?versionId=\(one)")])
    XCTAssertEqual(copied.text("CopySourceVersionId"), one)
    // Removing the marker brings the newest object back.
    try await s3.run("DeleteObject", ["Bucket": .string("bkt"), "Key": .string("k"), "VersionId": .string(marker)])
    let (_, back) = try await s3.get("bkt", "k")
    XCTAssertEqual(back, bytes("2"))
    let summary = try await s3.service.head(bucket: "bkt", key: "k", versionId: one)
    XCTAssertEqual(summary?.versionId, one)
    await assertError("InvalidArgument") {
      try await s3.run("ListObjectVersions", ["Bucket": .string("bkt"), "VersionIdMarker": .string(one)])
    }
  }

  func testVersionsInGroups() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt", versioning: "Enabled")
    for key in ["a/1", "a/1", "a/2", "b", "b", "c/x"] { try await s3.put("bkt", key, []) }
    try await s3.run("DeleteObject", ["Bucket": .string("bkt"), "Key": .string("c/x")])
    func list(_ more: [String: WireValue]) async throws -> [String: WireValue] {
      try await s3.run("ListObjectVersions", ["Bucket": WireValue.string("bkt"), "Delimiter": .string("/")].merging(more) { $1 })
    }
    let all = try await list([:])
    XCTAssertEqual(all.prefixes, ["a/", "c/"])
    XCTAssertEqual(all.list("Versions").compactMap { $0.text("Key") }, ["b", "b"])
    var seen: [String] = []
    var input: [String: WireValue] = ["MaxKeys": .int(1)]
    while true {
      let page = try await list(input)
      seen += page.prefixes + page.list("Versions").compactMap { $0.text("Key") }
      guard page.flag("IsTruncated") == true else { break }
      input["KeyMarker"] = page["NextKeyMarker"]
      input["VersionIdMarker"] = page["NextVersionIdMarker"]
    }
    XCTAssertEqual(seen, ["a/", "b", "b", "c/"])
    let inside = try await list(["Prefix": .string("c/"), "EncodingType": .string("url")])
    XCTAssertEqual(inside.list("DeleteMarkers").compactMap { $0.text("Key") }, ["c/x"])
    XCTAssertEqual(inside.list("Versions").count, 1)
  }
}
