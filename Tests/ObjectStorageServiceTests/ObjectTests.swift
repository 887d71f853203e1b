import FoundationEssentials
import Ports
import RegionKit
import RoadsteadTesting
import WireModel
import XCTest

@testable import ObjectStorageService

final class ObjectTests: XCTestCase {
  private func ref(_ bucket: String, _ key: String, _ more: [String: WireValue] = [:]) -> [String: WireValue] {
    ["Bucket": WireValue.string(bucket), "Key": .string(key)].merging(more) { $1 }
  }

  func testRoundTripOfEverythingSaidAboutAnObject() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    let put = try await s3.put(
      "bkt", "dir/a b+c", bytes("hello world"),
      [
        "ContentType": .string("text/plain"), "CacheControl": .string("no-store"), "ContentDisposition": .string("inline"),
        "ContentEncoding": .string("aws-chunked,gzip"), "ContentLanguage": .string("de"),
        "Expires": .string("Thu, 01 Jan 2026 00:00:00 GMT"),
        "Metadata": .object(["Color": .string("blue")]), "WebsiteRedirectLocation": .string("/else"), "Tagging": .string("a=1&b=x%20y"),
        "StorageClass": .string("STANDARD"),
      ])
    XCTAssertEqual(put.text("ETag"), "\"5eb63bbbe01eeed093cb22bb8f5acdc3\"")
    XCTAssertEqual(put.text("ChecksumCRC64NVME"), "jSnVw/bqjr4=")
    XCTAssertNil(put.text("VersionId"))
    for operation in ["GetObject", "HeadObject"] {
      let got = try await s3.run(operation, ref("bkt", "dir/a b+c", ["ChecksumMode": .string("ENABLED")]))
      XCTAssertEqual(got.text("ContentType"), "text/plain")
      XCTAssertEqual(got.text("CacheControl"), "no-store")
      XCTAssertEqual(got.text("ContentDisposition"), "inline")
      XCTAssertEqual(got.text("ContentEncoding"), "gzip", "aws-chunked says how the body travelled")
      XCTAssertEqual(got.text("ContentLanguage"), "de")
      XCTAssertEqual(got.text("Expires"), "Thu, 01 Jan 2026 00:00:00 GMT")
      XCTAssertEqual(got.text("WebsiteRedirectLocation"), "/else")
      XCTAssertEqual(got.object("Metadata").text("color"), "blue")
      XCTAssertEqual(got.number("ContentLength"), 11)
      XCTAssertEqual(got.number("TagCount"), 2)
      XCTAssertEqual(got.text("ChecksumCRC64NVME"), "jSnVw/bqjr4=")
      XCTAssertEqual(got.text("ChecksumType"), "FULL_OBJECT")
      XCTAssertEqual(got.text("AcceptRanges"), "bytes")
      XCTAssertNil(got.text("ContentRange"))
    }
    let (_, content) = try await s3.get("bkt", "dir/a b+c")
    XCTAssertEqual(content, bytes("hello world"))
    let (plain, _) = try await s3.get("bkt", "dir/a b+c")
    XCTAssertNil(plain.text("ChecksumCRC64NVME"), "checksums come only when asked for")
    let summary = try await s3.service.head(bucket: "bkt", key: "dir/a b+c", versionId: nil)
    XCTAssertEqual(
      summary, ObjectSummary(bucket: "bkt", key: "dir/a b+c", versionId: nil, eTag: "5eb63bbbe01eeed093cb22bb8f5acdc3", size: 11))
    let none = try await s3.service.head(bucket: "bkt", key: "nope", versionId: nil)
    XCTAssertNil(none)
    let nowhere = try await s3.service.head(bucket: "nowhere", key: "nope", versionId: "null")
    XCTAssertNil(nowhere)
  }

  func testSmallLiveInRowsLargeInFilesEmptyNowhere() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    for (key, size) in [("empty", 0), ("small", 16_384), ("large", 16_385)] {
      try await s3.put("bkt", key, [UInt8](repeating: 7, count: size))
      let (fields, content) = try await s3.get("bkt", key)
      XCTAssertEqual(content.count, size)
      XCTAssertEqual(fields.number("ContentLength"), size)
    }
    XCTAssertEqual(s3.content.ids.count, 1)
    // A stream of unknown length is decided by what comes.
    let pieces = PieceSource((0..<5).map { _ in [UInt8](repeating: 1, count: 5000) })
    try await s3.run("PutObject", ref("bkt", "streamed", ["Body": .stream(ByteStream(length: nil) { pieces.next() })]))
    let (_, streamed) = try await s3.get("bkt", "streamed")
    XCTAssertEqual(streamed, [UInt8](repeating: 1, count: 25_000))
    XCTAssertEqual(s3.content.ids.count, 2)
    // Replaced and deleted bytes go.
    try await s3.put("bkt", "large", bytes("now small"))
    try await s3.run("DeleteObject", ref("bkt", "streamed"))
    try await s3.runTasks()
    XCTAssertEqual(s3.content.ids, [])
  }

  func testABodyThatBreaksOffLeavesNothing() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    struct Broken: Error {}
    let pieces = PieceSource([[UInt8](repeating: 1, count: 30_000)])
    do {
      try await s3.run(
        "PutObject",
        ref(
          "bkt", "k",
          [
            "Body": .stream(
              ByteStream(length: 60_000) {
                if let piece = pieces.next() { return piece }
                throw Broken()
              })
          ]))
      XCTFail("a broken body was accepted")
    } catch is Broken {}
    let short = PieceSource([[UInt8](repeating: 1, count: 30_000)])
    await assertError("IncompleteBody", status: 400) {
      try await s3.run("PutObject", self.ref("bkt", "k", ["Body": .stream(ByteStream(length: 60_000) { short.next() })]))
    }
    XCTAssertEqual(s3.content.ids, [])
    await assertError("NoSuchKey") { _ = try await s3.get("bkt", "k") }
    await assertError("EntityTooLarge") {
      try await s3.run("PutObject", self.ref("bkt", "k", ["Body": .stream(ByteStream(length: 6 << 30) { nil })]))
    }
  }

  func testDigestsAreVerifiedBeforeAnythingIsStored() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    let good: [(String, String)] = [
      ("ChecksumCRC32", "DUoRhQ=="), ("ChecksumCRC32C", "yZRlqg=="), ("ChecksumCRC64NVME", "jSnVw/bqjr4="),
      ("ChecksumSHA1", "Kq5sNclPz7QV2+lfQIuc6R7oRu0="), ("ChecksumSHA256", "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek="),
      ("ContentMD5", "XrY7u+Ae7tCTyyK7j1rNww=="),
    ]
    for (member, value) in good {
      let put = try await s3.put("bkt", "k", bytes("hello world"), [member: .string(value)])
      if member != "ContentMD5" {
        XCTAssertEqual(put.text(member), value)
        let got = try await s3.run("HeadObject", ref("bkt", "k", ["ChecksumMode": .string("ENABLED")]))
        XCTAssertEqual(got.text(member), value)
      }
      await assertError("BadDigest", status: 400) { try await s3.put("bkt", "other", bytes("hello worlds"), [member: .string(value)]) }
      await assertError("BadDigest") { try await s3.put("bkt", "other", [UInt8](repeating: 3, count: 20_000), [member: .string(value)]) }
    }
    await assertError("InvalidDigest") { try await s3.put("bkt", "other", bytes("x"), ["ContentMD5": .string("nonsense")]) }
    await assertError("InvalidRequest") { try await s3.put("bkt", "other", bytes("x"), ["ChecksumCRC32": .string("AAAA")]) }
    await assertError("InvalidRequest") {
      try await s3.put(
        "bkt", "other", bytes("x"), ["ChecksumCRC32": .string("DUoRhQ=="), "ChecksumSHA1": .string("Kq5sNclPz7QV2+lfQIuc6R7oRu0=")])
    }
    await assertError("InvalidRequest") { try await s3.put("bkt", "other", bytes("x"), ["ChecksumAlgorithm": .string("CRC16")]) }
    await assertError("NotImplemented") { try await s3.put("bkt", "other", bytes("x"), ["ChecksumXXHASH64": .string("AAAA")]) }
    await assertError("NoSuchKey") { _ = try await s3.get("bkt", "other") }
    XCTAssertEqual(s3.content.ids, [])
  }

  /// A checksum that follows the body, announced (`x-amz-sdk-checksum-algorithm`) or not.
  func testTrailers() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    let large = [UInt8](repeating: 1, count: 50_000)
    let crc = try await s3.put("bkt", "reference", large, ["ChecksumAlgorithm": .string("CRC32C")]).text("ChecksumCRC32C") ?? ""
    let before = s3.content.ids
    func put(_ trailer: [String: String], _ more: [String: WireValue] = [:]) async throws -> [String: WireValue] {
      var body = ByteStream(large)
      body.trailers = { trailer }
      return try await s3.run("PutObject", ref("bkt", "k", ["Body": .stream(body)].merging(more) { $1 }))
    }
    for announced in [["ChecksumAlgorithm": WireValue.string("CRC32C")], [:]] {
      await assertError("BadDigest", status: 400) { _ = try await put(["x-amz-checksum-crc32c": "AAAAAA=="], announced) }
      await assertError("InvalidRequest") { _ = try await put(["x-amz-checksum-crc32c": "?"], announced) }
      XCTAssertEqual(s3.content.ids, before, "nothing is left of a refused body")
      let put = try await put(["x-amz-checksum-crc32c": crc, "x-other": "1"], announced)
      XCTAssertEqual(put.text("ChecksumCRC32C"), crc)
      let head = try await s3.run("HeadObject", ref("bkt", "k", ["ChecksumMode": .string("ENABLED")]))
      XCTAssertEqual(head.text("ChecksumCRC32C"), crc)
      try await s3.run("DeleteObject", ref("bkt", "k"))
      try await s3.runTasks()
    }
  }

  func testRangesAndParts() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    let data = (0..<40_000).map { UInt8(truncatingIfNeeded: $0) }
    for (key, content) in [("small", Array(data[..<100])), ("large", data)] {
      try await s3.put("bkt", key, content)
      for (range, expected) in [
        ("bytes=0-9", 0..<10), ("bytes=-5", (content.count - 5)..<content.count), ("bytes=90-", 90..<content.count),
      ] {
        let (fields, got) = try await s3.get("bkt", key, ["Range": .string(range), "ChecksumMode": .string("ENABLED")])
        XCTAssertEqual(got, Array(content[expected]))
        XCTAssertEqual(fields.text("ContentRange"), "bytes \(expected.lowerBound)-\(expected.upperBound - 1)/\(content.count)")
        XCTAssertNil(fields.text("ChecksumCRC64NVME"), "a part has no checksum of the whole")
      }
      let error = await assertError("InvalidRange", status: 416) { _ = try await s3.get("bkt", key, ["Range": .string("bytes=50000-")]) }
      XCTAssertEqual(error?.fields["ActualObjectSize"], String(content.count))
      let (all, whole) = try await s3.get("bkt", key, ["Range": .string("bytes=0-1,5-6")])
      XCTAssertNil(all.text("ContentRange"))
      XCTAssertEqual(whole, content)
    }
    let (one, _) = try await s3.get("bkt", "small", ["PartNumber": .int(1)])
    XCTAssertEqual(one.text("ContentRange"), "bytes 0-99/100")
    await assertError("InvalidPartNumber", status: 416) { _ = try await s3.get("bkt", "small", ["PartNumber": .int(2)]) }
    await assertError("InvalidArgument") { _ = try await s3.get("bkt", "small", ["PartNumber": .int(0)]) }
    await assertError("InvalidRequest") { _ = try await s3.get("bkt", "small", ["PartNumber": .int(1), "Range": .string("bytes=0-1")]) }
  }

  func testConditionalRequests() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    let eTag = try await s3.put("bkt", "k", bytes("one")).text("ETag") ?? ""
    let now = s3.clock.now()
    await assertError("PreconditionFailed", status: 412) { _ = try await s3.get("bkt", "k", ["IfMatch": .string("\"x\"")]) }
    let unchanged = await assertError("NotModified", status: 304) { _ = try await s3.get("bkt", "k", ["IfNoneMatch": .string(eTag)]) }
    XCTAssertEqual(unchanged?.headers["ETag"], eTag)
    await assertError("NotModified") { try await s3.run("HeadObject", self.ref("bkt", "k", ["IfModifiedSince": .timestamp(now)])) }
    await assertError("PreconditionFailed") {
      _ = try await s3.get("bkt", "k", ["IfUnmodifiedSince": .timestamp(now.addingTimeInterval(-100))])
    }
    _ = try await s3.get("bkt", "k", ["IfMatch": .string(eTag), "IfModifiedSince": .timestamp(now.addingTimeInterval(-1))])
    // Writes.
    await assertError("PreconditionFailed", status: 412) { try await s3.put("bkt", "k", bytes("two"), ["IfNoneMatch": .string("*")]) }
    await assertError("PreconditionFailed") { try await s3.put("bkt", "k", bytes("two"), ["IfMatch": .string("\"x\"")]) }
    await assertError("NoSuchKey", status: 404) { try await s3.put("bkt", "new", bytes("two"), ["IfMatch": .string("\"x\"")]) }
    await assertError("NotImplemented") { try await s3.put("bkt", "k", bytes("two"), ["IfNoneMatch": .string("abc")]) }
    try await s3.put("bkt", "new", bytes("two"), ["IfNoneMatch": .string("*")])
    try await s3.put("bkt", "k", bytes("two"), ["IfMatch": .string(eTag)])
    let (_, content) = try await s3.get("bkt", "k")
    XCTAssertEqual(content, bytes("two"))
    // Deletes.
    await assertError("PreconditionFailed") { try await s3.run("DeleteObject", self.ref("bkt", "k", ["IfMatch": .string(eTag)])) }
    await assertError("PreconditionFailed") { try await s3.run("DeleteObject", self.ref("bkt", "k", ["IfMatchSize": .int(99)])) }
    try await s3.run("DeleteObject", ref("bkt", "k", ["IfMatchSize": .int(3)]))
  }

  func testResponseOverrides() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    try await s3.put("bkt", "k", bytes("x"))
    let (fields, _) = try await s3.get(
      "bkt", "k",
      [
        "ResponseContentType": .string("a/b"), "ResponseCacheControl": .string("c"), "ResponseContentDisposition": .string("d"),
        "ResponseContentEncoding": .string("e"), "ResponseContentLanguage": .string("f"),
        "ResponseExpires": .timestamp(Date(timeIntervalSince1970: 0)),
      ])
    XCTAssertEqual(
      ["ContentType", "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "Expires"].map { fields.text($0) },
      ["a/b", "c", "d", "e", "f", "Thu, 01 Jan 1970 00:00:00 GMT"])
    await assertError("InvalidRequest") {
      try await s3.run("GetObject", self.ref("bkt", "k", ["ResponseContentType": .string("a/b")]), kind: .anonymous)
    }
  }

  func testWhatIsNotAvailableIsRefusedByName() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    let refused: [(String, WireValue, String)] = [
      ("ServerSideEncryption", .string("aws:kms"), "NotImplemented"), ("SSEKMSKeyId", .string("k"), "NotImplemented"),
      ("SSECustomerAlgorithm", .string("AES256"), "NotImplemented"), ("StorageClass", .string("GLACIER"), "InvalidStorageClass"),
      ("ObjectLockMode", .string("COMPLIANCE"), "InvalidRequest"), ("ACL", .string("public-read"), "AccessControlListNotSupported"),
      ("GrantRead", .string("id=1"), "AccessControlListNotSupported"), ("WriteOffsetBytes", .int(3), "NotImplemented"),
      ("WebsiteRedirectLocation", .string("nowhere"), "InvalidRedirectLocation"),
      ("Metadata", .object(["a": .string(String(repeating: "x", count: 2048))]), "MetadataTooLarge"),
      ("Tagging", .string("a=1&a=2"), "InvalidTag"), ("Tagging", .string("%zz"), "InvalidArgument"),
    ]
    for (member, value, code) in refused { await assertError(code) { try await s3.put("bkt", "k", bytes("x"), [member: value]) } }
    await assertError("NoSuchKey") { _ = try await s3.get("bkt", "k") }
    await assertError("KeyTooLongError", status: 400) { try await s3.put("bkt", String(repeating: "é", count: 513), bytes("x")) }
    try await s3.put("bkt", String(repeating: "é", count: 512), bytes("x"), ["ACL": .string("bucket-owner-full-control")])
    await assertError("NoSuchBucket") { try await s3.put("nowhere", "k", bytes("x")) }
  }

  func testCopy() async throws {
    let s3 = try S3Bench()
    try await s3.make("src")
    try await s3.make("dst")
    let data = [UInt8](repeating: 5, count: 50_000)
    try await s3.put(
      "src", "a/b c", data,
      [
        "ContentType": .string("x/y"), "Metadata": .object(["m": .string("1")]), "Tagging": .string("t=1"),
        "ChecksumAlgorithm": .string("SHA256"),
      ])
    let copy = try await s3.run("CopyObject", ref("dst", "copy", ["CopySource": .string("src/a/b%20c")]))
    XCTAssertNotNil(copy.object("CopyObjectResult").text("ETag"))
    XCTAssertNotNil(copy.object("CopyObjectResult").text("ChecksumSHA256"), "a copy keeps the kind of checksum")
    let (fields, content) = try await s3.get("dst", "copy")
    XCTAssertEqual(content, data)
    XCTAssertEqual(fields.text("ContentType"), "x/y")
    XCTAssertEqual(fields.object("Metadata").text("m"), "1")
    XCTAssertEqual(fields.number("TagCount"), 1)
    // REPLACE takes what the request says.
    try await s3.run(
      "CopyObject",
      ref(
        "dst", "copy2",
        [
          "CopySource": .string("/src/a/b%20c"), "MetadataDirective": .string("REPLACE"), "TaggingDirective": .string("REPLACE"),
          "ContentType": .string("z/z"), "ChecksumAlgorithm": .string("CRC32"),
        ]))
    let (replaced, _) = try await s3.get("dst", "copy2", ["ChecksumMode": .string("ENABLED")])
    XCTAssertEqual(replaced.text("ContentType"), "z/z")
    XCTAssertNil(replaced.number("TagCount"))
    XCTAssertNotNil(replaced.text("ChecksumCRC32"))
    // Onto itself only with a change.
    await assertError("InvalidRequest") { try await s3.run("CopyObject", self.ref("dst", "copy", ["CopySource": .string("dst/copy")])) }
    try await s3.run(
      "CopyObject",
      ref("dst", "copy", ["CopySource": .string("dst/copy"), "MetadataDirective": .string("REPLACE"), "ContentType": .string("q/q")]))
    let (itself, same) = try await s3.get("dst", "copy")
    XCTAssertEqual(itself.text("ContentType"), "q/q")
    XCTAssertEqual(same, data)
    // Conditions and errors of the source.
    await assertError("PreconditionFailed", status: 412) {
      try await s3.run("CopyObject", self.ref("dst", "c", ["CopySource": .string("src/a/b%20c"), "CopySourceIfMatch": .string("x")]))
    }
    await assertError("PreconditionFailed", status: 412) {
      try await s3.run("CopyObject", self.ref("dst", "c", ["CopySource": .string("src/a/b%20c"), "CopySourceIfNoneMatch": .string("*")]))
    }
    await assertError("NoSuchKey") { try await s3.run("CopyObject", self.ref("dst", "c", ["CopySource": .string("src/none")])) }
    await assertError("NoSuchBucket") { try await s3.run("CopyObject", self.ref("dst", "c", ["CopySource": .string("none/none")])) }
    await assertError("InvalidArgument") { try await s3.run("CopyObject", self.ref("dst", "c", ["CopySource": .string("src")])) }
    await assertError("InvalidArgument") {
      try await s3.run("CopyObject", self.ref("dst", "c", ["CopySource": .string("src/a/b%20c"), "MetadataDirective": .string("KEEP")]))
    }
  }

  func testObjectTagsAclAndAttributes() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt", versioning: "Enabled")
    let first = try await s3.put("bkt", "k", bytes("one")).text("VersionId") ?? ""
    try await s3.put("bkt", "k", bytes("two!"))
    func tags(_ pairs: [(String, String)]) -> WireValue {
      .object(["TagSet": .list(pairs.map { .object(["Key": .string($0.0), "Value": .string($0.1)]) })])
    }
    try await s3.run("PutObjectTagging", ref("bkt", "k", ["Tagging": tags([("a", "1")])]))
    try await s3.run("PutObjectTagging", ref("bkt", "k", ["Tagging": tags([("b", "2")]), "VersionId": .string(first)]))
    let newest = try await s3.run("GetObjectTagging", ref("bkt", "k"))
    XCTAssertEqual(newest.list("TagSet").compactMap { $0.text("Key") }, ["a"])
    let older = try await s3.run("GetObjectTagging", ref("bkt", "k", ["VersionId": .string(first)]))
    XCTAssertEqual(older.list("TagSet").compactMap { $0.text("Key") }, ["b"])
    try await s3.run("DeleteObjectTagging", ref("bkt", "k"))
    let none = try await s3.run("GetObjectTagging", ref("bkt", "k"))
    XCTAssertEqual(none.list("TagSet").count, 0)
    await assertError("BadRequest") {
      try await s3.run("PutObjectTagging", self.ref("bkt", "k", ["Tagging": tags((0..<11).map { ("k\($0)", "") })]))
    }
    await assertError("NoSuchKey") { try await s3.run("PutObjectTagging", self.ref("bkt", "none", ["Tagging": tags([])])) }
    let acl = try await s3.run("GetObjectAcl", ref("bkt", "k"))
    XCTAssertEqual(acl.list("Grants").count, 1)
    await assertError("AccessControlListNotSupported") {
      try await s3.run("PutObjectAcl", self.ref("bkt", "k", ["ACL": .string("public-read")]))
    }
    try await s3.run("PutObjectAcl", ref("bkt", "k", ["ACL": .string("bucket-owner-full-control")]))

    let attributes = try await s3.run(
      "GetObjectAttributes",
      ref("bkt", "k", ["ObjectAttributes": .list([.string("ETag"), .string("Checksum"), .string("ObjectSize"), .string("StorageClass")])]))
    XCTAssertEqual(attributes.number("ObjectSize"), 4)
    XCTAssertEqual(attributes.text("StorageClass"), "STANDARD")
    XCTAssertFalse(attributes.text("ETag")?.hasPrefix("\"") ?? true, "this one answer has no quotes")
    XCTAssertNotNil(attributes.object("Checksum").text("ChecksumCRC64NVME"))
    await assertError("InvalidArgument") {
      try await s3.run("GetObjectAttributes", self.ref("bkt", "k", ["ObjectAttributes": .list([.string("Color")])]))
    }
  }

  func testDeleteObjectsTellsEachKey() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    for key in ["a", "b", "c"] { try await s3.put("bkt", key, bytes(key)) }
    s3.authorizer.deny("s3:DeleteObject arn:aws:s3:::bkt/b")
    func entries(_ keys: [String]) -> WireValue { .list(keys.map { .object(["Key": .string($0)]) }) }
    let answer = try await s3.run(
      "DeleteObjects", ["Bucket": .string("bkt"), "Delete": .object(["Objects": entries(["a", "b", "never"])])])
    XCTAssertEqual(answer.list("Deleted").compactMap { $0.text("Key") }, ["a", "never"])
    XCTAssertEqual(answer.list("Errors").map { "\($0.text("Key") ?? "") \($0.text("Code") ?? "")" }, ["b AccessDenied"])
    let quiet = try await s3.run(
      "DeleteObjects", ["Bucket": .string("bkt"), "Delete": .object(["Objects": entries(["c"]), "Quiet": .bool(true)])])
    XCTAssertEqual(quiet.list("Deleted").count, 0)
    let left = try await s3.run("ListObjectsV2", ["Bucket": .string("bkt")])
    XCTAssertEqual(left.keys_, ["b"])
    await assertError("MalformedXML") {
      try await s3.run("DeleteObjects", ["Bucket": .string("bkt"), "Delete": .object(["Objects": .list([])])])
    }
  }

  func testAReaderKeepsItsBytesWhileTheyAreReplaced() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    let old = [UInt8](repeating: 1, count: 100_000)
    try await s3.put("bkt", "k", old)
    let output = try await s3.run("GetObject", ref("bkt", "k"))
    try await s3.put("bkt", "k", [UInt8](repeating: 2, count: 100_000))
    try await s3.runTasks()
    guard case .stream(let stream)? = output["Body"] else { return XCTFail("no body") }
    let read = try await stream.collect(limit: 1 << 20)
    XCTAssertEqual(read, old)
  }
}

/// Hands out pieces, one at a time.
final class PieceSource: @unchecked Sendable {
  private var pieces: [[UInt8]]
  init(_ pieces: [[UInt8]]) { self.pieces = pieces.reversed() }
  func next() -> [UInt8]? { pieces.popLast() }
}
