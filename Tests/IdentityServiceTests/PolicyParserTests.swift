import RegionKit
import RoadsteadTesting
import XCTest

@testable import IdentityService

final class PolicyParserTests: XCTestCase {
  private func problem(_ text: String, as kind: PolicyDocument.Kind = .identity) -> String {
    do {
      _ = try PolicyParser.parse(text, as: kind)
      return "accepted"
    } catch { return error.text }
  }

  func testEveryElementIsRead() throws {
    let text = """
      {"Version":"2012-10-17","Id":"my-id","Statement":[
        {"Sid":"One","Effect":"Allow","Action":["s3:Get*","s3:List*"],"Resource":["arn:aws:s3:::a","arn:aws:s3:::a/*"],
         "Condition":{"StringLike":{"s3:prefix":["home/${aws:username}/*"]},"Bool":{"aws:SecureTransport":true}}},
        {"Sid":"Two","Effect":"Deny","NotAction":"iam:*","NotResource":"arn:aws:iam::*:user/root"}]}
      """
    let policy = try PolicyParser.parse(text, as: .identity)
    XCTAssertEqual(policy.id, "my-id")
    XCTAssertEqual(policy.statements.map(\.sid), ["One", "Two"])
    XCTAssertEqual(policy.statements[0].conditions.count, 2)
    XCTAssertTrue(policy.statements[1].actionsNegated && policy.statements[1].resourcesNegated)
  }

  func testMalformedPoliciesSayWhatIsWrong() {
    let good = "\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"*\""
    let cases: [(String, String)] = [
      ("", "not valid JSON at line 1, column 1"), ("{\"Version\":}", "expected a value"), ("[]", "must be an object"),
      ("{\"Statement\":[{\(good)},]}", "expected a value"),
      ("{\"Statement\":{\(good)},\"Statement\":{\(good)}}", "appears twice"),
      ("{\"Version\":\"2012-10-18\",\"Statement\":{\(good)}}", "valid version string"),
      ("{\"Statement\":[]}", "empty list"), ("{\"Version\":\"2012-10-17\"}", "must contain a Statement"),
      ("{\"Statement\":{\(good),\"Rincipal\":\"*\"}}", "Unknown element \"Rincipal\""),
      ("{\"Statement\":{\(good)},\"Extra\":1}", "Unknown element \"Extra\""),
      ("{\"Statement\":{\"Effect\":\"allow\",\"Action\":\"s3:*\",\"Resource\":\"*\"}}", "Effect of statement 1"),
      ("{\"Statement\":{\"Effect\":\"Allow\",\"Resource\":\"*\"}}", "must contain actions"),
      ("{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"s3:*\"}}", "must contain resources"),
      ("{\"Statement\":{\(good),\"NotAction\":\"s3:*\"}}", "both Action and NotAction"),
      ("{\"Statement\":{\(good),\"Principal\":\"*\"}}", "should not specify a principal"),
      ("{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"GetObject\",\"Resource\":\"*\"}}", "prefaced by a vendor"),
      ("{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"s3:Get Object\",\"Resource\":\"*\"}}", "is not an action name"),
      ("{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"bucket\"}}", "must be in ARN format"),
      ("{\"Statement\":{\"Effect\":\"Allow\",\"Action\":[],\"Resource\":\"*\"}}", "must not be an empty list"),
      ("{\"Statement\":{\"Effect\":\"Allow\",\"Action\":[1],\"Resource\":\"*\"}}", "must hold strings"),
      ("{\"Statement\":[{\"Sid\":\"a\",\(good)},{\"Sid\":\"a\",\(good)}]}", "must be unique"),
      ("{\"Statement\":{\"Sid\":\"a b\",\(good)}}", "must be alpha-numeric"),
      ("{\"Statement\":{\(good),\"Condition\":{\"StringIs\":{\"aws:x\":\"y\"}}}}", "Unknown condition operator \"StringIs\""),
      ("{\"Statement\":{\(good),\"Condition\":{\"NullIfExists\":{\"aws:x\":\"true\"}}}}", "Null cannot be used with IfExists"),
      ("{\"Statement\":{\(good),\"Condition\":{\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/33\"}}}}", "not an IP address"),
      ("{\"Statement\":{\(good),\"Condition\":{\"DateLessThan\":{\"aws:CurrentTime\":\"2026-02-30\"}}}}", "not a date"),
      ("{\"Statement\":{\(good),\"Condition\":{\"NumericEquals\":{\"a:b\":\"x\"}}}}", "not a number"),
      ("{\"Statement\":{\(good),\"Condition\":{\"Bool\":{\"a:b\":\"maybe\"}}}}", "not true or false"),
      ("{\"Statement\":{\(good),\"Condition\":{\"StringEquals\":{\"nokey\":\"x\"}}}}", "prefaced by a vendor"),
      ("{\"Statement\":{\(good),\"Condition\":{\"StringEquals\":{\"a:b\":null}}}}", "must hold strings"),
      ("{\"Statement\":{\(good),\"Condition\":\"x\"}}", "must be an object"),
      (
        document(statement("Allow", "s3:*", "arn:aws:s3:::${aws")),
        "no closing brace"
      ),
    ]
    for (text, wanted) in cases { XCTAssertTrue(problem(text).contains(wanted), "\(text): \(problem(text))") }
  }

  func testTrustAndResourcePolicies() {
    func trust(_ statement: String) -> String { problem("{\"Version\":\"2012-10-17\",\"Statement\":{\(statement)}}", as: .trust) }
    let assume = "\"Effect\":\"Allow\",\"Action\":\"sts:AssumeRole\""
    XCTAssertEqual(trust("\(assume),\"Principal\":{\"Service\":\"codedeploy.amazonaws.com\"}"), "accepted")
    XCTAssertEqual(trust("\(assume),\"Principal\":{\"AWS\":[\"123456789012\",\"arn:aws:iam::123456789012:root\"]}"), "accepted")
    XCTAssertTrue(trust(assume).contains("Missing required field Principal"))
    XCTAssertTrue(trust("\(assume),\"Principal\":\"*\",\"Resource\":\"*\"").contains("Has prohibited field Resource"))
    XCTAssertTrue(trust("\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Principal\":\"*\"").contains("may only specify STS"))
    for bad in [
      "{\"AWS\":\"12345\"}", "{\"AWS\":\"arn:aws:iam::123456789012:user/*\"}", "{\"Person\":\"x\"}", "\"me\"", "{}",
      "{\"Service\":\"ec2\"}",
    ] {
      XCTAssertNotEqual(trust("\(assume),\"Principal\":\(bad)"), "accepted", bad)
    }
    let resource =
      "{\"Statement\":{\"Sid\":\"any text is fine here\",\"Effect\":\"Allow\",\"Principal\":\"*\","
      + "\"Action\":\"s3:*\",\"Resource\":\"*\"}}"
    XCTAssertEqual(problem(resource, as: .resource), "accepted")
  }

  func testJSONReaderKeepsToTheRFC() throws {
    for bad in ["01", "1.", "-", "1e", "\"\\x\"", "\"\\ud800\"", "\"\t\"", "{a:1}", "[1 2]", "tru", "{\"a\"}", "\u{feff}1"] {
      XCTAssertThrowsError(try JSONReader.read(bad), bad)
    }
    XCTAssertThrowsError(try JSONReader.read(String(repeating: "[", count: 100_000)))
    XCTAssertEqual(try JSONReader.read(" \"\\ud83d\\ude00\\n\" "), .string("😀\n"))
    XCTAssertEqual(try JSONReader.read("[-1.5e+3,true,null]"), .array([.number("-1.5e+3"), .bool(true), .null]))
    do {
      _ = try JSONReader.read("{\n  \"a\": ?\n}")
      XCTFail("accepted")
    } catch { XCTAssertEqual(error.line, 2) }
  }

  /// Damaged policies are refused or read, and what is read can be evaluated; nothing crashes.
  func testFuzz() throws {
    let seeds = [
      document(
        statement(condition: "{\"ForAnyValue:StringLikeIfExists\":{\"aws:TagKeys\":[\"a*\",\"${aws:username,'x'}\"]}}"),
        statement("Deny", "iam:*", "arn:aws:iam::*:user/${aws:PrincipalTag/team}")),
      "{\"Version\":\"2008-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"NotAction\":[\"s3:*\"],\"NotResource\":"
        + "\"arn:aws:s3:::*\",\"Condition\":{\"DateLessThan\":{\"aws:CurrentTime\":\"2030-01-01T00:00:00Z\"},"
        + "\"IpAddress\":{\"aws:SourceIp\":[\"10.0.0.0/8\",\"2001:db8::/32\"]}}}}",
      TestRegion.trust(
        "{\"AWS\":\"arn:aws:iam::123456789012:root\",\"Service\":[\"a.b\"]}",
        condition: "{\"StringEquals\":{\"sts:ExternalId\":\"x\"}}"),
    ]
    var random = SeededGenerator(seed: 7)
    let letters = Array("{}[]\",:\\*?$u0é19.-eE/ntAllow".utf8)
    var accepted = 0
    for round in 0..<6_000 {
      var bytes = Array(seeds[round % seeds.count].utf8)
      for _ in 0...random.below(4) {
        let at = random.below(bytes.count)
        switch random.below(4) {
        case 0: bytes.remove(at: at)
        case 1: bytes.insert(letters[random.below(letters.count)], at: at)
        case 2: bytes[at] = letters[random.below(letters.count)]
        default:
          let end = min(bytes.count, at + random.below(40))
          bytes.insert(contentsOf: bytes[at..<end], at: random.below(bytes.count))
        }
      }
      let text = String(decoding: bytes, as: UTF8.self)
      for kind in [PolicyDocument.Kind.identity, .trust, .resource] {
        guard let policy = try? PolicyParser.parse(text, as: kind) else { continue }
        accepted += 1
        let request = AuthorizationRequest("s3:GetObject", on: "arn:aws:s3:::b/k", context: ["aws:TagKeys": ["abc"]])
        _ = policy.verdict(in: PolicyContext(request: request, principal: testUser(), principalTags: [:], facts: testFacts()))
      }
    }
    XCTAssertGreaterThan(accepted, 100)
  }
}
