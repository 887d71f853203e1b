import RegionKit
import RoadsteadTesting
import WireModel
import XCTest

@testable import ObjectStorageService

/// Whatever stands in a header or a policy, reading it ends with a value or an error.
final class FuzzTests: XCTestCase {
  private static let seeds = [
    "bytes=0-9", "bytes=-5", "bytes=9223372036854775807-", "bytes=0-9223372036854775807", "bucket/key?versionId=null",
    "/b/a%20b?versionId=0123456789abcdefghijklmnopqrstuv", "a=1&b=%C3%A9&c", "\"e\", W/\"f\", *", "aGVsbG8=", "DUoRhQ==-3",
    "arn:aws:s3:::b/k", "!0~7f a",
    #"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["*"]},"Action":"s3:*","Resource":"*","Condition":{"StringLike":{"aws:SourceArn":["*"]}}}]}"#,
  ]

  func testReadersEndWithAValueOrAnError() throws {
    var generator = SeededGenerator(seed: 51)
    let bucket = BucketRecord(
      name: "bkt", id: "1", owner: AccountID("123456789012"), region: RegionName("us-east-1"), created: VirtualClock().now())
    var understood = 0
    for _ in 0..<6000 {
      let text = mutated(Self.seeds[generator.below(Self.seeds.count)], &generator)
      if (try? CopySource(text)) != nil { understood += 1 }
      for size in [Int64(0), 1, 1000, .max] {
        if case .part(let range) = ByteRange.read(text, size: size) {
          XCTAssertTrue(range.lowerBound >= 0 && range.upperBound <= size && !range.isEmpty, "\(text) of \(size)")
          understood += 1
        }
      }
      if let tags = try? TagRules.parse(header: text) { XCTAssertLessThanOrEqual(tags.count, 10) }
      if let policy = try? BucketPolicy(text, for: bucket) { understood += policy.isPublic ? 1 : 0 }
      _ = ETagList.matches(text, "e")
      if let key = KeyCode.decode(text) { XCTAssertEqual(KeyCode.encode(key), text) }
      if let plain = PercentCode.decode(text) { XCTAssertEqual(PercentCode.decode(PercentCode.encode(plain)), plain) }
      _ = try? ChecksumRequest(fields: ["ChecksumCRC32": .string(text), "ContentMD5": .string(text), "ChecksumAlgorithm": .string(text)])
      XCTAssertEqual(BucketName.isValid(text), BucketName.isValid(text) && text.utf8.count <= 63)
      XCTAssertFalse(VersionToken.isWellFormed(text) && text.utf8.count != 32 && text != "null")
    }
    XCTAssertGreaterThan(understood, 500, "the mutations still look like the real thing")
  }

  /// Operations with members of every wrong kind: an AWS-shaped error, never a fault, and nothing stored.
  func testOperationsWithRandomMembers() async throws {
    var generator = SeededGenerator(seed: 52)
    let s3 = try S3Bench(store: MemoryStore())
    try await s3.make("bkt", versioning: "Enabled")
    try await s3.put("bkt", "k", bytes("x"))
    let operations = s3.module.handlers.keys.sorted().filter { !$0.hasPrefix("Delete") && $0 != "CreateBucket" }
    let model = s3.module.model
    for _ in 0..<3000 {
      let operation = operations[generator.below(operations.count)]
      guard let shape = model.operations[operation].flatMap({ model.inputShape($0) }) else { return XCTFail(operation) }
      var input: [String: WireValue] = ["Bucket": .string("bkt"), "Key": .string("k")]
      for member in shape.members where generator.chance(0.2) && member.name != "Bucket" {
        switch generator.below(6) {
        case 0: input[member.name] = .int(Int64(bitPattern: generator.next()))
        case 1: input[member.name] = .list([.object([:]), .null, .string("")])
        case 2: input[member.name] = .object(["Rules": .list([.object([:])]), "TagSet": .list([.object([:])])])
        case 3: input[member.name] = .bool(true)
        default: input[member.name] = .string(mutated(Self.seeds[generator.below(Self.seeds.count)], &generator))
        }
      }
      do {
        try await s3.run(operation, input)
      } catch let error as AWSError {
        XCTAssertEqual(error.fault, .sender, "\(operation) \(input): \(error)")
      }
    }
    let (_, content) = try await s3.get("bkt", "k", ["VersionId": .string("null")].filter { _ in false })
    XCTAssertLessThan(content.count, 1000)
  }

  private func mutated(_ text: String, _ generator: inout SeededGenerator) -> String {
    var bytes = Array(text.utf8)
    for _ in 0..<generator.below(4) {
      switch generator.below(4) {
      case 0 where !bytes.isEmpty: bytes.remove(at: generator.below(bytes.count))
      case 1: bytes.insert(UInt8(truncatingIfNeeded: generator.next()), at: generator.below(bytes.count + 1))
      case 2 where !bytes.isEmpty: bytes[generator.below(bytes.count)] = Array("0123-=%*,/&\"{}[]:~! ".utf8)[generator.below(20)]
      default: bytes += bytes.prefix(generator.below(20))
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
