import ContentStore
import Durable
import FoundationEssentials
import RegionKit
import RegionStore
import RoadsteadTesting
import WireModel
import XCTest

@testable import ObjectStorageService

final class DurabilityTests: XCTestCase {
  func testSixtyFourWritersOfOneKeyNeverMix() async throws {
    let s3 = try S3Bench()
    for (bucket, versioning) in [("plain", nil), ("versioned", "Enabled")] as [(String, String?)] {
      try await s3.make(bucket, versioning: versioning)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for writer in 0..<64 {
          let size = writer % 2 == 0 ? 100 : 20_000
          group.addTask { try await s3.put(bucket, "k", [UInt8](repeating: UInt8(writer), count: size)) }
        }
        try await group.waitForAll()
      }
      let (fields, content) = try await s3.get(bucket, "k")
      let writer = Int(content[0])
      XCTAssertEqual(content, [UInt8](repeating: UInt8(writer), count: writer % 2 == 0 ? 100 : 20_000))
      XCTAssertEqual(fields.number("ContentLength"), content.count)
      let versions = try await s3.run("ListObjectVersions", ["Bucket": .string(bucket)])
      XCTAssertEqual(versions.list("Versions").count, versioning == nil ? 1 : 64)
      XCTAssertEqual(versions.list("Versions").filter { $0.flag("IsLatest") == true }.count, 1)
    }
    try await s3.runTasks()
    let current = try await s3.get("plain", "k").bytes.count
    XCTAssertEqual(s3.content.ids.count, 32 + (current > 16_384 ? 1 : 0))
  }

  func testOnlyOneOfManyCreatesAKey() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    let won = await withTaskGroup(of: Bool.self) { group in
      for writer in 0..<32 {
        group.addTask { (try? await s3.put("bkt", "k", [UInt8(writer)], ["IfNoneMatch": .string("*")])) != nil }
      }
      return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
    }
    XCTAssertEqual(won, 1)
  }

  /// The region dies at each commit in turn; afterwards every key is wholly old or wholly new, and the scrubber leaves no orphan.
  func testCrashAtEveryCommit() async throws {
    for applied in [true, false] {
      for crashAt in 1...14 {
        let memory = MemoryStore()
        let crashing = CrashingStore(memory, crashAt: crashAt, applied: applied)
        let s3 = try S3Bench(store: crashing)
        let large = [UInt8](repeating: 9, count: 20_000)
        do {
          try await s3.make("bkt")
          try await s3.put("bkt", "k", bytes("old"))
          try await s3.put("bkt", "k", large)
          let upload = try await s3.run("CreateMultipartUpload", ["Bucket": .string("bkt"), "Key": .string("m")]).text("UploadId") ?? ""
          let part = try await s3.run(
            "UploadPart",
            [
              "Bucket": .string("bkt"), "Key": .string("m"), "UploadId": .string(upload), "PartNumber": .int(1),
              "Body": .stream(ByteStream(large)),
            ])
          try await s3.run(
            "CompleteMultipartUpload",
            [
              "Bucket": .string("bkt"), "Key": .string("m"), "UploadId": .string(upload),
              "MultipartUpload": .object(["Parts": .list([.object(["PartNumber": .int(1), "ETag": part["ETag"] ?? .null])])]),
            ])
          try await s3.version("bkt", "Enabled")
          try await s3.put("bkt", "k", bytes("newest"))
          try await s3.run("DeleteObject", ["Bucket": .string("bkt"), "Key": .string("k")])
          try await s3.run("DeleteObject", ["Bucket": .string("bkt"), "Key": .string("m"), "VersionId": .string("null")])
        } catch is SimulatedCrash {}
        // The next process: same rows, same files.
        let after = S3Engine(store: memory, content: s3.content, clock: s3.clock, random: SeededRandomness(seed: 77))
        try await after.recover()
        guard let bucket = try await after.storedBucket("bkt")?.value else { continue }
        for key in ["k", "m"] {
          guard let version = try await after.find(bucket, key, versionId: nil) else { continue }
          let content = try await after.reader.open(version, scope: bucket.contentScope, range: 0..<version.size).collect(limit: 1 << 20)
          XCTAssertTrue([bytes("old"), large, bytes("newest")].contains(content), "crash \(crashAt)")
        }
        s3.clock.advance(by: 100_000)
        let service = ObjectStorageService(store: memory, bytes: s3.content, clock: s3.clock, random: SeededRandomness(seed: 78))
        let report = try await service.scrub(verify: true)
        XCTAssertEqual(report.missing + report.damaged, [], "crash \(crashAt) applied \(applied)")
        try await S3Bench.runTasks(of: service, memory, s3.clock)
        var named: Set<String> = []
        for row in try await memory.listAll(ObjectRecord.self).map(\.value.version)
          + memory.listAll(VersionRecord.self).map(\.value.version)
        {
          if case .file(let id) = row.content { named.insert(id) }
        }
        for manifest in try await memory.listAll(ManifestRecord.self) { named.formUnion(manifest.value.parts.map(\.file)) }
        for part in try await memory.listAll(PartRecord.self) { named.insert(part.value.file) }
        XCTAssertEqual(s3.content.ids, named, "crash \(crashAt) applied \(applied)")
      }
    }
  }

  func testScrubFindsDamageAndLoss() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    try await s3.put("bkt", "good", [UInt8](repeating: 1, count: 20_000))
    try await s3.put("bkt", "inline", bytes("x"))
    let before = s3.content.ids
    try await s3.put("bkt", "bad", [UInt8](repeating: 2, count: 20_000))
    let bad = s3.content.ids.subtracting(before)
    try await s3.put("bkt", "lost", [UInt8](repeating: 3, count: 20_000))
    let lost = s3.content.ids.subtracting(before).subtracting(bad)
    for id in bad { s3.content.corrupt(id) }
    for id in lost { s3.content.lose(id) }
    let orphan = try await s3.content.write(ByteStream(bytes("nobody's")))
    let young = try await s3.service.scrub()
    XCTAssertEqual(young.orphanFiles, [], "what was written just now may belong to a PUT under way")
    s3.clock.advance(by: 7200)
    let report = try await s3.service.scrub(verify: true)
    XCTAssertEqual(report.orphanFiles, [orphan])
    XCTAssertEqual(report.damaged, ["bkt/bad (null)"])
    XCTAssertEqual(report.missing, ["bkt/lost (null)"])
    XCTAssertEqual(report.objects, 4)
    let again = try await s3.service.scrub()
    XCTAssertEqual(again.orphanFiles, [])
  }

  /// Versions move between the rows of current and older ones while the scrub walks; nothing that is named may go.
  func testScrubbingWhileVersionsMove() async throws {
    let s3 = try S3Bench(store: MemoryStore())
    try await s3.make("bkt", versioning: "Enabled")
    for key in 0..<30 {
      try await s3.put("bkt", "k\(key)", bytes("small \(key)"))
      try await s3.put("bkt", "f\(key)", [UInt8](repeating: UInt8(key), count: 20_000))
    }
    s3.clock.advance(by: 10_000)
    let scrubs = Task {
      for _ in 0..<15 { _ = try await s3.service.scrub() }
    }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for key in 0..<30 {
        group.addTask {
          for name in ["k\(key)", "f\(key)"] {
            for _ in 0..<8 {
              let marker = try await s3.run("DeleteObject", ["Bucket": .string("bkt"), "Key": .string(name)])
              try await s3.run(
                "DeleteObject", ["Bucket": .string("bkt"), "Key": .string(name), "VersionId": marker["VersionId"] ?? .null])
            }
          }
        }
      }
      try await group.waitForAll()
    }
    try await scrubs.value
    let report = try await s3.service.scrub(verify: true)
    XCTAssertEqual(report.missing + report.damaged, [])
    XCTAssertEqual(report.objects, 60)
  }

  func testTheScrubIsScheduledOnceAndGoesOn() async throws {
    let s3 = try S3Bench()
    guard let store = s3.store as? any DurableStore else { return XCTFail("no tasks") }
    try await s3.service.recover()
    try await s3.service.recover()
    let pending = try await store.pendingTasks().filter { $0.kind == ContentTask.scrubKind }
    XCTAssertEqual(pending.count, 1)
    _ = try await s3.content.write(ByteStream(bytes("nobody's")))
    s3.clock.advance(by: 100_000)
    let handler = try XCTUnwrap(s3.service.taskHandlers.first { $0.kind == ContentTask.scrubKind })
    let task = ClaimedTask(
      id: "s3.scrub", kind: handler.kind, scope: BucketRecord.scope, subject: "s3.scrub", payload: [], expectedVersion: nil, attempt: 1)
    guard case .later(let next, _) = try await handler.run(task) else { return XCTFail("it ended") }
    XCTAssertEqual(next.timeIntervalSince(s3.clock.now()), 86_400)
    XCTAssertEqual(s3.content.ids, [])
  }

  /// On real files and a real database: what was answered is there for the next process.
  func testOnDisk() async throws {
    let home = FileManager.default.temporaryDirectory.appending(path: "s3-\(SystemRandomness().hex(12))")
    try FileManager.default.createDirectory(at: home, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: home) }
    let large = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 / 3) }
    func service() throws -> (ObjectStorageService, any RegionStore) {
      let store = try SQLiteStore(path: home.appending(path: "region.db").path)
      let content = try ContentStore(directory: home.appending(path: "content").path, randomness: SystemRandomness())
      return (ObjectStorageService(store: store, content: content, clock: SystemClock(), random: SystemRandomness()), store)
    }
    let bench = try S3Bench()
    func run(_ module: any ServiceModule, _ operation: String, _ input: [String: WireValue]) async throws -> [String: WireValue] {
      try await XCTUnwrap(module.handlers[operation])(input, bench.context(operation))
    }
    do {
      let (first, _) = try service()
      _ = try await run(first.module, "CreateBucket", ["Bucket": .string("bkt")])
      for (key, content) in [("large", large), ("small", bytes("tiny"))] {
        _ = try await run(
          first.module, "PutObject", ["Bucket": .string("bkt"), "Key": .string(key), "Body": .stream(ByteStream(content))])
      }
    }
    let (second, _) = try service()
    let got = try await run(
      second.module, "GetObject", ["Bucket": .string("bkt"), "Key": .string("large"), "Range": .string("bytes=1000000-2000000")])
    guard case .stream(let stream)? = got["Body"] else { return XCTFail("no body") }
    let read = try await stream.collect(limit: 1 << 22)
    XCTAssertEqual(read, Array(large[1_000_000...2_000_000]))
    let report = try await second.scrub(verify: true)
    XCTAssertEqual(report.damaged + report.missing, [])
    XCTAssertEqual(report.objects, 2)
  }
}
