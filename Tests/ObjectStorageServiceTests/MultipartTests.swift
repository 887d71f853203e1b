import FoundationEssentials
import RegionKit
import RoadsteadTesting
import WireModel
import XCTest

@testable import ObjectStorageService

final class MultipartTests: XCTestCase {
  private static let five = 5 * 1024 * 1024

  private func ref(_ key: String, _ upload: String, _ more: [String: WireValue] = [:]) -> [String: WireValue] {
    ["Bucket": WireValue.string("bkt"), "Key": .string(key), "UploadId": .string(upload)].merging(more) { $1 }
  }
  private func begin(_ s3: S3Bench, _ key: String, _ more: [String: WireValue] = [:]) async throws -> String {
    try await s3.run("CreateMultipartUpload", ["Bucket": WireValue.string("bkt"), "Key": .string(key)].merging(more) { $1 }).text(
      "UploadId") ?? ""
  }
  private func part(_ s3: S3Bench, _ key: String, _ upload: String, _ number: Int, _ content: [UInt8], _ more: [String: WireValue] = [:])
    async throws
    -> [String: WireValue]
  {
    try await s3.run(
      "UploadPart",
      ref(key, upload, ["PartNumber": .int(Int64(number)), "Body": .stream(ByteStream(content))].merging(more) { $1 }))
  }
  private func list(_ parts: [(Int, [String: WireValue])], _ checksum: String? = nil) -> WireValue {
    .object([
      "Parts": .list(
        parts.map { number, answer in
          var entry: [String: WireValue] = ["PartNumber": .int(Int64(number)), "ETag": .string(answer.text("ETag") ?? "")]
          if let checksum { entry[checksum] = answer[checksum] }
          return .object(entry)
        })
    ])
  }

  func testWholeUpload() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    let upload = try await begin(
      s3, "big", ["ContentType": .string("x/y"), "Metadata": .object(["m": .string("1")]), "Tagging": .string("t=1")])
    let a = [UInt8](repeating: 1, count: Self.five)
    let b = [UInt8](repeating: 2, count: 1000)
    let wrong = try await part(s3, "big", upload, 2, bytes("will be replaced"))
    let second = try await part(s3, "big", upload, 5, b)
    let first = try await part(s3, "big", upload, 2, a, ["ContentMD5": .null])
    _ = try await part(s3, "big", upload, 9, bytes("not used"))
    XCTAssertNotEqual(wrong.text("ETag"), first.text("ETag"))
    let parts = try await s3.run("ListParts", ref("big", upload))
    XCTAssertEqual(parts.list("Parts").compactMap { $0.number("PartNumber") }, [2, 5, 9])
    let onePart = try await s3.run("ListParts", ref("big", upload, ["MaxParts": .int(1), "PartNumberMarker": .int(2)]))
    XCTAssertEqual(onePart.list("Parts").compactMap { $0.number("PartNumber") }, [5])
    XCTAssertEqual(onePart.flag("IsTruncated"), true)
    XCTAssertEqual(onePart.number("NextPartNumberMarker"), 5)
    await assertError("NoSuchKey") { _ = try await s3.get("bkt", "big") }

    let done = try await s3.run("CompleteMultipartUpload", ref("big", upload, ["MultipartUpload": list([(2, first), (5, second)])]))
    XCTAssertTrue(done.text("ETag")?.hasSuffix("-2\"") ?? false)
    XCTAssertEqual(done.text("Location"), "http://localhost:4566/bkt/big")
    XCTAssertEqual(done.text("ChecksumType"), "FULL_OBJECT")
    let (fields, content) = try await s3.get("bkt", "big", ["ChecksumMode": .string("ENABLED")])
    XCTAssertEqual(content, a + b)
    XCTAssertEqual(fields.text("ContentType"), "x/y")
    XCTAssertEqual(fields.object("Metadata").text("m"), "1")
    XCTAssertEqual(fields.number("TagCount"), 1)
    // The checksum of the whole was combined from the parts'; the same bytes in one PUT must have it too.
    let single = try await s3.put("bkt", "single", a + b)
    XCTAssertEqual(fields.text("ChecksumCRC64NVME"), single.text("ChecksumCRC64NVME"))
    // Ranges over the seam, and parts by number.
    let (_, seam) = try await s3.get("bkt", "big", ["Range": .string("bytes=\(Self.five - 2)-\(Self.five + 1)")])
    XCTAssertEqual(seam, [1, 1, 2, 2])
    let (two, last) = try await s3.get("bkt", "big", ["PartNumber": .int(2)])
    XCTAssertEqual(last, b)
    XCTAssertEqual(two.number("PartsCount"), 2)
    XCTAssertEqual(two.text("ContentRange"), "bytes \(Self.five)-\(Self.five + 999)/\(Self.five + 1000)")
    await assertError("InvalidPartNumber", status: 416) { _ = try await s3.get("bkt", "big", ["PartNumber": .int(3)]) }
    let attributes = try await s3.run(
      "GetObjectAttributes",
      ["Bucket": .string("bkt"), "Key": .string("big"), "ObjectAttributes": .list([.string("ObjectParts")]), "MaxParts": .int(1)])
    XCTAssertEqual(attributes.object("ObjectParts").number("TotalPartsCount"), 2)
    XCTAssertEqual(attributes.object("ObjectParts").flag("IsTruncated"), true)
    XCTAssertEqual(attributes.object("ObjectParts").list("Parts").first?.number("Size"), Self.five)

    // A client that lost the answer asks again; the upload is over for everything else.
    let again = try await s3.run("CompleteMultipartUpload", ref("big", upload, ["MultipartUpload": list([(2, first), (5, second)])]))
    XCTAssertEqual(again.text("ETag"), done.text("ETag"))
    await assertError("NoSuchUpload", status: 404) { _ = try await self.part(s3, "big", upload, 1, bytes("x")) }
    await assertError("NoSuchUpload") { try await s3.run("ListParts", self.ref("big", upload)) }
    await assertError("NoSuchUpload") { try await s3.run("AbortMultipartUpload", self.ref("big", upload)) }
    try await s3.runTasks()
    XCTAssertEqual(s3.content.ids.count, 3, "two parts and the single object; what was replaced or unused is gone")
    try await s3.run("DeleteObject", ["Bucket": .string("bkt"), "Key": .string("big")])
    try await s3.runTasks()
    XCTAssertEqual(s3.content.ids.count, 1)
  }

  func testRefusals() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    let upload = try await begin(s3, "k")
    let small = try await part(s3, "k", upload, 1, bytes("small"))
    let last = try await part(s3, "k", upload, 2, bytes("last"))
    func complete(_ parts: WireValue, _ more: [String: WireValue] = [:]) async throws {
      try await s3.run("CompleteMultipartUpload", ref("k", upload, ["MultipartUpload": parts].merging(more) { $1 }))
    }
    let tooSmall = await assertError("EntityTooSmall", status: 400) { try await complete(self.list([(1, small), (2, last)])) }
    XCTAssertEqual(tooSmall?.fields["PartNumber"], "1")
    await assertError("InvalidPartOrder") { try await complete(self.list([(2, last), (1, small)])) }
    await assertError("InvalidPartOrder") { try await complete(self.list([(1, small), (1, small)])) }
    await assertError("InvalidPart") { try await complete(self.list([(1, small), (3, last)])) }
    await assertError("InvalidPart") { try await complete(self.list([(1, last)])) }
    await assertError("MalformedXML") { try await complete(self.list([])) }
    await assertError("InvalidRequest") { try await complete(self.list([(1, small)]), ["MpuObjectSize": .int(99)]) }
    await assertError("InvalidArgument") { _ = try await self.part(s3, "k", upload, 0, []) }
    await assertError("InvalidArgument") { _ = try await self.part(s3, "k", upload, 10_001, []) }
    await assertError("NoSuchUpload") { _ = try await self.part(s3, "k", "nonsense", 1, []) }
    await assertError("NoSuchUpload") { _ = try await self.part(s3, "other", upload, 1, []) }
    await assertError("BadDigest") { _ = try await self.part(s3, "k", upload, 1, bytes("x"), ["ChecksumCRC32": .string("DUoRhQ==")]) }
    try await complete(list([(1, small)]), ["MpuObjectSize": .int(5)])
    let (_, content) = try await s3.get("bkt", "k")
    XCTAssertEqual(content, bytes("small"))
    // Conditions hold at the end of the upload.
    let second = try await begin(s3, "k")
    let one = try await part(s3, "k", second, 1, bytes("again"))
    await assertError("PreconditionFailed", status: 412) {
      try await s3.run(
        "CompleteMultipartUpload", self.ref("k", second, ["MultipartUpload": self.list([(1, one)]), "IfNoneMatch": .string("*")]))
    }
    try await s3.run("AbortMultipartUpload", ref("k", second))
    try await s3.runTasks()
    XCTAssertEqual(s3.content.ids.count, 1)
  }

  func testChecksumsOfUploads() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    await assertError("InvalidRequest") { _ = try await self.begin(s3, "k", ["ChecksumType": .string("COMPOSITE")]) }
    await assertError("InvalidRequest") {
      _ = try await self.begin(s3, "k", ["ChecksumAlgorithm": .string("SHA256"), "ChecksumType": .string("FULL_OBJECT")])
    }
    await assertError("InvalidRequest") {
      _ = try await self.begin(s3, "k", ["ChecksumAlgorithm": .string("CRC64NVME"), "ChecksumType": .string("COMPOSITE")])
    }
    let composite = try await begin(s3, "c", ["ChecksumAlgorithm": .string("SHA256")])
    let a = try await part(s3, "c", composite, 1, bytes("hello world"), ["ChecksumAlgorithm": .string("SHA256")])
    XCTAssertEqual(a.text("ChecksumSHA256"), "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=")
    await assertError("InvalidRequest") {
      _ = try await self.part(s3, "c", composite, 2, bytes("x"), ["ChecksumCRC32": .string("DUoRhQ==")])
    }
    await assertError("InvalidRequest") {
      try await s3.run("CompleteMultipartUpload", self.ref("c", composite, ["MultipartUpload": self.list([(1, a)])]))
    }
    let done = try await s3.run(
      "CompleteMultipartUpload", ref("c", composite, ["MultipartUpload": list([(1, a)], "ChecksumSHA256")]))
    XCTAssertEqual(done.text("ChecksumType"), "COMPOSITE")
    XCTAssertTrue(done.text("ChecksumSHA256")?.hasSuffix("-1") ?? false)

    let full = try await begin(s3, "f", ["ChecksumAlgorithm": .string("CRC32"), "ChecksumType": .string("FULL_OBJECT")])
    let one = try await part(s3, "f", full, 1, bytes("hello world"), ["ChecksumCRC32": .string("DUoRhQ==")])
    await assertError("BadDigest") {
      try await s3.run(
        "CompleteMultipartUpload",
        self.ref("f", full, ["MultipartUpload": self.list([(1, one)]), "ChecksumCRC32": .string("AAAAAA==")]))
    }
    let finished = try await s3.run(
      "CompleteMultipartUpload",
      ref(
        "f", full,
        [
          "MultipartUpload": list([(1, one)], "ChecksumCRC32"), "ChecksumCRC32": .string("DUoRhQ=="),
          "ChecksumType": .string("FULL_OBJECT"),
        ]))
    XCTAssertEqual(finished.text("ChecksumCRC32"), "DUoRhQ==")
  }

  func testPartCopy() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    let data = (0..<30_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
    try await s3.put("bkt", "source", data)
    let upload = try await begin(s3, "k")
    func copy(_ more: [String: WireValue]) async throws -> [String: WireValue] {
      try await s3.run(
        "UploadPartCopy", ref("k", upload, ["PartNumber": .int(1), "CopySource": .string("bkt/source")].merging(more) { $1 }))
    }
    await assertError("InvalidArgument") { _ = try await copy(["CopySourceRange": .string("bytes=5-")]) }
    await assertError("InvalidArgument") { _ = try await copy(["CopySourceRange": .string("bytes=0-30000")]) }
    await assertError("PreconditionFailed") { _ = try await copy(["CopySourceIfMatch": .string("x")]) }
    let part = try await copy(["CopySourceRange": .string("bytes=100-29999")])
    let eTag = part.object("CopyPartResult").text("ETag") ?? ""
    try await s3.run(
      "CompleteMultipartUpload",
      ref("k", upload, ["MultipartUpload": .object(["Parts": .list([.object(["PartNumber": .int(1), "ETag": .string(eTag)])])])]))
    let (_, content) = try await s3.get("bkt", "k")
    XCTAssertEqual(content, Array(data[100...]))
    // A multipart object may itself be copied; the copy is one object with an MD5 for ETag.
    try await s3.run("CopyObject", ["Bucket": .string("bkt"), "Key": .string("flat"), "CopySource": .string("bkt/k")])
    let (flat, same) = try await s3.get("bkt", "flat")
    XCTAssertEqual(same, content)
    XCTAssertFalse(flat.text("ETag")?.contains("-") ?? true)
  }

  func testListMultipartUploads() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    var ids: [String] = []
    for key in ["a", "a", "dir/x", "dir/y", "z é"] {
      s3.clock.advance(by: 1)
      ids.append(try await begin(s3, key))
    }
    let all = try await s3.run("ListMultipartUploads", ["Bucket": .string("bkt")])
    XCTAssertEqual(all.list("Uploads").compactMap { $0.text("UploadId") }, ids, "by key, then by age")
    var seen: [String] = []
    var input: [String: WireValue] = ["Bucket": .string("bkt"), "MaxUploads": .int(1)]
    while true {
      let page = try await s3.run("ListMultipartUploads", input)
      seen += page.list("Uploads").compactMap { $0.text("UploadId") }
      guard page.flag("IsTruncated") == true else { break }
      input["KeyMarker"] = page["NextKeyMarker"]
      input["UploadIdMarker"] = page["NextUploadIdMarker"]
    }
    XCTAssertEqual(seen, ids)
    let grouped = try await s3.run(
      "ListMultipartUploads", ["Bucket": .string("bkt"), "Delimiter": .string("/"), "EncodingType": .string("url")])
    XCTAssertEqual(grouped.prefixes, ["dir/"])
    XCTAssertEqual(grouped.list("Uploads").compactMap { $0.text("Key") }, ["a", "a", "z%20%C3%A9"])
    let within = try await s3.run("ListMultipartUploads", ["Bucket": .string("bkt"), "Prefix": .string("dir/")])
    XCTAssertEqual(within.list("Uploads").count, 2)
  }
}
