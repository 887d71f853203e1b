import FoundationEssentials
import RegionKit
import RegionStore
import RoadsteadTesting
import WireModel
import XCTest

@testable import ObjectStorageService

final class EncryptionTests: XCTestCase {
  private let sse: [String: WireValue] = ["ServerSideEncryption": .string("AES256")]

  /// Any size, any range, any cut of the stream.
  func testSealedFilesOpenToWhatTheyHold() async throws {
    var generator = SeededGenerator(seed: 41)
    let sealing = Sealing(key: [UInt8](repeating: 1, count: 32), random: SeededRandomness(seed: 1))
    let frame = Int(Sealing.frameSize)
    for size in [1, 15, frame - 1, frame, frame + 1, 3 * frame, 3 * frame + 7] {
      let plain = (0..<size).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
      var pieces: [[UInt8]] = []
      var at = 0
      while at < size {
        let next = min(size, at + 1 + generator.below(100_000))
        pieces.append(Array(plain[at..<next]))
        at = next
      }
      let source = PieceSource(pieces)
      let sealed = try await sealing.sealing(ByteStream(length: Int64(size)) { source.next() }).collect(limit: 1 << 24)
      XCTAssertEqual(Int64(sealed.count), Sealing.sealedSize(Int64(size)))
      for _ in 0..<8 {
        let low = generator.below(size)
        let range = Int64(low)..<Int64(low + 1 + generator.below(size - low))
        let opened = try await sealing.opening(size: Int64(size), range: range) {
          ByteStream(Array(sealed[Int($0.lowerBound)..<Int($0.upperBound)]))
        }.collect(limit: 1 << 24)
        XCTAssertEqual(opened, Array(plain[Int(range.lowerBound)..<Int(range.upperBound)]), "\(range) of \(size)")
      }
      // Another key, and a flipped bit anywhere, do not open.
      let other = Sealing(key: [UInt8](repeating: 2, count: 32), random: SeededRandomness(seed: 1))
      var flipped = sealed
      flipped[generator.below(sealed.count)] ^= 0x40
      for (key, file) in [(other, sealed), (sealing, flipped)] {
        await assertError("InternalFailure") {
          _ = try await key.opening(size: Int64(size), range: 0..<Int64(size)) {
            ByteStream(Array(file[Int($0.lowerBound)..<Int($0.upperBound)]))
          }.collect(limit: 1 << 24)
        }
      }
    }
  }

  func testEncryptedObjectsOfEveryKind() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    let large = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 / 900) }
    for (key, content) in [("large", large), ("small", bytes("a secret")), ("none", [])] {
      let put = try await s3.put("bkt", key, content, sse)
      XCTAssertEqual(put.text("ServerSideEncryption"), content.isEmpty ? nil : "AES256")
      let plain = try await s3.put("bkt", key + "-plain", content)
      XCTAssertNil(plain.text("ServerSideEncryption"))
      XCTAssertEqual(put.text("ETag"), plain.text("ETag"), "SSE-S3 keeps the MD5 of the content as ETag")
      let (fields, got) = try await s3.get("bkt", key)
      XCTAssertEqual(got, content)
      XCTAssertEqual(fields.text("ServerSideEncryption"), content.isEmpty ? nil : "AES256")
    }
    let (_, part) = try await s3.get("bkt", "large", ["Range": .string("bytes=65530-131080")])
    XCTAssertEqual(part, Array(large[65_530...131_080]))
    let rows = try await s3.store.listAll(InlineRecord.self)
    XCTAssertEqual(rows.filter { Array($0.value.bytes) == bytes("a secret") }.count, 1, "only the plain one")
    let files = s3.content.ids.map { s3.content.stored($0) }
    XCTAssertEqual(files.filter { $0 == large }.count, 1)

    // Parts, and a copy out of encryption.
    let upload = try await s3.run("CreateMultipartUpload", ["Bucket": .string("bkt"), "Key": .string("m")].merging(sse) { $1 })
    XCTAssertEqual(upload.text("ServerSideEncryption"), "AES256")
    let id = upload["UploadId"] ?? .null
    var parts: [WireValue] = []
    let first = [UInt8](repeating: 3, count: 5 << 20)
    for (number, content) in [(1, first), (2, large)] {
      let done = try await s3.run(
        "UploadPart",
        [
          "Bucket": .string("bkt"), "Key": .string("m"), "UploadId": id, "PartNumber": .int(Int64(number)),
          "Body": .stream(ByteStream(content)),
        ])
      XCTAssertEqual(done.text("ServerSideEncryption"), "AES256")
      parts.append(.object(["PartNumber": .int(Int64(number)), "ETag": done["ETag"] ?? .null]))
    }
    try await s3.run(
      "CompleteMultipartUpload",
      ["Bucket": .string("bkt"), "Key": .string("m"), "UploadId": id, "MultipartUpload": .object(["Parts": .list(parts)])])
    let (whole, seam) = try await s3.get("bkt", "m", ["Range": .string("bytes=\((5 << 20) - 3)-\((5 << 20) + 999)")])
    XCTAssertEqual(seam, [3, 3, 3] + large[..<1000])
    XCTAssertEqual(whole.text("ServerSideEncryption"), "AES256")
    try await s3.run("CopyObject", ["Bucket": .string("bkt"), "Key": .string("out"), "CopySource": .string("bkt/m")])
    let (out, copied) = try await s3.get("bkt", "out")
    XCTAssertEqual(copied, first + large)
    XCTAssertNil(out.text("ServerSideEncryption"))
    let report = try await s3.service.scrub(verify: true)
    XCTAssertEqual(report.damaged + report.missing, [])
  }

  func testBucketDefault() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    func put(_ rules: [WireValue]) async throws {
      try await s3.run(
        "PutBucketEncryption",
        ["Bucket": .string("bkt"), "ServerSideEncryptionConfiguration": .object(["Rules": .list(rules)])])
    }
    func rule(_ algorithm: String) -> WireValue {
      .object(["ApplyServerSideEncryptionByDefault": .object(["SSEAlgorithm": .string(algorithm)])])
    }
    await assertError("NotImplemented", status: 501) { try await put([rule("aws:kms")]) }
    await assertError("MalformedXML") { try await put([]) }
    try await put([rule("AES256")])
    let shown = try await s3.run("GetBucketEncryption", ["Bucket": .string("bkt")]).object("ServerSideEncryptionConfiguration")
    XCTAssertEqual(shown.list("Rules").first?.object("ApplyServerSideEncryptionByDefault").text("SSEAlgorithm"), "AES256")
    let put = try await s3.put("bkt", "k", bytes("x"))
    XCTAssertEqual(put.text("ServerSideEncryption"), "AES256")
    try await s3.run("DeleteBucketEncryption", ["Bucket": .string("bkt")])
    await assertError("ServerSideEncryptionConfigurationNotFoundError") {
      try await s3.run("GetBucketEncryption", ["Bucket": .string("bkt")])
    }
    let after = try await s3.put("bkt", "k", bytes("x"))
    XCTAssertNil(after.text("ServerSideEncryption"))
  }

  func testDamageIsFoundAndKeylessRegionsRefuse() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    try await s3.put("bkt", "k", [UInt8](repeating: 1, count: 100_000), sse)
    for id in s3.content.ids { s3.content.corrupt(id, at: 70_000) }
    let (_, start) = try await s3.get("bkt", "k", ["Range": .string("bytes=0-99")])
    XCTAssertEqual(start.count, 100, "frames that are whole still open")
    await assertError("InternalFailure", status: 500) { _ = try await s3.get("bkt", "k") }
    let report = try await s3.service.scrub(verify: true)
    XCTAssertEqual(report.damaged, ["bkt/k (null)"])
    let keyless = try S3Bench(encryptionKey: nil)
    try await keyless.make("bkt")
    await assertError("NotImplemented", status: 501) { try await keyless.put("bkt", "k", bytes("x"), self.sse) }
  }
}
