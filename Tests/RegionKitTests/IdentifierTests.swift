import XCTest

@testable import RegionKit

/// A seeded source, so that a failure can be repeated.
final class CountingRandomness: Randomness, @unchecked Sendable {
  private var state: UInt64
  init(seed: UInt64) { state = seed }
  func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return UInt8(truncatingIfNeeded: state >> 33)
    }
  }
}

final class IdentifierTests: XCTestCase {
  func testARNsAreReadAndWrittenBackUnchanged() {
    for text in [
      "arn:aws:s3:::bucket/key:with:colons", "arn:aws:iam::123456789012:role/path/name",
      "arn:aws-cn:ec2:cn-north-1:123456789012:instance/i-1",
    ] {
      XCTAssertEqual(ARN(text)?.description, text)
    }
    for text in ["", "arn", "arn:aws:s3", "arn:aws:s3:::", "urn:aws:s3:::b", "arn::s3:::b", "arn:aws::::b"] {
      XCTAssertNil(ARN(text), text)
    }
    let scope = Scope(account: AccountID("123456789012"), region: .global)
    XCTAssertEqual(ARN(service: "iam", scope: scope, resource: "user/a").description, "arn:aws:iam::123456789012:user/a")
  }

  func testAccountIdsHaveTwelveDigits() {
    XCTAssertTrue(AccountID("000000000001").isWellFormed)
    for bad in ["", "12345678901", "1234567890123", "12345678901x", "١٢٣٤٥٦٧٨٩٠١٢"] { XCTAssertFalse(AccountID(bad).isWellFormed, bad) }
  }

  func testATokenWorksOnlyWhereItWasGiven() {
    let token = PageToken(after: "key/with:colons\n\u{1F600}").encoded(binding: "ListThings|a")
    XCTAssertEqual(PageToken(token, binding: "ListThings|a")?.after, "key/with:colons\n\u{1F600}")
    XCTAssertNil(PageToken(token, binding: "ListThings|b"))
    for bad in ["", "!", "AAAA", token + "A!", String(token.dropFirst(4))] { XCTAssertNil(PageToken(bad, binding: "ListThings|a"), bad) }
  }

  func testBase64URLRoundTrips() {
    let random = CountingRandomness(seed: 11)
    for count in 0..<200 {
      let bytes = random.bytes(count)
      let text = Base64URL.encode(bytes)
      XCTAssertEqual(Base64URL.decode(text), bytes)
      XCTAssertFalse(text.contains("=") || text.contains("+") || text.contains("/"))
    }
    XCTAssertNil(Base64URL.decode("a+b"))
  }
}

final class RandomnessTests: XCTestCase {
  func testTextIsDrawnEvenly() {
    let random = CountingRandomness(seed: 3)
    var counts: [Character: Int] = [:]
    for letter in random.text(100_000, from: "abcdefghij") { counts[letter, default: 0] += 1 }
    XCTAssertEqual(counts.count, 10)
    for (letter, count) in counts { XCTAssertTrue((9_400...10_600).contains(count), "\(letter) \(count)") }
  }

  func testUUIDsHaveTheirForm() {
    let random = SystemRandomness()
    for _ in 0..<100 {
      let text = random.uuid()
      let parts = text.split(separator: "-").map(\.count)
      XCTAssertEqual(parts, [8, 4, 4, 4, 12])
      XCTAssertEqual(text.dropFirst(14).first, "4")
      XCTAssertTrue("89ab".contains(text.dropFirst(19).first ?? "x"))
    }
    XCTAssertEqual(Set((0..<1000).map { _ in random.hex(17) }).count, 1000)
  }

  func testBelowStaysBelow() {
    let random = CountingRandomness(seed: 5)
    for bound in [1, 2, 3, 7, 1000] { for _ in 0..<200 { XCTAssertTrue((0..<bound).contains(random.below(bound))) } }
    XCTAssertEqual(random.below(0), 0)
  }
}

final class StreamTests: XCTestCase {
  func testAStreamEndsAndHoldsItsLimit() async throws {
    let whole = try await ByteStream(Array("hello".utf8)).collect(limit: 5)
    XCTAssertEqual(whole, Array("hello".utf8))
    let none = try await ByteStream([]).collect(limit: 0)
    XCTAssertEqual(none, [])
    do {
      _ = try await ByteStream(Array("hello".utf8)).collect(limit: 4)
      XCTFail("the limit was not held")
    } catch let error as AWSError { XCTAssertEqual(error.code, "EntityTooLarge") }
  }

  func testTheClockScalesOnlyWhatItMay() {
    let clock = SystemClock(timeScale: 60)
    XCTAssertEqual(clock.scaled(300), 5)
    let now = clock.now()
    XCTAssertEqual(clock.deadline(afterReal: 300).timeIntervalSince(now), 300, accuracy: 1)
    XCTAssertEqual(clock.deadline(afterScaled: 300).timeIntervalSince(now), 5, accuracy: 1)
    XCTAssertEqual(SystemClock(timeScale: 0.1).timeScale, 1, "time never runs slower")
  }
}
