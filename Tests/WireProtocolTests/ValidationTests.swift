import RegionKit
import WireModel
import XCTest

@testable import WireProtocol

final class ValidationTests: XCTestCase {
  private func route(_ service: String, _ operation: String) throws -> (WireCodec, WireRoute) {
    let model = try GeneratedModels.load(service)
    return (WireCodec(model: model), WireRoute(try XCTUnwrap(model.operations[operation]), model.metadata.protocols[0]))
  }

  private func error(_ service: String, _ operation: String, _ input: [String: WireValue]) throws -> AWSError? {
    let (codec, route) = try route(service, operation)
    do {
      try codec.validate(input, route)
      return nil
    } catch let error as AWSError {
      return error
    }
  }

  func testAGoodInputPasses() throws {
    XCTAssertNil(try error("iam", "CreateRole", ["RoleName": .string("r"), "AssumeRolePolicyDocument": .string("{}")]))
  }

  func testAMissingMemberIsNull() throws {
    let error = try error("iam", "CreateRole", ["AssumeRolePolicyDocument": .string("{}")])
    XCTAssertEqual(error?.code, "ValidationError")
    XCTAssertEqual(
      error?.message, "1 validation error detected: Value null at 'roleName' failed to satisfy constraint: Member must not be null")
  }

  func testSeveralFailuresAreCountedAndJoined() throws {
    let error = try error("iam", "CreateRole", ["RoleName": .string("a b"), "MaxSessionDuration": .int(1)])
    XCTAssertEqual(
      error?.message,
      "3 validation errors detected: Value 'a b' at 'roleName' failed to satisfy constraint: "
        + "Member must satisfy regular expression pattern: [\\w+=,.@-]+; "
        + "Value null at 'assumeRolePolicyDocument' failed to satisfy constraint: Member must not be null; "
        + "Value '1' at 'maxSessionDuration' failed to satisfy constraint: Member must have value greater than or equal to 3600")
  }

  func testLengthCountsAndNestedPaths() throws {
    let long = String(repeating: "a", count: 65)
    let first = try error("iam", "CreateRole", ["RoleName": .string(long), "AssumeRolePolicyDocument": .string("{}")])
    XCTAssertEqual(
      first?.message,
      "1 validation error detected: Value '\(long)' at 'roleName' failed to satisfy constraint: "
        + "Member must have length less than or equal to 64")
    let tag: WireValue = .object(["Key": .string("k"), "Value": .string(String(repeating: "v", count: 257))])
    let second = try error(
      "iam", "CreateRole", ["RoleName": .string("r"), "AssumeRolePolicyDocument": .string("{}"), "Tags": .list([tag])])
    XCTAssertEqual(second?.message.contains("at 'tags.1.member.value' failed to satisfy constraint"), true, second?.message ?? "")
  }

  func testEnumerationsNameTheirValues() throws {
    let error = try error(
      "codedeploy", "CreateApplication", ["applicationName": .string("a"), "computePlatform": .string("Toaster")])
    XCTAssertEqual(error?.code, "ValidationException")
    XCTAssertEqual(
      error?.message,
      "1 validation error detected: Value 'Toaster' at 'computePlatform' failed to satisfy constraint: "
        + "Member must satisfy enum value set: [Server, Lambda, ECS]")
  }

  func testElementsOfACollectionFailTogether() throws {
    let error = try error(
      "codedeploy", "ListDeployments", ["includeOnlyStatuses": .list([.string("Created"), .string("Bogus")])])
    let expected =
      "Value '[Created, Bogus]' at 'includeOnlyStatuses' failed to satisfy constraint: Member must satisfy constraint: "
      + "[Member must satisfy enum value set: [Created,"
    XCTAssertEqual(error?.message.contains(expected), true, error?.message ?? "")
  }

  func testEC2AndS3SpeakTheirOwnWay() throws {
    let missing = try error("ec2", "TerminateInstances", [:])
    XCTAssertEqual(missing?.code, "MissingParameter")
    XCTAssertEqual(missing?.message, "The request must contain the parameter InstanceId")
    let type = try error("ec2", "RunInstances", ["MinCount": .int(1), "MaxCount": .int(1), "InstanceType": .string("t9.pico")])
    XCTAssertEqual(type?.code, "InvalidParameterValue")
    XCTAssertEqual(type?.message.hasPrefix("Value (t9.pico) for parameter InstanceType is invalid."), true, type?.message ?? "")
    XCTAssertLessThan(type?.message.count ?? .max, 400)
    let badArgument = try error(
      "s3", "ListObjectsV2", ["Bucket": .string("b"), "EncodingType": .string("rot13")])
    XCTAssertEqual(badArgument?.code, "InvalidArgument")
    let badBody = try error(
      "s3", "PutBucketVersioning",
      ["Bucket": .string("b"), "VersioningConfiguration": .object(["Status": .string("Perhaps")])])
    XCTAssertEqual(badBody?.code, "MalformedXML")
    // Any region name is a region here.
    let anywhere: WireValue = .object(["LocationConstraint": .string("roadstead-1")])
    XCTAssertNil(try error("s3", "CreateBucket", ["Bucket": .string("b"), "CreateBucketConfiguration": anywhere]))
  }

  func testAServiceTranslatesFailuresByItsConvention() throws {
    let (codec, create) = try route("codedeploy", "CreateApplication")
    let translate: ([ValidationFailure], String) -> AWSError? = { failures, operation in
      failures.first.flatMap { codec.model.exceptionByConvention($0, operation: operation) }
    }
    func code(_ input: [String: WireValue], _ route: WireRoute) -> String? {
      do {
        try codec.validate(input, route, translate: translate)
        return nil
      } catch { return (error as? AWSError)?.code }
    }
    XCTAssertEqual(code([:], create), "ApplicationNameRequiredException")
    let long: WireValue = .string(String(repeating: "a", count: 101))
    XCTAssertEqual(code(["applicationName": long], create), "InvalidApplicationNameException")
    XCTAssertEqual(
      code(["applicationName": .string("a"), "computePlatform": .string("x")], create), "InvalidComputePlatformException")
    let (_, group) = try route("codedeploy", "CreateDeploymentGroup")
    XCTAssertEqual(
      code(["applicationName": .string("a"), "deploymentGroupName": .string("g")], group), "RoleRequiredException")
    let (_, register) = try route("codedeploy", "RegisterApplicationRevision")
    let revision: WireValue = .object(["s3Location": .object(["bundleType": .string("rar")])])
    XCTAssertEqual(code(["applicationName": .string("a"), "revision": revision], register), "InvalidRevisionException")
  }

  func testPatternsMatchTheWholeValueInJavasDialect() {
    let cases: [(String, String, Bool)] = [
      ("[\\w+=,.@-]+", "a.b@c", true), ("[\\w+=,.@-]+", "ä", false), ("[\\w+=,.@-]+", "", false),
      ("[\\w+=,.@-]*", "", true), ("\\d{12}", "123456789012", true), ("\\d{12}", "12345678901", false),
      ("[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+", "a\n\t ÿ", true), ("[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+", "a\u{0}", false),
      ("[ -~]+", "x~", true), ("^o-[a-z0-9]{10,32}$", "o-abcdefghij", true), ("^o-[a-z0-9]{10,32}$", "o-abc", false),
      ("(\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)", "/a/b/", true), ("(\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)", "a", false),
      ("((/[A-Za-z0-9\\.,\\+@=_-]+)*)/", "/a/b/", true), ("v[1-9][0-9]*(\\.[A-Za-z0-9-]*)?", "v12.x", true),
      ("[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+", "ключ 1", true), ("[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+", "a;b", false),
      ("^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$", "a-b-c", true), ("^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$", "a--c", false),
      ("[^x]+", "abc", true), ("[^x]+", "axc", false), ("[a-z]{2}", "ab", true), ("[a-z]{2,}", "a", false),
    ]
    for (pattern, text, expected) in cases {
      let made = Pattern(pattern)
      XCTAssertNil(made.problem, pattern)
      XCTAssertEqual(made.matches(text), expected, "\(pattern) on '\(text)'")
    }
    XCTAssertNotNil(Pattern("[a").problem)
    XCTAssertNil(Pattern("[a").matches("a"))
  }

  func testTheSimpleFormAgreesWithTheRegexEngine() throws {
    let patterns = try GeneratedModels.all().values.flatMap { $0.shapes.compactMap(\.pattern) }
    var random = SeededRandom(seed: 7)
    let letters = Array("aZ09_-+=,.@:/ ~äÿ€\n\t\u{1F600}".unicodeScalars)
    var checked = 0
    for pattern in Set(patterns).sorted() {
      guard ScalarSet.repeated(pattern) != nil, let regex = try? Regex(pattern) else { continue }
      let exact = regex.matchingSemantics(.unicodeScalar).asciiOnlyWordCharacters().asciiOnlyDigits().asciiOnlyWhitespace()
      let simple = Pattern(pattern)
      for _ in 0..<40 {
        var text = String.UnicodeScalarView()
        for _ in 0..<random.below(8) { text.append(letters[random.below(letters.count)]) }
        let word = String(text)
        XCTAssertEqual(simple.matches(word), (try? exact.wholeMatch(in: word)) != nil, "\(pattern) on '\(word)'")
        checked += 1
      }
    }
    XCTAssertGreaterThan(checked, 200)
  }

  func testSensitiveValuesAreNotRepeated() throws {
    let model = try ServiceModel(
      service: "x",
      json: """
        {"metadata":{"protocols":["json"]},"operations":{"Op":{"http":{},"input":{"shape":"In"}}},
        "shapes":{"In":{"type":"structure","members":{"Secret":{"shape":"S"}}},"S":{"type":"string","max":3,"sensitive":true}}}
        """)
    let codec = WireCodec(model: model)
    let failures = codec.failures(["Secret": .string("hunter2")], WireRoute(model.operations["Op"]!, .json))
    XCTAssertEqual(
      ValidationFailure.message(failures),
      "1 validation error detected: Value at 'secret' failed to satisfy constraint: Member must have length less than or equal to 3")
  }
}
