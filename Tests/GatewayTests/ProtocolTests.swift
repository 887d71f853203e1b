import FoundationEssentials
import HTTPKit
import RegionKit
import RequestSigning
import Synchronization
import WireModel
import XCTest

@testable import Gateway

/// One tiny service in each protocol; every way not to be let in, with each protocol's own code and status.
final class ProtocolTests: XCTestCase {
  struct Case {
    let name: String
    let signing: String
    let headers: [(String, String)]
    let target: String
    let body: @Sendable (String) -> String
    let unknown: (headers: [(String, String)], target: String, body: String)
    /// missing, unknown key, wrong signature, expired token, malformed header, denied: code and status.
    let errors: [(String, Int)]
    let malformedBody: String
    let unknownCode: String
  }

  private static let form = [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")]
  private static let cases: [Case] = [
    Case(
      name: "query", signing: "sts", headers: form, target: "/", body: { "Action=Echo&Version=2011-06-15&Text=\($0)" },
      unknown: (form, "/", "Action=Nope&Version=2011-06-15"),
      errors: [
        ("MissingAuthenticationToken", 403), ("InvalidClientTokenId", 403), ("SignatureDoesNotMatch", 403), ("ExpiredToken", 403),
        ("IncompleteSignature", 400), ("AccessDenied", 403),
      ], malformedBody: "Action=Echo&Version=2011-06-15&Text=%FF%FE", unknownCode: "InvalidAction"),
    Case(
      name: "ec2", signing: "ec2", headers: form, target: "/", body: { "Action=Echo&Version=2016-11-15&Text=\($0)" },
      unknown: (form, "/", "Action=Nope&Version=2016-11-15"),
      errors: [
        ("MissingAuthenticationToken", 403), ("AuthFailure", 401), ("SignatureDoesNotMatch", 403), ("RequestExpired", 400),
        ("IncompleteSignature", 400), ("UnauthorizedOperation", 403),
      ], malformedBody: "Action=Echo&Version=2016-11-15&Text=%FF%FE", unknownCode: "InvalidAction"),
    Case(
      name: "json", signing: "codedeploy",
      headers: [("Content-Type", "application/x-amz-json-1.1"), ("X-Amz-Target", "com.amazonaws.CodeDeploy_20141006.Echo")], target: "/",
      body: { "{\"Text\":\"\($0)\"}" }, unknown: ([("X-Amz-Target", "CodeDeploy_20141006.Nope")], "/", "{}"),
      errors: [
        ("MissingAuthenticationTokenException", 400), ("UnrecognizedClientException", 400), ("InvalidSignatureException", 400),
        ("ExpiredTokenException", 400), ("IncompleteSignatureException", 400), ("AccessDeniedException", 400),
      ], malformedBody: "{\"Text\":", unknownCode: "UnknownOperationException"),
    Case(
      name: "rest-json", signing: "elasticfilesystem", headers: [("Content-Type", "application/json")], target: "/2015-02-01/echo",
      body: { "{\"Text\":\"\($0)\"}" }, unknown: ([], "/2015-02-01/nope", "{}"),
      errors: [
        ("MissingAuthenticationTokenException", 403), ("UnrecognizedClientException", 403), ("InvalidSignatureException", 403),
        ("ExpiredTokenException", 403), ("IncompleteSignatureException", 403), ("AccessDeniedException", 403),
      ], malformedBody: "{\"Text\":", unknownCode: "UnknownOperationException"),
    Case(
      name: "rest-xml", signing: "route53", headers: [], target: "/2013-04-01/echo", body: { "<In><Text>\($0)</Text></In>" },
      unknown: ([], "/2013-04-01/nope", "<In/>"),
      errors: [
        ("MissingAuthenticationToken", 403), ("InvalidClientTokenId", 403), ("SignatureDoesNotMatch", 403), ("ExpiredToken", 403),
        ("IncompleteSignature", 400), ("AccessDenied", 403),
      ], malformedBody: "<In><Text>", unknownCode: "UnknownOperationException"),
  ]

  static func services(_ handler: @escaping OperationHandler = { input, _ in ["Text": input["Text"] ?? .null] }) throws
    -> [any ServiceModule]
  {
    [
      try FakeService.echo("sts", #""apiVersion":"2011-06-15","protocol":"query""#, handler),
      try FakeService.echo("ec2", #""apiVersion":"2016-11-15","protocol":"ec2""#, handler),
      try FakeService.echo(
        "codedeploy", #""apiVersion":"2014-10-06","protocol":"json","jsonVersion":"1.1","targetPrefix":"CodeDeploy_20141006""#, handler),
      try FakeService.echo("elasticfilesystem", #""apiVersion":"2015-02-01","protocol":"rest-json""#, uri: "/2015-02-01/echo", handler),
      try FakeService.echo("route53", #""apiVersion":"2013-04-01","protocol":"rest-xml""#, uri: "/2013-04-01/echo", handler),
      try FakeService.s3([:]),
    ]
  }

  func testSignedCallsAreAnswered() async throws {
    let harness = try await Harness(try Self.services())
    for c in Self.cases {
      let answer = try await harness.send(
        "POST", c.target, headers: c.headers, body: Array(c.body("hi").utf8), as: .init(service: c.signing))
      XCTAssertEqual(answer.status, 200, "\(c.name): \(answer.text)")
      XCTAssertTrue(answer.text.contains("hi"), "\(c.name): \(answer.text)")
      XCTAssertNotNil(answer.headers["date"], c.name)
      let record = try XCTUnwrap(harness.audit.records.last)
      XCTAssertEqual(record.operation, "Echo")
      XCTAssertEqual(record.principal, "arn:aws:iam::123456789012:user/ann")
      XCTAssertEqual(record.region, "us-east-1")
      XCTAssertEqual(record.resources, ["arn:aws:fake:::thing"])
      XCTAssertNil(record.errorCode)
      let token = try await harness.send(
        "POST", c.target, headers: c.headers, body: Array(c.body("hi").utf8), as: .init(service: c.signing, key: "ASIAGOOD", token: "token")
      )
      XCTAssertEqual(token.status, 200, "\(c.name): \(token.text)")
    }
    await harness.stop()
  }

  func testRefusalsInEachProtocol() async throws {
    let harness = try await Harness(try Self.services())
    for c in Self.cases {
      func check(_ index: Int, _ what: String, _ signing: Harness.Signing?, _ headers: [(String, String)] = []) async throws {
        let answer = try await harness.send("POST", c.target, headers: c.headers + headers, body: Array(c.body("hi").utf8), as: signing)
        let (code, status) = c.errors[index]
        XCTAssertEqual(answer.status, status, "\(c.name) \(what): \(answer.text)")
        let shown = answer.text + (answer.headers["x-amzn-errortype"] ?? "")
        XCTAssertTrue(shown.contains(code), "\(c.name) \(what): \(answer.text)")
        XCTAssertEqual(harness.audit.records.last?.errorCode, code, "\(c.name) \(what)")
        XCTAssertEqual(harness.audit.records.last?.status, status)
      }
      let good = Harness.Signing(service: c.signing)
      try await check(0, "unsigned", nil)
      var wrong = good
      wrong.key = "AKIANOBODY"
      try await check(1, "unknown key", wrong)
      wrong = good
      wrong.secret = "other"
      try await check(2, "wrong secret", wrong)
      wrong = good
      wrong.offset = -301
      try await check(2, "too old", wrong)
      wrong.offset = 301
      try await check(2, "too new", wrong)
      wrong = good
      wrong.payloadHash = sha256Hex([1, 2, 3])
      try await check(2, "other body", wrong)
      wrong = good
      wrong.key = "ASIAGOOD"
      wrong.token = "old"
      try await check(3, "expired token", wrong)
      wrong.token = "forged"
      try await check(1, "forged token", wrong)
      wrong.token = nil
      try await check(1, "no token", wrong)
      try await check(4, "malformed", nil, [("Authorization", "AWS4-HMAC-SHA256 Credential=x"), ("X-Amz-Date", "20260101T000000Z")])
      try await check(4, "unsupported", nil, [("Authorization", "AWS4-ECDSA-P256-SHA256 Credential=x")])
      harness.authorizer.denied.withLock { $0 = ["fake:Echo"] }
      try await check(5, "denied", good)
      harness.authorizer.denied.withLock { $0 = [] }
    }
    await harness.stop()
  }

  func testBadRequestsInEachProtocol() async throws {
    let harness = try await Harness(try Self.services()) { $0.limits.bodyBytes = 2000 }
    for c in Self.cases {
      let good = Harness.Signing(service: c.signing)
      let unknown = try await harness.send("POST", c.unknown.target, headers: c.unknown.headers, body: Array(c.unknown.body.utf8), as: good)
      XCTAssertTrue(
        (unknown.text + (unknown.headers["x-amzn-errortype"] ?? "")).contains(c.unknownCode), "\(c.name): \(unknown.text)")
      let broken = try await harness.send("POST", c.target, headers: c.headers, body: Array(c.malformedBody.utf8), as: good)
      XCTAssertEqual(broken.status, 400, "\(c.name): \(broken.text)")
      let invalid = try await harness.send(
        "POST", c.target, headers: c.headers, body: Array(c.body(String(repeating: "x", count: 1001)).utf8), as: good)
      XCTAssertEqual(invalid.status, 400, "\(c.name): \(invalid.text)")
      let large = Array(c.body(String(repeating: "x", count: 3000)).utf8)
      let refused = try await harness.send("POST", c.target, headers: c.headers, body: large, as: good)
      XCTAssertEqual(refused.status, 413, "\(c.name): \(refused.text)")
      let source = ByteStream(large)
      let chunked = try await harness.send(
        "POST", c.target, headers: c.headers, body: large, sending: ByteStream(length: nil, next: { try await source.nextPiece() }),
        as: good)
      XCTAssertEqual(chunked.status, 413, "\(c.name): \(chunked.text)")
    }
    await harness.stop()
  }

  func testOperationsWithoutABody() async throws {
    let harness = try await Harness(try Self.services())
    let absent = try await harness.send(
      headers: [("X-Amz-Target", "CodeDeploy_20141006.Absent")], body: Array("{}".utf8), as: .init(service: "codedeploy"))
    XCTAssertEqual(absent.status, 400)
    XCTAssertTrue(absent.text.contains("UnsupportedOperation") && absent.text.contains("codedeploy:Absent"), absent.text)
    // The model says that it needs no signature.
    let open = try await harness.send(headers: Self.form, body: Array("Action=Open&Version=2011-06-15&Text=x".utf8), as: nil)
    XCTAssertEqual(open.status, 200, open.text)
    XCTAssertEqual(harness.audit.records.last?.account, "anonymous")
    // A service that is not here, in each form a client may speak.
    for (headers, body) in [([("X-Amz-Target", "AmazonSQS.SendMessage")], "{}"), (Self.form, "Action=ListTopics&Version=2010-03-31")] {
      let answer = try await harness.send(headers: headers, body: Array(body.utf8), as: .init(service: "sqs"))
      XCTAssertEqual(answer.status, 400)
      XCTAssertTrue(answer.text.contains("'sqs' is not part of this Roadstead region"), answer.text)
    }
    let crossed = try await harness.send(
      headers: [("X-Amz-Target", "CodeDeploy_20141006.Echo")], body: Array(#"{"Text":"x"}"#.utf8), as: .init(service: "ec2"))
    XCTAssertTrue(crossed.text.contains("Credential should be scoped to correct service: 'codedeploy'"), crossed.text)
    await harness.stop()
  }

  func testInternalErrorsShowNoCause() async throws {
    struct Secret: Error { let text = "hunter2" }
    let harness = try await Harness(try Self.services { _, _ in throw Secret() })
    for c in Self.cases {
      let answer = try await harness.send(
        "POST", c.target, headers: c.headers, body: Array(c.body("x").utf8), as: .init(service: c.signing))
      XCTAssertEqual(answer.status, 500, c.name)
      XCTAssertFalse(answer.text.contains("hunter2"), answer.text)
      let id = try XCTUnwrap(harness.audit.records.last?.requestId)
      XCTAssertTrue(answer.text.contains(id), answer.text)
    }
    let broken = try await harness.send(
      headers: Self.form, body: Array("Action=Echo&Version=2011-06-15&Text=x".utf8), as: .init(service: "sts", key: "AKIABROKEN"))
    XCTAssertEqual(broken.status, 500)
    await harness.stop()
  }

  func testPresignedQueryCall() async throws {
    let harness = try await Harness(try Self.services())
    let signer = Harness.Signing(service: "sts").signer
    let target = signer.presign(
      method: "GET", target: "/?Action=Echo&Version=2011-06-15&Text=hello", headers: [("host", harness.host)], expires: 60,
      date: SystemClock().now())
    let answer = try await harness.send("GET", target, as: nil)
    XCTAssertEqual(answer.status, 200, answer.text)
    XCTAssertTrue(answer.text.contains("hello"))
    let old = signer.presign(
      method: "GET", target: "/?Action=Echo&Version=2011-06-15&Text=hello", headers: [("host", harness.host)], expires: 60,
      date: SystemClock().now().addingTimeInterval(-61))
    let expired = try await harness.send("GET", old, as: nil)
    XCTAssertEqual(expired.status, 403)
    XCTAssertTrue(expired.text.contains("SignatureDoesNotMatch"), expired.text)
    await harness.stop()
  }

  func testAClientThatLeavesCancelsTheHandler() async throws {
    let entered = Mutex(false)
    let (stream, continuation) = AsyncStream<Bool>.makeStream()
    let harness = try await Harness(
      try Self.services { _, call in
        entered.withLock { $0 = true }
        do { try await call.clock.sleepReal(60) } catch { continuation.yield(true) }
        return [:]
      })
    let task = Task<Int, any Error> { @Sendable in
      try await harness.send(
        headers: [("Content-Type", "application/x-www-form-urlencoded")], body: Array("Action=Echo&Version=2011-06-15&Text=x".utf8),
        as: Harness.Signing(service: "sts")
      ).status
    }
    while !entered.withLock({ $0 }) { await Task.yield() }
    task.cancel()
    var iterator = stream.makeAsyncIterator()
    let cancelled = await iterator.next()
    XCTAssertEqual(cancelled, true)
    await harness.stop()
  }

  func testOwnEndpoints() async throws {
    let harness = try await Harness(try Self.services()) {
      $0.ownEndpoints["health"] = { _ in HTTPServerResponse(status: 200, body: ByteStream(Array("well".utf8))) }
    }
    let bare = try await harness.send("GET", "/", as: nil)
    XCTAssertEqual(bare.status, 404)
    let health = try await harness.send("GET", "/_roadstead/health", as: nil)
    XCTAssertEqual(health.text, "well")
    let other = try await harness.send("GET", "/_roadstead/../etc/passwd", as: nil)
    XCTAssertEqual(other.status, 404)
    await harness.stop()
  }

  func testTheAgentsService() async throws {
    let model = try ServiceModel(
      service: "codedeploy-commands",
      json: """
        {"metadata":{"serviceFullName":"Commands","serviceId":"Commands","endpointPrefix":"codedeploy-commands","apiVersion":"2014-10-06",
        "protocol":"json","jsonVersion":"1.1","targetPrefix":"CodeDeployCommandService_v20141006"},"operations":{},"shapes":{}}
        """)
    let harness = try await Harness(try Self.services()) {
      $0.commandEndpoints = [
        .codeDeploy(model: model) { operation, input, call, version in
          if operation == "Bad" { throw AWSError("ClientException", "no") }
          return Array("\(operation) \(input.count) \(call.service) \(call.region) \(version ?? "-")".utf8)
        }
      ]
    }
    func call(_ target: String, _ service: String) async throws -> Answer {
      try await harness.send(
        headers: [("X-Amz-Target", target), ("x-amz-codedeploy-agent-version", "v1")], body: Array("{}".utf8), as: .init(service: service))
    }
    let answer = try await call("CodeDeployCommandService_v20141006.PollHostCommand", "codedeploy-commands")
    XCTAssertEqual(answer.text, "PollHostCommand 2 codedeploy-commands us-east-1 v1")
    XCTAssertEqual(answer.headers["content-type"], "application/x-amz-json-1.1")
    XCTAssertEqual(harness.audit.records.last?.operation, "PollHostCommand")
    harness.authorizer.denied.withLock { $0 = ["codedeploy-commands-secure:PollHostCommand"] }
    let same = try await call("CodeDeployCommandService_v20141006.PollHostCommand", "codedeploy-commands")
    XCTAssertEqual(same.status, 200)
    let denied = try await call("CodeDeployCommandService.PollHostCommand", "codedeploy-commands-secure")
    XCTAssertTrue(denied.status == 400 && denied.text.contains("AccessDeniedException"), denied.text)
    let bad = try await call("CodeDeployCommandService_v20141006.Bad", "codedeploy-commands-fips")
    XCTAssertTrue(bad.status == 400 && bad.text.contains("ClientException"), bad.text)
    let wrong = try await call("CodeDeployCommandService_v20141006.PollHostCommand", "s3")
    XCTAssertTrue(wrong.text.contains("InvalidSignatureException"), wrong.text)
    await harness.stop()
  }

  /// Not an assertion about speed, but a figure in the test's output.
  func testPrintsSignedRequestsPerSecond() async throws {
    let harness = try await Harness(try Self.services())
    let count = 500
    let body = Array("Action=Echo&Version=2011-06-15&Text=hello".utf8)
    let time = try await ContinuousClock().measure {
      for _ in 0..<count {
        let answer = try await harness.send(headers: Self.form, body: body, as: .init(service: "sts"))
        XCTAssertEqual(answer.status, 200)
      }
    }
    print("one client that signs, one call at a time: \(Int(Double(count) / (time / .seconds(1)))) calls/s (debug)")
    await harness.stop()
  }
}
