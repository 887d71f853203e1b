import FoundationEssentials
import HTTPKit
import Logging
import RegionKit
import Synchronization
import WireModel
import XCTest

@testable import Gateway
@testable import RequestSigning

/// Damaged requests, straight into the request path: each gets an answer, and none that was changed after signing gets in.
final class GatewayFuzzTests: XCTestCase {
  private struct Draft {
    var method: String
    var target: String
    var headers: [(name: String, value: String)]
    var body: [UInt8]
  }

  private func drafts() -> [Draft] {
    let form = (name: "Content-Type", value: "application/x-www-form-urlencoded")
    let json = (name: "Content-Type", value: "application/x-amz-json-1.1")
    return [
      Draft(method: "POST", target: "/", headers: [form], body: Array("Action=Echo&Version=2011-06-15&Text=a%20b".utf8)),
      Draft(method: "POST", target: "/", headers: [form], body: Array("Version=2016-11-15&Action=Echo&Text=x".utf8)),
      Draft(
        method: "POST", target: "/", headers: [json, (name: "X-Amz-Target", value: "CodeDeploy_20141006.Echo")],
        body: Array(#"{"Text":"x"}"#.utf8)),
      Draft(method: "POST", target: "/2015-02-01/echo", headers: [], body: Array(#"{"Text":"x"}"#.utf8)),
      Draft(method: "POST", target: "/2013-04-01/echo", headers: [], body: Array("<In><Text>x</Text></In>".utf8)),
      Draft(method: "PUT", target: "/b/k%20a//../b?x-id=PutObject", headers: [], body: Array("hello".utf8)),
      Draft(method: "PUT", target: "/b?policy", headers: [], body: Array("{}".utf8)),
    ]
  }
  private static let services = ["sts", "ec2", "codedeploy", "elasticfilesystem", "route53", "s3", "s3"]

  func testDamagedRequests() async throws {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let bucket = S3PathTests.Bucket()
    let services = try ProtocolTests.services().dropLast() + [try bucket.service()]
    let audit = FakeAudit()
    let gateway = Gateway(
      GatewayParts(
        services: Array(services), credentials: FakeCredentials(), authorizer: FakeAuthorizer(), audit: audit, clock: SystemClock(),
        random: SystemRandomness(), homeRegion: RegionName("home-1"), logger: logger))
    var random = SeededRandom(3)
    let drafts = drafts()
    var accepted = 0
    for round in 0..<3000 {
      let which = random.below(drafts.count)
      var draft = drafts[which]
      draft.headers.append((name: "Host", value: "localhost"))
      let signer = Harness.Signing(service: Self.services[which]).signer
      draft.headers = signer.sign(
        SignableRequest(method: draft.method, target: draft.target, headers: draft.headers), payloadHash: sha256Hex(draft.body),
        date: SystemClock().now())
      let before = draft
      for _ in 0..<random.below(4) { damage(&draft, &random) }
      let answer = await gateway.responder(
        HTTPServerRequest(
          method: draft.method, target: draft.target, headers: HTTPFields(draft.headers), body: ByteStream(draft.body),
          trailers: { HTTPFields() }, remoteAddress: nil, isTLS: false))
      XCTAssertTrue((200..<600).contains(answer.status), "round \(round)")
      let same =
        before.method == draft.method && before.target == draft.target && before.body == draft.body
        && before.headers.elementsEqual(draft.headers) { $0.name == $1.name && $0.value == $1.value }
      if same {
        XCTAssertEqual(answer.status, 200, "round \(round)")
        accepted += 1
      } else if before.target != draft.target || before.body != draft.body {
        // Without any claim left S3 takes a request for an anonymous one, which the authorizer would judge.
        let anonymous = audit.records.last?.account == "anonymous"
        XCTAssertTrue(
          answer.status != 200 || anonymous || equivalent(before, draft, service: Self.services[which]), "round \(round): \(draft)")
      }
    }
    XCTAssertGreaterThan(accepted, 300)
  }

  /// A change that leaves the canonical request as it was: an encoded letter in a key, a doubled slash, an empty query.
  private func equivalent(_ a: Draft, _ b: Draft, service: String) -> Bool {
    func canonical(_ draft: Draft) -> [UInt8] {
      CanonicalRequest(service: service).text(
        SignableRequest(method: draft.method, target: draft.target, headers: []), signedHeaders: [], payloadHash: "")
    }
    return a.body == b.body && canonical(a) == canonical(b)
  }

  private func damage(_ draft: inout Draft, _ random: inout SeededRandom) {
    func mutate(_ bytes: inout [UInt8]) {
      guard !bytes.isEmpty else { return bytes.append(UInt8(random.below(256))) }
      let at = random.below(bytes.count)
      switch random.below(3) {
      case 0: bytes[at] = UInt8(random.below(256))
      case 1: bytes.remove(at: at)
      default: bytes.insert(UInt8(random.below(256)), at: at)
      }
    }
    switch random.below(6) {
    case 0: mutate(&draft.body)
    case 1:
      var bytes = Array(draft.target.utf8)
      mutate(&bytes)
      draft.target = String(decoding: bytes, as: UTF8.self)
    case 2: draft.method = ["GET", "HEAD", "DELETE", "PATCH", "OPTIONS", "PUT", "POST"][random.below(7)]
    case 3: draft.headers.remove(at: random.below(draft.headers.count))
    case 4:
      draft.headers.append(
        [
          (name: "x-amz-content-sha256", value: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"), (name: "X-Amz-Target", value: "a.b"),
          (name: "x-amz-decoded-content-length", value: "-5"), (name: "Authorization", value: "AWS a:b"), (name: "Expect", value: "x"),
          (name: "smithy-protocol", value: "rpc-v2-cbor"), (name: "Host", value: "b.localhost"),
        ][random.below(7)])
    default:
      let at = random.below(draft.headers.count)
      var bytes = Array(draft.headers[at].value.utf8)
      mutate(&bytes)
      draft.headers[at].value = String(decoding: bytes, as: UTF8.self)
    }
  }
}
