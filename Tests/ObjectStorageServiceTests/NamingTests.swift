import FoundationEssentials
import RoadsteadTesting
import XCTest

@testable import ObjectStorageService

final class NamingTests: XCTestCase {
  /// Random text with every kind of trouble: control bytes, spaces, escapes' own characters, non-ASCII, combining marks.
  static func exotic(_ generator: inout SeededGenerator, most: Int) -> String {
    let pieces = [
      "a", "b", "/", "//", " ", "!", "~", "\u{0}", "\u{1}", "\u{7f}", "%", "+", "é", "e\u{301}", "日", "🚂", ".", "..", "-", "Z", "\n", "&",
      "<", "\"",
    ]
    var text = ""
    for _ in 0..<(1 + generator.below(most)) { text += pieces[generator.below(pieces.count)] }
    return text
  }

  func testKeyCodeKeepsOrderAndIsReversible() {
    var generator = SeededGenerator(seed: 21)
    for _ in 0..<3000 {
      let a = Self.exotic(&generator, most: 6)
      let b = generator.chance(0.3) ? a + Self.exotic(&generator, most: 2) : Self.exotic(&generator, most: 6)
      let left = KeyCode.encode(a)
      let right = KeyCode.encode(b)
      XCTAssertEqual(
        left.utf8.lexicographicallyPrecedes(right.utf8), a.utf8.lexicographicallyPrecedes(b.utf8),
        "\(a.debugDescription) \(b.debugDescription)")
      XCTAssertEqual(KeyCode.decode(left).map { Array($0.utf8) }, Array(a.utf8))
      XCTAssertTrue(left.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f })
      if !a.utf8.elementsEqual(b.utf8) { XCTAssertNotEqual(left, right) }
    }
    XCTAssertNil(KeyCode.decode("!"))
    XCTAssertNil(KeyCode.decode("~zz"))
    XCTAssertNil(KeyCode.decode("~41"))
  }

  func testVersionTokensSortNewestFirst() {
    let random = SeededRandomness(seed: 3)
    var before: String?
    for order: UInt64 in [0, 1, 31, 32, 1_767_225_600_000_000, UInt64.max - 1] {
      let id = VersionToken.versionId(order: order, random: random)
      XCTAssertEqual(id.utf8.count, 32)
      XCTAssertTrue(VersionToken.isWellFormed(id))
      if let before { XCTAssertTrue(id < before) }
      before = id
    }
    XCTAssertFalse(VersionToken.isWellFormed("x"))
    XCTAssertTrue(VersionToken.ascending(5) < VersionToken.ascending(6))
    let now = Date(timeIntervalSince1970: 10)
    XCTAssertEqual(VersionToken.order(at: now, after: 20_000_000), 20_000_001)
  }

  func testBucketNames() {
    for good in ["abc", "my-bucket", "a.b.c", "0ab", String(repeating: "a", count: 63)] { XCTAssertTrue(BucketName.isValid(good), good) }
    let bad = [
      "ab", "", "Abc", "a_b", "-abc", "abc-", ".abc", "a..b", "192.168.5.4", "xn--abc", "sthree-x", "abc-s3alias", "abc--ol-s3", "abc.mrap",
      "abc--x-s3", "bücket", "a b", String(repeating: "a", count: 64),
    ]
    for name in bad { XCTAssertFalse(BucketName.isValid(name), name) }
  }

  func testCopySource() throws {
    XCTAssertEqual(try CopySource("b/k").key, "k")
    XCTAssertEqual(try CopySource("/b/a%20b%2Fc").key, "a b/c")
    XCTAssertEqual(try CopySource("b/k?versionId=null").versionId, "null")
    XCTAssertEqual(try CopySource("b%2Fk").bucket, "b")
    for bad in ["", "b", "b/", "/k", "b/%zz", "arn:aws:s3:us-east-1:1:accesspoint/x", "b/k?versionId=short"] {
      XCTAssertThrowsError(try CopySource(bad), bad)
    }
  }

  func testHTTPDates() {
    XCTAssertEqual(httpDate(Date(timeIntervalSince1970: 0)), "Thu, 01 Jan 1970 00:00:00 GMT")
    XCTAssertEqual(httpDate(Date(timeIntervalSince1970: 784_111_777)), "Sun, 06 Nov 1994 08:49:37 GMT")
    XCTAssertEqual(httpDate(Date(timeIntervalSince1970: 951_782_400)), "Tue, 29 Feb 2000 00:00:00 GMT")
  }
}
