import FoundationEssentials
import RegionKit
import XCTest

@testable import IdentityService

final class ConditionTests: XCTestCase {
  private func holds(
    _ condition: String, _ context: [String: [String]] = [:], facts: CallFacts = testFacts(),
    as principal: Principal = testUser(),
    tags: [String: String] = [:]
  ) throws -> Bool {
    try Engine(identity: [document(statement(condition: condition))], tags: tags)
      .allows(principal, "s3:GetObject", context: context, facts: facts)
  }
  private func check(
    _ rows: [(String, [String: [String]], Bool)], file: StaticString = #filePath, line: UInt = #line
  ) throws {
    for (condition, context, wanted) in rows {
      XCTAssertEqual(try holds(condition, context), wanted, "\(condition) with \(context)", file: file, line: line)
    }
  }

  func testStrings() throws {
    try check([
      ("{\"StringEquals\":{\"a:b\":\"x\"}}", ["a:b": ["x"]], true), ("{\"StringEquals\":{\"A:B\":\"x\"}}", ["a:b": ["x"]], true),
      ("{\"StringEquals\":{\"a:b\":\"x\"}}", ["a:b": ["X"]], false), ("{\"StringEquals\":{\"a:b\":\"x\"}}", [:], false),
      ("{\"StringEquals\":{\"a:b\":\"x*\"}}", ["a:b": ["xy"]], false),
      ("{\"StringEquals\":{\"a:b\":[\"x\",\"y\"]}}", ["a:b": ["y"]], true),
      ("{\"StringNotEquals\":{\"a:b\":[\"x\",\"y\"]}}", ["a:b": ["y"]], false),
      ("{\"StringNotEquals\":{\"a:b\":\"x\"}}", [:], true), ("{\"StringNotEquals\":{\"a:b\":\"x\"}}", ["a:b": ["z"]], true),
      ("{\"StringEqualsIgnoreCase\":{\"a:b\":\"XyZ\"}}", ["a:b": ["xYz"]], true),
      ("{\"StringNotEqualsIgnoreCase\":{\"a:b\":\"XyZ\"}}", ["a:b": ["xYz"]], false),
      ("{\"StringLike\":{\"a:b\":\"x*z?\"}}", ["a:b": ["xyyzw"]], true),
      ("{\"StringNotLike\":{\"a:b\":\"x*\"}}", ["a:b": ["xy"]], false),
      ("{\"StringLike\":{\"a:b\":\"${*}\"}}", ["a:b": ["x"]], false),
      ("{\"StringLike\":{\"a:b\":\"${*}\"}}", ["a:b": ["*"]], true),
      ("{\"StringEquals\":{\"a:b\":\"x\"},\"Bool\":{\"c:d\":true}}", ["a:b": ["x"]], false),
    ])
  }

  func testIfExistsAndNull() throws {
    try check([
      ("{\"StringEqualsIfExists\":{\"a:b\":\"x\"}}", [:], true),
      ("{\"StringEqualsIfExists\":{\"a:b\":\"x\"}}", ["a:b": ["y"]], false),
      ("{\"Null\":{\"a:b\":\"true\"}}", [:], true), ("{\"Null\":{\"a:b\":\"true\"}}", ["a:b": ["1"]], false),
      ("{\"Null\":{\"a:b\":false}}", ["a:b": ["1"]], true), ("{\"Null\":{\"a:b\":false}}", ["a:b": []], false),
      ("{\"BoolIfExists\":{\"aws:MultiFactorAuthPresent\":\"true\"}}", [:], true),
    ])
  }

  func testSetOperators() throws {
    try check([
      ("{\"ForAllValues:StringEquals\":{\"aws:TagKeys\":[\"a\",\"b\"]}}", ["aws:TagKeys": ["a", "b"]], true),
      ("{\"ForAllValues:StringEquals\":{\"aws:TagKeys\":[\"a\",\"b\"]}}", ["aws:TagKeys": ["a", "c"]], false),
      ("{\"ForAllValues:StringEquals\":{\"aws:TagKeys\":[\"a\"]}}", [:], true),
      ("{\"ForAnyValue:StringEquals\":{\"aws:TagKeys\":[\"a\"]}}", ["aws:TagKeys": ["c", "a"]], true),
      ("{\"ForAnyValue:StringEquals\":{\"aws:TagKeys\":[\"a\"]}}", [:], false),
      ("{\"ForAnyValue:StringNotEquals\":{\"aws:TagKeys\":[\"a\"]}}", ["aws:TagKeys": ["a"]], false),
      ("{\"ForAnyValue:StringNotEquals\":{\"aws:TagKeys\":[\"a\"]}}", ["aws:TagKeys": ["a", "b"]], true),
      ("{\"ForAllValues:StringNotEquals\":{\"aws:TagKeys\":[\"a\"]}}", ["aws:TagKeys": ["a", "b"]], false),
      ("{\"ForAnyValue:StringEqualsIfExists\":{\"aws:TagKeys\":[\"a\"]}}", [:], true),
    ])
  }

  func testNumbersDatesAndBytes() throws {
    try check([
      ("{\"NumericLessThan\":{\"s3:max-keys\":10}}", ["s3:max-keys": ["9"]], true),
      ("{\"NumericLessThan\":{\"s3:max-keys\":\"10\"}}", ["s3:max-keys": ["10"]], false),
      ("{\"NumericLessThanEquals\":{\"s3:max-keys\":10}}", ["s3:max-keys": ["10"]], true),
      ("{\"NumericGreaterThan\":{\"a:b\":1.5}}", ["a:b": ["1.6"]], true),
      ("{\"NumericGreaterThanEquals\":{\"a:b\":2}}", ["a:b": ["2.0"]], true),
      ("{\"NumericEquals\":{\"a:b\":2}}", ["a:b": ["x"]], false), ("{\"NumericNotEquals\":{\"a:b\":2}}", ["a:b": ["3"]], true),
      ("{\"DateGreaterThan\":{\"aws:CurrentTime\":\"2025-12-31T23:59:59Z\"}}", [:], true),
      ("{\"DateLessThan\":{\"aws:CurrentTime\":\"2025-12-31T23:59:59Z\"}}", [:], false),
      ("{\"DateEquals\":{\"aws:CurrentTime\":\"2026-01-01T01:00:00+01:00\"}}", [:], true),
      ("{\"DateNotEquals\":{\"aws:CurrentTime\":\"2026-01-01\"}}", [:], false),
      ("{\"DateGreaterThanEquals\":{\"aws:EpochTime\":1767225600}}", [:], true),
      ("{\"DateLessThanEquals\":{\"aws:EpochTime\":\"1767225599\"}}", [:], false),
      ("{\"BinaryEquals\":{\"a:b\":\"QmluYXJ5\"}}", ["a:b": ["QmluYXJ5"]], true),
      ("{\"BinaryEquals\":{\"a:b\":\"QmluYXJ5\"}}", ["a:b": ["QQ=="]], false),
      ("{\"Bool\":{\"a:b\":\"TRUE\"}}", ["a:b": ["true"]], true), ("{\"Bool\":{\"a:b\":false}}", ["a:b": ["true"]], false),
    ])
    XCTAssertEqual(PolicyDate.parse("1970-01-01"), 0)
    XCTAssertEqual(PolicyDate.parse("2000-02-29T12:00Z"), 951_825_600)
    XCTAssertEqual(PolicyDate.parse("1969-12-31T23:59:59.5Z"), -0.5)
    for bad in ["", "2001-02-29", "2001-13-01", "2001-1-1", "2001-01-01T", "2001-01-01T25:00Z", "2001-01-01Zx", "nan", "inf"] {
      XCTAssertNil(PolicyDate.parse(bad), bad)
    }
  }

  func testAddresses() throws {
    func from(_ ip: String?, _ range: String) throws -> Bool {
      try holds("{\"IpAddress\":{\"aws:SourceIp\":\(range)}}", facts: testFacts(ip: ip))
    }
    XCTAssertTrue(try from("203.0.113.7", "\"203.0.113.0/24\""))
    XCTAssertFalse(try from("203.0.114.7", "\"203.0.113.0/24\""))
    XCTAssertTrue(try from("203.0.113.7", "[\"10.0.0.0/8\",\"203.0.113.7\"]"))
    XCTAssertTrue(try from("203.0.113.129", "\"203.0.113.128/25\""))
    XCTAssertTrue(try from("2001:db8::1", "\"2001:DB8::/32\""))
    XCTAssertFalse(try from("2001:db9::1", "\"2001:DB8::/32\""))
    XCTAssertFalse(try from(nil, "\"0.0.0.0/0\""))
    XCTAssertFalse(try from("::ffff:10.0.0.1", "\"10.0.0.0/8\""))
    XCTAssertTrue(try holds("{\"NotIpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}}"))
    for bad in ["10.0.0", "10.0.0.256", "1.2.3.4/-1", ":::", "1::2::3", "12345::", "::1/129", "1.2.3.4/", "", "::1:", ":1"] {
      XCTAssertNil(AddressRange(bad), bad)
    }
    XCTAssertEqual(AddressRange.address("::"), [UInt8](repeating: 0, count: 16))
    XCTAssertEqual(AddressRange.address("1:2:3:4:5:6:7:8")?.last, 8)
  }

  func testARNs() throws {
    let pattern = "{\"ArnLike\":{\"aws:SourceArn\":\"arn:aws:s3:*:*:app-*\"}}"
    try check([
      (pattern, ["aws:SourceArn": ["arn:aws:s3:::app-1"]], true), (pattern, ["aws:SourceArn": ["arn:aws:sqs:::app-1"]], false),
      (pattern, ["aws:SourceArn": ["not an arn"]], false), (pattern, [:], false),
      (
        "{\"ArnEquals\":{\"a:b\":\"arn:aws:sns:us-east-1:123456789012:*\"}}", ["a:b": ["arn:aws:sns:us-east-1:123456789012:t:x"]],
        true
      ),
      // A star stays inside its part.
      ("{\"ArnLike\":{\"a:b\":\"arn:aws:s3*:x\"}}", ["a:b": ["arn:aws:s3:::x"]], false),
      ("{\"ArnNotLike\":{\"a:b\":\"arn:aws:s3:::*\"}}", ["a:b": ["arn:aws:s3:::x"]], false),
      ("{\"ArnNotEquals\":{\"a:b\":\"arn:aws:s3:::*\"}}", [:], true),
    ])
  }

  func testGlobalKeys() throws {
    let alice = testUser()
    func equal(_ key: String, _ text: String, as principal: Principal = testUser(), tags: [String: String] = [:]) throws -> Bool {
      try holds("{\"StringEquals\":{\"\(key)\":\"\(text)\"}}", as: principal, tags: tags)
    }
    XCTAssertTrue(try equal("aws:username", "alice"))
    XCTAssertFalse(try equal("aws:username", "s1", as: testSession()))
    XCTAssertTrue(try equal("aws:userid", alice.userId))
    XCTAssertTrue(try equal("aws:PrincipalArn", alice.arn))
    XCTAssertTrue(try equal("aws:PrincipalArn", "arn:aws:iam::123456789012:role/deployer", as: testSession()))
    XCTAssertTrue(try equal("aws:PrincipalType", "AssumedRole", as: testSession()))
    XCTAssertTrue(try equal("aws:PrincipalAccount", "123456789012"))
    XCTAssertTrue(try equal("aws:RequestedRegion", "eu-central-1"))
    XCTAssertTrue(try equal("aws:UserAgent", "aws-cli/1.45"))
    XCTAssertTrue(try equal("aws:PrincipalTag/Team", "blue", tags: ["team": "blue"]))
    XCTAssertFalse(try equal("aws:PrincipalTag/Team", "red", tags: ["team": "blue"]))
    XCTAssertTrue(try holds("{\"Bool\":{\"aws:SecureTransport\":true}}"))
    XCTAssertFalse(try holds("{\"Bool\":{\"aws:SecureTransport\":true}}", facts: testFacts(secure: false)))
    XCTAssertTrue(try holds("{\"Null\":{\"aws:TokenIssueTime\":true}}"))
    let session = Principal(
      kind: .user, account: alice.account, arn: alice.arn, userId: alice.userId,
      issuedAt: Date(timeIntervalSince1970: 1_767_225_000))
    XCTAssertTrue(try holds("{\"DateLessThan\":{\"aws:TokenIssueTime\":\"2026-01-01T00:00:00Z\"}}", as: session))
    XCTAssertTrue(try holds("{\"Bool\":{\"aws:MultiFactorAuthPresent\":false}}", as: session))
  }

  func testVariables() throws {
    let home = Engine(identity: [document(statement("Allow", "s3:GetObject", "arn:aws:s3:::home/${aws:username}/*"))])
    XCTAssertTrue(try home.allows(testUser("bob"), "s3:GetObject", on: "arn:aws:s3:::home/bob/x"))
    XCTAssertFalse(try home.allows(testUser("bob"), "s3:GetObject", on: "arn:aws:s3:::home/eve/x"))
    XCTAssertFalse(try home.allows(testSession(), "s3:GetObject", on: "arn:aws:s3:::home//x"))
    // A value with a star in it is a star, not a wildcard.
    let starred = Engine(
      identity: [document(statement("Allow", "s3:GetObject", "arn:aws:s3:::b/${aws:PrincipalTag/p}"))], tags: ["p": "*"])
    XCTAssertFalse(try starred.allows(testUser(), "s3:GetObject", on: "arn:aws:s3:::b/secret"))
    XCTAssertTrue(try starred.allows(testUser(), "s3:GetObject", on: "arn:aws:s3:::b/*"))
    let fallback = Engine(identity: [
      document(statement("Allow", "s3:GetObject", "arn:aws:s3:::b/${aws:PrincipalTag/team, 'none'}"))
    ])
    XCTAssertTrue(try fallback.allows(testUser(), "s3:GetObject", on: "arn:aws:s3:::b/none"))
    // Before 2012-10-17 the text stands for itself.
    let old = "{\"Version\":\"2008-10-17\",\"Statement\":\(statement("Allow", "s3:GetObject", "arn:aws:s3:::b/${aws:username}"))}"
    XCTAssertFalse(try Engine(identity: [old]).allows(testUser("bob"), "s3:GetObject", on: "arn:aws:s3:::b/bob"))
    XCTAssertTrue(try Engine(identity: [old]).allows(testUser("bob"), "s3:GetObject", on: "arn:aws:s3:::b/${aws:username}"))
    // An Allow with NotResource or a negated operator must not widen when a variable has no value.
    let wide =
      "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"s3:*\","
      + "\"NotResource\":\"arn:aws:s3:::${aws:username}\"}}"
    XCTAssertFalse(try Engine(identity: [wide]).allows(testSession(), "s3:GetObject"))
    XCTAssertTrue(try Engine(identity: [wide]).allows(testUser("bob"), "s3:GetObject"))
    XCTAssertFalse(
      try holds("{\"StringNotEquals\":{\"a:b\":\"${aws:username}\"}}", ["a:b": ["x"]], as: testSession()))
  }
}
