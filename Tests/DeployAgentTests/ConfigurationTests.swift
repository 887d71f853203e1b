import FoundationEssentials
import HTTPKit
import RegionKit
import Synchronization
import XCTest

@testable import DeployAgent

/// Answers requests from a closure and keeps what was asked.
final class FakeTransport: AgentTransport, Sendable {
  let asked = Mutex<[AgentRequest]>([])
  private let answer: @Sendable (AgentRequest) throws -> (Int, HTTPFields, String)
  init(_ answer: @escaping @Sendable (AgentRequest) throws -> (Int, HTTPFields, String)) { self.answer = answer }
  func send(_ request: AgentRequest) async throws -> AgentResponse {
    asked.withLock { $0.append(request) }
    let (status, headers, body) = try answer(request)
    return AgentResponse(status: status, headers: headers, body: ByteStream(Array(body.utf8)))
  }
}

final class ConfigurationTests: XCTestCase {
  private func parse(_ text: String) -> Result<AgentConfiguration, AgentError> {
    Result { () throws(AgentError) in try AgentConfiguration.parse(Array(text.utf8), path: "/c.yml") }
  }

  func testKeysWithAndWithoutColonAndTheDefaults() throws {
    let read = try parse(
      """
      ---
      :log_aws_wire: false
      :log_dir: '/var/log/x/'
      :root_dir: /r/
      :wait_between_runs: 1
      max_revisions: 3
      :deploy_control_endpoint: https://10.0.0.1:4567
      s3_endpoint_override: "https://s3.local:4567"
      :ca_file: /etc/ca.pem
      :pin_ca: true
      """
    ).get()
    XCTAssertEqual(read.logDir, "/var/log/x/")
    XCTAssertEqual(read.rootDir, "/r")
    XCTAssertEqual(read.waitBetweenRuns, 1)
    XCTAssertEqual(read.maxRevisions, 3)
    XCTAssertEqual(read.deployControlEndpoint, "https://10.0.0.1:4567")
    XCTAssertEqual(read.s3EndpointOverride, "https://s3.local:4567")
    XCTAssertEqual(read.pinCA, "/etc/ca.pem")
    let bare = try parse("{}").get()
    XCTAssertEqual(bare.maxRevisions, 5)
    XCTAssertEqual(bare.waitBetweenRuns, 30)
    XCTAssertEqual(bare.httpReadTimeout, 80)
    XCTAssertEqual(bare.rootDir, "/opt/codedeploy-agent/deployment-root")
    XCTAssertNil(bare.pinCA)
  }

  func testBadSettingsNameTheKey() {
    for (text, says) in [
      ("- a", "must be a map"), ("a: [", "not valid YAML"), (":max_revisions: 0", "max_revisions"), (":max_revisions: x", "max_revisions"),
      (":verbose: 3", "verbose"), (":wait_between_runs: soon", "wait_between_runs"), (":deploy_control_endpoint: host:1", "whole URL"),
      (":pin_ca: true", "ca_file is not set"), (":proxy_uri: http://p", "proxy_uri"),
      (":ongoing_deployment_tracking: ../x", "plain directory name"), (":program_name: a/b", "plain name"),
    ] {
      let error = parse(text).failure
      XCTAssertTrue(error?.message.contains(says) ?? false, "\(text) → \(error?.message ?? "accepted")")
    }
  }

  func testTheOnPremisesFile() throws {
    func parse(_ text: String) -> Result<OnPremisesConfiguration?, AgentError> {
      Result { () throws(AgentError) in try OnPremisesConfiguration.parse(Array(text.utf8), path: "/o.yml") }
    }
    let user = "region: r\niam_user_arn: arn:u\naws_access_key_id: AK\naws_secret_access_key: SK\n"
    XCTAssertEqual(
      try parse(user).get(),
      OnPremisesConfiguration(
        region: "r", identity: .user(arn: "arn:u", AgentCredentials(accessKeyId: "AK", secretAccessKey: "SK"))))
    XCTAssertEqual(
      try parse("region: r\niam_session_arn: arn:s\naws_credentials_file: /f").get()?.identity,
      .session(arn: "arn:s", credentialsFile: "/f"))
    XCTAssertEqual(
      parse(user + "iam_session_arn: arn:s").failure?.message,
      "On Premises config cannot contain both 'iam_user_arn' and 'iam_session_arn' keys.")
    XCTAssertEqual(
      parse("region: r\niam_user_arn: a\naws_access_key_id: b").failure?.message,
      "'aws_secret_access_key' key is required when 'iam_user_arn' is provided.")
    XCTAssertEqual(
      parse("iam_session_arn: a\naws_credentials_file: /f").failure?.message,
      "'region' key is required when 'iam_session_arn' is provided.")
    XCTAssertEqual(parse("a: [").failure?.message, "The on-premises configuration file is invalid: /o.yml")
    XCTAssertEqual(try parse("region: r").get(), nil)
  }

  func testTheCredentialsFileIsReadAgainWhenItChanges() async throws {
    let directory = TestDirectory()
    let path = try directory.write(
      "c", "# x\n[other]\naws_access_key_id=no\n[default]\naws_access_key_id = A1\naws_secret_access_key=S\naws_session_token=T\n")
    let source = FileCredentials(path: path)
    let first = try await source.credentials()
    XCTAssertEqual(first, AgentCredentials(accessKeyId: "A1", secretAccessKey: "S", sessionToken: "T"))
    try directory.write("c", "[default]\naws_access_key_id=A2\naws_secret_access_key=S2\n")
    let second = try await source.credentials()
    XCTAssertEqual(second, AgentCredentials(accessKeyId: "A2", secretAccessKey: "S2"))
    try directory.write("c", "[default]\n")
    do {
      _ = try await source.credentials()
      XCTFail("accepted a file without keys")
    } catch { XCTAssertTrue("\(error)".contains("[default]")) }
  }

  /// An IMDS that gives tokens, forgets them when told, and issues numbered keys.
  private final class Metadata: Sendable {
    struct State {
      var tokens = 0
      var valid = ""
      var keys = 0
      var down = false
      var lifetime = 3600.0
    }
    let state = Mutex(State())
    let clock: ManualClock
    init(_ clock: ManualClock) { self.clock = clock }

    func answer(_ request: AgentRequest) throws -> (Int, HTTPFields, String) {
      try state.withLock { state in
        if state.down { throw AgentError("unreachable") }
        let path = String(request.url.dropFirst("http://imds".count))
        if request.method == "PUT", path == "/latest/api/token" {
          guard request.headers["X-aws-ec2-metadata-token-ttl-seconds"] == "21600" else { return (400, [:], "") }
          state.tokens += 1
          state.valid = "token-\(state.tokens)"
          return (200, ["X-aws-ec2-metadata-token-ttl-seconds": "21600"], state.valid)
        }
        guard request.headers["X-aws-ec2-metadata-token"] == state.valid else { return (401, [:], "") }
        switch path {
        case "/latest/dynamic/instance-identity/document":
          return (200, [:], #"{"region":"eu-test-1","accountId":"123456789012","instanceId":"i-0abc"}"#)
        case "/latest/meta-data/services/partition": return (200, [:], "aws\n")
        case "/latest/meta-data/services/domain": return (200, [:], "region.test")
        case "/latest/meta-data/iam/security-credentials/": return (200, [:], "web\n")
        case "/latest/meta-data/iam/security-credentials/web":
          state.keys += 1
          let expires = clock.now().addingTimeInterval(state.lifetime).formatted(.iso8601)
          return (
            200, [:],
            #"{"Code":"Success","AccessKeyId":"AK\#(state.keys)","SecretAccessKey":"S","Token":"T","Expiration":"\#(expires)"}"#
          )
        default: return (404, [:], "")
        }
      }
    }
  }

  func testAnInstancesIdentityAndItsKeysAreRenewedBeforeTheyEnd() async throws {
    let clock = ManualClock()
    let imds = Metadata(clock)
    let client = MetadataClient(
      transport: FakeTransport { try imds.answer($0) }, endpoint: "http://imds", allowVersion1: false, clock: clock)
    var configuration = AgentConfiguration()
    configuration.onPremisesConfigFile = "/no/such/file"
    let host = try await HostIdentity.find(configuration: configuration, environment: [:], metadata: client, clock: clock)
    XCTAssertEqual(host.hostIdentifier, "arn:aws:ec2:eu-test-1:123456789012:instance/i-0abc")
    XCTAssertEqual(host.region, "eu-test-1")
    XCTAssertEqual(host.domain, "region.test")
    var key = try await host.credentials.credentials().accessKeyId
    XCTAssertEqual(key, "AK1")
    clock.advance(3290)
    key = try await host.credentials.credentials().accessKeyId
    XCTAssertEqual(key, "AK1")
    clock.advance(20)
    key = try await host.credentials.credentials().accessKeyId
    XCTAssertEqual(key, "AK2")
    // The token is forgotten: a 401 fetches another one.
    imds.state.withLock { $0.valid = "gone" }
    await host.credentials.refused()
    key = try await host.credentials.credentials().accessKeyId
    XCTAssertEqual(key, "AK3")
    XCTAssertEqual(imds.state.withLock { $0.tokens }, 2)
    // Away while the old keys are still good, and later not.
    imds.state.withLock { $0.down = true }
    clock.advance(3400)
    key = try await host.credentials.credentials().accessKeyId
    XCTAssertEqual(key, "AK3")
    clock.advance(300)
    do {
      key = try await host.credentials.credentials().accessKeyId
      XCTFail("handed out expired keys")
    } catch { XCTAssertEqual("\(error)", "unreachable") }
  }

  func testBackoffBeginsQuicklyAndGoesOnAsTheOfficialOne() {
    XCTAssertEqual((1...11).map { PollBackoff.delay(failures: $0) }, [10, 13, 17, 21, 27, 34, 44, 56, 71, 90, 90])
    var backoff = PollBackoff()
    let random = SeededRandomness(seed: 1)
    for failures in 1...12 {
      let wait = backoff.failed(elapsed: 0.1, randomness: random)
      let whole = PollBackoff.wait(failures: failures)
      XCTAssertTrue((whole * 0.85 - 0.101...whole - 0.099).contains(wait), "\(failures): \(wait)")
    }
    backoff.succeeded()
    XCTAssertLessThanOrEqual(backoff.failed(elapsed: 0, randomness: random), 0.5)
    XCTAssertEqual((1...7).map { PollBackoff.wait(failures: $0) }, [0.5, 1, 2, 4, 8, 34, 44])
  }

  func testWhereBundlesComeFrom() async throws {
    let directory = TestDirectory()
    let transport = FakeTransport { request in
      if request.url.hasPrefix("https://api.github.com/") { return (302, ["Location": "https://codeload.test/x"], "") }
      if request.url.hasPrefix("https://codeload.test/") { return (request.headers["Authorization"] == nil ? 200 : 403, [:], "hub") }
      if request.url.contains("missing") {
        return (404, [:], "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>")
      }
      return (200, ["ETag": "\"abc\""], "s3")
    }
    func download(_ endpoint: String?) -> BundleDownload {
      BundleDownload(
        regional: transport, open: transport, signer: RequestSigner(),
        credentials: FixedCredentials(keys: AgentCredentials(accessKeyId: "A", secretAccessKey: "S")), clock: ManualClock(),
        region: "eu-test-1", domain: "amazonaws.com", s3Endpoint: endpoint)
    }
    let file = directory("bundle.tar")
    try await download("https://h:1/").s3(bucket: "b", key: "a b/c+d", version: "v 1", etag: "abc", to: file)
    try await download(nil).s3(bucket: "b", key: "k", version: nil, etag: nil, to: file)
    try await download(nil).s3(bucket: "b.c", key: "k", version: nil, etag: nil, to: file)
    XCTAssertEqual(
      transport.asked.withLock { $0.map(\.url) },
      [
        "https://h:1/b/a%20b/c%2Bd?versionId=v%201", "https://b.s3.eu-test-1.amazonaws.com/k",
        "https://s3.eu-test-1.amazonaws.com/b.c/k",
      ])
    XCTAssertEqual(directory.read("bundle.tar"), "s3")
    for (key, etag, says) in [
      ("k", "xyz", "Expected deployment artifact bundle etag xyz but was actually \"abc\""),
      ("missing", nil, "The specified key does not exist."),
    ] as [(String, String?, String)] {
      do {
        try await download("https://h").s3(bucket: "b", key: key, version: nil, etag: etag, to: directory("none"))
        XCTFail("accepted")
      } catch { XCTAssertEqual("\(error)", says) }
      XCTAssertFalse(Disk.exists(directory("none")))
    }
    try await download(nil).gitHub(account: "a", repository: "r", commit: "c", type: .zip, token: "secret", to: file)
    XCTAssertEqual(directory.read("bundle.tar"), "hub")
    let hub = transport.asked.withLock { $0.suffix(2) }
    XCTAssertEqual(hub.map(\.url), ["https://api.github.com/repos/a/r/zipball/c", "https://codeload.test/x"])
    XCTAssertEqual(hub.map { $0.headers["Authorization"] }, ["token secret", nil])
  }
}
