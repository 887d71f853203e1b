import FoundationEssentials
import XCTest

@testable import ObjectStorageService

final class ConditionTests: XCTestCase {
  /// RFC 9110 §13.2.2, all combinations that S3 documents.
  func testReadConditions() {
    let at = Date(timeIntervalSince1970: 1000)
    let before = Date(timeIntervalSince1970: 999)
    let after = Date(timeIntervalSince1970: 1001)
    func verdict(_ match: String? = nil, _ none: String? = nil, since: Date? = nil, unless: Date? = nil) -> ReadConditions.Verdict {
      ReadConditions(ifMatch: match, ifNoneMatch: none, ifModifiedSince: since, ifUnmodifiedSince: unless)
        .verdict(eTag: "e", lastModified: at)
    }
    XCTAssertEqual(verdict(), .go)
    XCTAssertEqual(verdict("\"e\""), .go)
    XCTAssertEqual(verdict("e"), .go)
    XCTAssertEqual(verdict("*"), .go)
    XCTAssertEqual(verdict("\"x\", \"e\""), .go)
    XCTAssertEqual(verdict("x"), .failed("If-Match"))
    XCTAssertEqual(verdict(unless: before), .failed("If-Unmodified-Since"))
    XCTAssertEqual(verdict(unless: at), .go)
    XCTAssertEqual(verdict("e", unless: before), .go, "a match outweighs the date")
    XCTAssertEqual(verdict(nil, "e"), .notModified)
    XCTAssertEqual(verdict(nil, "*"), .notModified)
    XCTAssertEqual(verdict(nil, "W/\"e\""), .notModified)
    XCTAssertEqual(verdict(nil, "x"), .go)
    XCTAssertEqual(verdict(since: at), .notModified)
    XCTAssertEqual(verdict(since: before), .go)
    XCTAssertEqual(verdict(nil, "e", since: before), .notModified)
    XCTAssertEqual(verdict(nil, "x", since: after), .go, "a given If-None-Match outweighs the date")
    XCTAssertEqual(verdict("x", "e"), .failed("If-Match"))
  }

  func testRanges() {
    let table: [(String?, Int64, ByteRange.Answer)] = [
      (nil, 10, .whole), ("bytes=0-0", 10, .part(0..<1)), ("bytes=2-5", 10, .part(2..<6)), ("bytes=5-", 10, .part(5..<10)),
      ("bytes=-3", 10, .part(7..<10)), ("bytes=-30", 10, .part(0..<10)), ("bytes=0-99", 10, .part(0..<10)),
      ("bytes=10-", 10, .unsatisfiable), ("bytes=10-12", 10, .unsatisfiable), ("bytes=-0", 10, .unsatisfiable),
      ("bytes=0-", 0, .unsatisfiable), ("bytes=-1", 0, .unsatisfiable), ("bytes=5-2", 10, .whole), ("bytes=0-1,3-4", 10, .whole),
      ("lines=0-1", 10, .whole), ("bytes=", 10, .whole), ("bytes=-", 10, .whole), ("bytes=a-b", 10, .whole), ("bytes=1", 10, .whole),
      ("bytes=0-99999999999999999999", 10, .part(0..<10)), ("bytes=99999999999999999999-", 10, .unsatisfiable),
      ("BYTES=1-2", 10, .part(1..<3)),
    ]
    for (header, size, expected) in table { XCTAssertEqual(ByteRange.read(header, size: size), expected, header ?? "none") }
  }

  func testWriteConditions() throws {
    XCTAssertThrowsError(try WriteConditions(ifMatch: nil, ifNoneMatch: "abc"))
    let create = try WriteConditions(ifMatch: nil, ifNoneMatch: "*")
    let version = KeyVersion(
      key: "k", order: 1, size: 0, eTag: "e", lastModified: Date(timeIntervalSince1970: 0), content: .empty, metadata: ObjectMetadata())
    XCTAssertNoThrow(try create.check(nil, key: "k"))
    XCTAssertThrowsError(try create.check(version, key: "k"))
    let replace = try WriteConditions(ifMatch: "\"e\"", ifNoneMatch: nil)
    XCTAssertNoThrow(try replace.check(version, key: "k"))
    XCTAssertThrowsError(try replace.check(nil, key: "k"))
    XCTAssertThrowsError(try WriteConditions(ifMatch: "other", ifNoneMatch: nil).check(version, key: "k"))
  }
}
