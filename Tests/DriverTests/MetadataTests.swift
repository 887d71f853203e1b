import Foundation
import HTTPKit
import Logging
import NamespaceDriver
import Ports
import RegionKit
import XCTest

@testable import MetadataPlane

final class MetadataTests: XCTestCase {
  private static func metadata(_ id: String = "i-1", tokensRequired: Bool = true) -> InstanceMetadata {
    InstanceMetadata(
      instanceId: id,
      paths: [
        "instance-id": id, "placement/region": "us-east-1", "placement/availability-zone": "us-east-1a",
        "public-keys/0=my-key/openssh-key": "ssh-ed25519 AAAA my-key", "iam/info": "{}", "tags/instance/Name": "web",
      ],
      userData: Array("#!/bin/sh\n".utf8), identityDocument: ["instanceId": id, "version": "2017-09-30"], roleName: "web-role",
      credentials: TemporaryCredentials(
        accessKeyId: "ASIAX", secretAccessKey: "s/e\"cret", sessionToken: "tok", expiration: Date(timeIntervalSince1970: 1_800_000_000)),
      tokensRequired: tokensRequired)
  }
  private let tree = MetadataTree(metadata(), loaded: Date(timeIntervalSince1970: 1_790_000_000))

  private func text(_ path: String) -> String? {
    switch tree.node(path) {
    case .absent: nil
    case .listing(let text): text
    case .value(let bytes, _): String(decoding: bytes, as: UTF8.self)
    }
  }

  func testTree() throws {
    XCTAssertTrue(try XCTUnwrap(text("/")).hasSuffix("\nlatest"))
    XCTAssertEqual(text("/latest"), "dynamic\nmeta-data\nuser-data")
    XCTAssertEqual(text("/latest/meta-data"), "iam/\ninstance-id\nplacement/\npublic-keys/\ntags/")
    XCTAssertEqual(text("/latest/meta-data/"), text("/2009-04-04/meta-data/"))
    XCTAssertEqual(text("/latest/meta-data/instance-id"), "i-1")
    XCTAssertEqual(text("/latest/meta-data/placement/availability-zone/"), "us-east-1a")
    XCTAssertEqual(text("/latest/meta-data/public-keys/"), "0=my-key")
    XCTAssertEqual(text("/latest/meta-data/public-keys/0/"), "openssh-key")
    XCTAssertEqual(text("/latest/meta-data/public-keys/0/openssh-key"), "ssh-ed25519 AAAA my-key")
    XCTAssertEqual(text("/latest/meta-data/iam/security-credentials/"), "web-role")
    XCTAssertEqual(text("/latest/dynamic/instance-identity/"), "document")
    XCTAssertEqual(text("/latest/user-data"), "#!/bin/sh\n")
    for absent in [
      "/latest/meta-data/nothing", "/1999-01-01/meta-data/", "/latest/dynamic/instance-identity/signature",
      "/latest/meta-data/instance-id/x",
      "/latest/other", "/latest/meta-data/iam/security-credentials/other-role",
    ] { XCTAssertNil(text(absent), absent) }
    let credentials = try XCTUnwrap(text("/latest/meta-data/iam/security-credentials/web-role"))
    let json = try XCTUnwrap(JSONSerialization.jsonObject(with: Data(credentials.utf8)) as? [String: String])
    XCTAssertEqual(
      json,
      [
        "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "ASIAX", "SecretAccessKey": "s/e\"cret", "Token": "tok",
        "Expiration": "2027-01-15T08:00:00Z", "LastUpdated": "2026-09-21T14:13:20Z",
      ])
    let document = try XCTUnwrap(text("/latest/dynamic/instance-identity/document"))
    let members = try XCTUnwrap(JSONSerialization.jsonObject(with: Data(document.utf8)) as? [String: Any])
    XCTAssertEqual(members["instanceId"] as? String, "i-1")
    XCTAssertTrue(members["kernelId"] is NSNull)
  }

  private func request(_ method: String, _ target: String, _ headers: HTTPFields = [:]) -> HTTPServerRequest {
    HTTPServerRequest(
      method: method, target: target, headers: headers, body: ByteStream([]), trailers: { [:] }, remoteAddress: nil, isTLS: false)
  }

  func testTokens() async throws {
    let responder = MetadataResponder(tokens: MetadataTokens(key: [UInt8](repeating: 7, count: 32)), clock: SystemClock())
    func status(_ request: HTTPServerRequest, required: Bool = true) -> Int {
      responder.respond(
        request, instanceId: "i-1", tree: MetadataTree(Self.metadata(tokensRequired: required), loaded: Date())
      ).status
    }
    let ttl = MetadataResponder.lifetimeHeader
    for (value, expected) in [("1", 200), ("21600", 200), ("0", 400), ("21601", 400), ("x", 400), ("", 400), ("-5", 400)] {
      XCTAssertEqual(status(request("PUT", "/latest/api/token", [ttl: value])), expected, value)
    }
    XCTAssertEqual(status(request("PUT", "/latest/api/token")), 400)
    XCTAssertEqual(status(request("PUT", "/latest/api/token", [ttl: "60", "x-forwarded-for": "1.2.3.4"])), 403)
    XCTAssertEqual(status(request("PUT", "/latest/meta-data/")), 405)
    XCTAssertEqual(status(request("POST", "/latest/meta-data/")), 405)
    XCTAssertEqual(status(request("GET", "/latest/api/token")), 405)

    let answer = responder.respond(request("PUT", "/latest/api/token", [ttl: "60"]), instanceId: "i-1", tree: tree)
    XCTAssertEqual(answer.headers[ttl], "60")
    let token = String(decoding: try await answer.body.collect(limit: 1000), as: UTF8.self)
    let header = MetadataResponder.tokenHeader
    XCTAssertEqual(status(request("GET", "/latest/meta-data/instance-id", [header: token])), 200)
    XCTAssertEqual(status(request("GET", "/latest/meta-data/nothing", [header: token])), 404)
    XCTAssertEqual(status(request("GET", "/latest/meta-data/instance-id")), 401)
    XCTAssertEqual(status(request("GET", "/latest/meta-data/instance-id"), required: false), 200)
    XCTAssertEqual(status(request("GET", "/latest/meta-data/instance-id", [header: "nonsense"]), required: false), 401)
    XCTAssertEqual(status(request("GET", "/latest/%zz", [header: token])), 400)
    // Another instance's token is none.
    let other = responder.respond(request("GET", "/latest/meta-data/", [header: token]), instanceId: "i-2", tree: tree)
    XCTAssertEqual(other.status, 401)
    XCTAssertEqual(responder.respond(request("GET", "/latest/", [header: token]), instanceId: "i-1", tree: nil).status, 503)
  }

  func testTokensEndAndCannotBeChanged() throws {
    let tokens = MetadataTokens(key: [UInt8](repeating: 9, count: 32))
    let now = Date(timeIntervalSince1970: 1_790_000_000)
    let token = tokens.issue(instanceId: "i-1", lifetime: 60, now: now)
    XCTAssertEqual(tokens.remaining(token, instanceId: "i-1", now: now), 60)
    XCTAssertNil(tokens.remaining(token, instanceId: "i-1", now: now.addingTimeInterval(60)))
    var generator = SeededGenerator(state: 1)
    for _ in 0..<3000 {
      var bytes = Array(token.utf8)
      let at = Int.random(in: 0..<bytes.count, using: &generator)
      bytes[at] = UInt8.random(in: 32...126, using: &generator)
      let changed = String(decoding: bytes, as: UTF8.self)
      if Data(base64Encoded: changed) != Data(base64Encoded: token) {
        XCTAssertNil(tokens.remaining(changed, instanceId: "i-1", now: now), changed)
      }
    }
  }

  /// The whole way: published files, the plane, a real instance that asks 169.254.169.254.
  func testFromInsideAnInstance() async throws {
    let fixture = try await NamespaceFixture(self)
    let publisher = try FileMetadataPublisher(home: fixture.home)
    let script = """
      #!/bin/sh
      python3 -m http.server 80 --directory /srv &
      base=http://169.254.169.254/latest
      fetch() { curl -s -m 20 --noproxy '*' "$@"; }
      fetch -o /dev/null -w '%{http_code}\\n' $base/meta-data/instance-id > /root/v1
      token=$(fetch -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $base/api/token)
      fetch -H "X-aws-ec2-metadata-token: $token" $base/meta-data/instance-id > /root/v2
      sleep 0.5
      fetch --retry 20 --retry-connrefused -o /dev/null -w '%{http_code}\\n' http://127.0.0.1/ > /root/own
      while :; do
        fetch -H "X-aws-ec2-metadata-token: $token" $base/meta-data/tags/instance/Name > /root/tag.new
        mv /root/tag.new /root/tag
        sleep 0.1
      done
      """
    let contract = DriverContract(fixture: fixture)
    let spec = try await contract.spec(1, userData: script)
    let plane = try MetadataPlane(
      home: fixture.home, clock: SystemClock(), randomness: SystemRandomness(), logger: Logger(label: "test"))
    var metadata = Self.metadata(spec.instanceId)
    try await publisher.publish(metadata)
    // Launched before the plane serves: the first request waits.
    _ = try await fixture.driver.launch(spec, fresh: true)
    var serving = Task { try await plane.run() }
    _ = try await fixture.waitFor("/root/own", in: spec.instanceId, toHold: "200")
    XCTAssertEqual(fixture.text("/root/v1", in: spec.instanceId), "401\n")
    XCTAssertEqual(fixture.text("/root/v2", in: spec.instanceId), spec.instanceId)
    _ = try await fixture.waitFor("/root/tag", in: spec.instanceId, toHold: "web")
    metadata.paths["tags/instance/Name"] = "renamed"
    try await publisher.publish(metadata)
    _ = try await fixture.waitFor("/root/tag", in: spec.instanceId, toHold: "renamed")
    // Another plane goes on where this one ended, with the same tokens.
    serving.cancel()
    _ = await serving.result
    metadata.paths["tags/instance/Name"] = "third"
    try await publisher.publish(metadata)
    let next = try MetadataPlane(
      home: fixture.home, clock: SystemClock(), randomness: SystemRandomness(), logger: Logger(label: "test"))
    serving = Task { try await next.run() }
    _ = try await fixture.waitFor("/root/tag", in: spec.instanceId, toHold: "third")
    try await publisher.withdraw(instanceId: spec.instanceId)
    serving.cancel()
    _ = await serving.result
  }
}
