import FoundationEssentials
import Glibc
import HTTPKit
import RegionKit
import XCTest

@testable import DeployAgent

/// A whole agent over real sockets against a command service made from the protocol's description.
final class EndToEndTests: XCTestCase {
  private let directory = TestDirectory()
  private let execution = "CodeDeploy/eu-test-1/Prod/arn:aws:sds:eu-test-1:123456789012:deployment/d-1"

  private struct Running {
    let stop: StopSignal
    let task: Task<Void, any Error>
    func end() async throws {
      stop.stop()
      try await task.value
    }
  }

  private func configuration(_ server: FakeCommandServer, wait: Double = 30) async throws -> AgentConfiguration {
    let url = await server.url
    try directory.write(
      "onprem.yml",
      "region: eu-test-1\niam_user_arn: \(FakeCommandServer.host)\naws_access_key_id: \(FakeCommandServer.keys.id)\n"
        + "aws_secret_access_key: \(FakeCommandServer.keys.secret)\n")
    try directory.write("pin.pem", server.signer.certificatePEM)
    let text = """
      :root_dir: \(directory("root"))
      :wait_between_runs: \(wait)
      :on_premises_config_file: \(directory("onprem.yml"))
      :deploy_control_endpoint: \(url)
      :s3_endpoint_override: \(url)
      :pin_ca: \(directory("pin.pem"))
      """
    return try AgentConfiguration.parse(Array(text.utf8), path: "test")
  }

  private func start(_ server: FakeCommandServer, once: Bool = false, wait: Double = 30) async throws -> Running {
    let transport = NetworkTransport(caFile: nil)
    let runtime = AgentRuntime(
      configuration: try await configuration(server, wait: wait),
      environment: ["PATH": "/usr/bin:/bin", "AWS_SECRET_ACCESS_KEY": "never"], clock: SystemClock(),
      randomness: SeededRandomness(seed: 5), logger: silent, signer: RequestSigner(), regional: transport, open: transport,
      agentVersion: "ROADSTEAD_TEST", killGrace: 0.3)
    let stop = StopSignal()
    return Running(stop: stop, task: Task { try await runtime.run(once: once, stop: stop) })
  }

  private func bundle(_ hooks: [String: String], files: String = "") -> [UInt8] {
    var entries = [Archives.Entry("app/index.html", "hello")]
    var appspec = "version: 0.0\nos: linux\n\(files)hooks:\n"
    for (event, script) in hooks.sorted(by: { $0.key < $1.key }) {
      entries.append(Archives.Entry("scripts/\(event).sh", "#!/bin/sh\n\(script)\n", mode: 0o755))
      appspec += "  \(event):\n    - location: scripts/\(event).sh\n      timeout: 30\n"
    }
    return Archives.zip(entries + [Archives.Entry("appspec.yml", appspec)])
  }

  private func specification(_ id: String, key: String = "shop.zip", extra: String = "") -> String {
    #"{"DeploymentId":"\#(id)","DeploymentGroupId":"g-1","DeploymentGroupName":"web","ApplicationName":"shop",\#(extra)"#
      + #""Revision":{"RevisionType":"S3","S3Revision":{"Bucket":"bkt","Key":"\#(key)","BundleType":"zip","ETag":"etag-1"}}}"#
  }

  private static let order = [
    "ApplicationStop", "DownloadBundle", "BeforeInstall", "Install", "AfterInstall", "ApplicationStart", "ValidateService",
  ]

  func testADeploymentFromFirstEventToLast() async throws {
    let server = try FakeCommandServer()
    try await server.start()
    let files = "files:\n  - {source: app, destination: \(directory("srv"))}\n"
    await server.put(
      "/bkt/shop.zip",
      bundle(
        ["ApplicationStart": "echo $BUNDLE_KEY $BUNDLE_ETAG $AWS_REGION; env", "ValidateService": "cat \(directory("srv/index.html"))"],
        files: files))
    await server.specify(execution, specification("d-1"))
    let agent = try await start(server)
    for (number, name) in Self.order.enumerated() {
      await server.send("c-\(number)", name, execution)
      let done = await server.completed(number + 1)
      XCTAssertEqual(
        done.last, .init(command: "c-\(number)", status: "Succeeded", code: 0, script: "", message: "Succeeded: ", log: ""), name)
    }
    XCTAssertEqual(directory.read("srv/index.html"), "hello")
    let log = try XCTUnwrap(directory.read("root/g-1/d-1/logs/scripts.log"))
    XCTAssertTrue(log.contains("[stdout]shop.zip etag-1 eu-test-1\n") && log.contains("[stdout]hello\n"), log)
    XCTAssertFalse(log.contains("never") || log.contains(FakeCommandServer.keys.secret), "a key of the agent reached a hook")
    let noops = await server.acks.map(\.noop)
    XCTAssertEqual(noops, [true, false, true, false, true, false, false])
    let problems = await server.problems
    XCTAssertEqual(problems, [])
    let versions = await server.versions
    XCTAssertEqual(versions, ["ROADSTEAD_TEST"])
    // From the moment that a held poll is answered to the acknowledgement: the agent's own share.
    var slowest = 0.0
    for number in Self.order.indices {
      let from = await server.delivered["c-\(number)"]
      let to = await server.acked["c-\(number)"]
      slowest = max(slowest, try XCTUnwrap(to).timeIntervalSince(try XCTUnwrap(from)))
    }
    print("slowest poll-to-acknowledgement: \(Int(slowest * 1000)) ms")
    try await agent.end()
    XCTAssertEqual(try Disk.names(directory("root/ongoing-deployment")), [])
    await server.stop()
  }

  func testFailuresCarryTheirDiagnostics() async throws {
    let server = try FakeCommandServer()
    try await server.start()
    await server.put("/bkt/shop.zip", bundle(["ValidateService": "echo checking; echo no answer >&2; exit 7"]))
    await server.put("/bkt/broken.zip", Array("PK nonsense".utf8))
    await server.specify(execution, specification("d-1"))
    await server.specify("broken", specification("d-2", key: "broken.zip"))
    await server.specify("missing", specification("d-3", key: "missing.zip"))
    await server.specify("etag", specification("d-4").replacing("etag-1", with: "other"))
    await server.specify(
      "local",
      specification("d-5").replacing(#""S3","#, with: #""Local File","LocalRevision":{"Location":"/etc/shadow","BundleType":"tar"},"#))
    let agent = try await start(server)
    var count = 0
    func run(_ name: String, _ execution: String) async -> FakeCommandServer.Completion? {
      count += 1
      await server.send("c-\(count)", name, execution)
      return await server.completed(count).last
    }
    _ = await run("DownloadBundle", execution)
    let failed = await run("ValidateService", execution)
    XCTAssertEqual(failed?.status, "Failed")
    XCTAssertEqual(failed?.code, 4)
    XCTAssertEqual(failed?.script, "scripts/ValidateService.sh")
    XCTAssertEqual(failed?.message, "Script at specified location: scripts/ValidateService.sh failed with exit code 7")
    XCTAssertTrue(failed?.log.hasPrefix("LifecycleEvent - ValidateService\nScript - scripts/ValidateService.sh\n") ?? false)
    XCTAssertTrue(failed?.log.contains("[stderr]no answer\n") ?? false)
    for (execution, says) in [
      ("broken", "not an intact zip archive"), ("missing", "The specified key does not exist."),
      ("etag", "Expected deployment artifact bundle etag other but was actually"), ("local", "refused from the network"),
      ("nothing", "no such deployment"),
    ] {
      let done = await run("DownloadBundle", execution)
      XCTAssertEqual(done?.code, 5, execution)
      XCTAssertTrue(done?.message.contains(says) ?? false, "\(execution): \(done?.message ?? "")")
    }
    XCTAssertFalse(Disk.exists(directory("root/g-1/d-2/deployment-archive")))
    let unsupported = await run("BlockTraffic", execution)
    XCTAssertEqual(unsupported?.message, "Unsupported command type: BlockTraffic.")
    // Refused specifications are not acknowledged.
    let acks = await server.acks.map(\.command)
    XCTAssertFalse(acks.contains("c-6") || acks.contains("c-7"))
    try await agent.end()
    await server.stop()
  }

  func testAnswersToTheAcknowledgement() async throws {
    let server = try FakeCommandServer()
    try await server.start()
    await server.put("/bkt/shop.zip", bundle(["AfterInstall": "touch \(directory("ran"))"]))
    await server.specify(execution, specification("d-1"))
    let agent = try await start(server)
    await server.send("c-1", "DownloadBundle", execution)
    _ = await server.completed(1)
    await server.set(ack: "Failed")
    await server.send("c-2", "AfterInstall", execution)
    await server.send("c-3", "ValidateService", execution)
    var done = await server.completed(2)
    XCTAssertEqual(done.last?.command, "c-3")
    XCTAssertEqual(done.last?.message, "Succeeded: CompletedNoopCommand")
    await server.set(ack: "Succeeded")
    await server.send("c-4", "AfterInstall", execution)
    await server.acknowledged("c-4")
    await server.send("c-5", "AfterInstall", "other-host", host: "arn:aws:iam::1:user/somebody-else")
    for _ in 0..<500 where await server.delivered["c-5"] == nil { try await SystemClock().sleepReal(0.02) }
    await server.set(ack: nil)
    XCTAssertFalse(Disk.exists(directory("ran")))
    try await agent.end()
    let second = try await start(server)
    await server.send("c-6", "AfterInstall", execution)
    done = await server.completed(3)
    XCTAssertEqual(done.last?.command, "c-6")
    XCTAssertTrue(Disk.exists(directory("ran")))
    try await second.end()
    await server.stop()
  }

  func testServerErrorsAreOutlivedAndRedeliveryRunsNothingTwice() async throws {
    let server = try FakeCommandServer()
    try await server.start()
    await server.put("/bkt/shop.zip", bundle(["AfterInstall": "echo x >> \(directory("runs")); sleep 0.3"]))
    await server.specify(execution, specification("d-1"))
    for operation in ["PollHostCommand", "GetDeploymentSpecification", "PutHostCommandAcknowledgement", "PutHostCommandComplete"] {
      await server.fail(operation, times: 2)
    }
    let agent = try await start(server)
    await server.send("c-1", "DownloadBundle", execution)
    var done = await server.completed(1)
    XCTAssertEqual(done.last?.code, 0)
    // The same command again while it runs and after it has ended.
    await server.send("c-2", "AfterInstall", execution)
    await server.send("c-2", "AfterInstall", execution)
    _ = await server.completed(2)
    await server.send("c-2", "AfterInstall", execution)
    done = await server.completed(3)
    XCTAssertEqual(done.suffix(2).map(\.command), ["c-2", "c-2"])
    XCTAssertEqual(directory.read("runs"), "x\n")
    try await agent.end()
    await server.stop()
  }

  func testCommandsOfDifferentDeploymentsOverlapThoseOfOneDoNot() async throws {
    let server = try FakeCommandServer()
    try await server.start()
    // Each waits for the other's mark: only two at once can succeed.
    func meet(_ me: String, _ other: String) -> String {
      "touch \(directory(me)); n=0; while [ ! -e \(directory(other)) ]; do n=$((n+1)); [ $n -gt 200 ] && exit 1; sleep 0.05; done"
    }
    await server.put("/bkt/a.zip", bundle(["AfterInstall": meet("a", "b"), "ApplicationStart": "rm \(directory("a"))"]))
    await server.put("/bkt/b.zip", bundle(["AfterInstall": meet("b", "a")]))
    await server.specify("x/1", specification("d-1", key: "a.zip"))
    await server.specify("x/2", specification("d-2", key: "b.zip").replacing("\"g-1\"", with: "\"g-2\""))
    let agent = try await start(server)
    await server.send("c-1", "DownloadBundle", "x/1")
    await server.send("c-2", "DownloadBundle", "x/2")
    _ = await server.completed(2)
    await server.send("c-3", "AfterInstall", "x/1")
    await server.send("c-5", "ApplicationStart", "x/1")
    await server.send("c-4", "AfterInstall", "x/2")
    let done = await server.completed(5)
    XCTAssertEqual(done.map(\.code), [0, 0, 0, 0, 0], "\(done)")
    let order = done.map(\.command)
    XCTAssertLessThan(try XCTUnwrap(order.firstIndex(of: "c-3")), try XCTUnwrap(order.firstIndex(of: "c-5")))
    try await agent.end()
    await server.stop()
  }

  func testARestartReportsWhatWasRunningAndAStopFinishesIt() async throws {
    let server = try FakeCommandServer()
    try await server.start()
    await server.put("/bkt/shop.zip", bundle(["AfterInstall": "touch \(directory("began")); sleep 1; echo done > \(directory("ended"))"]))
    await server.specify(execution, specification("d-1"))
    // As a killed agent leaves it: two commands running, and one that nobody waits for any more.
    try directory.write("root/ongoing-deployment/d-8", "lost-1")
    try directory.write("root/ongoing-deployment/d-9", "lost-2")
    try directory.write("root/ongoing-deployment/d-0", "ancient")
    let old = [timespec(tv_sec: 1_000_000, tv_nsec: 0), timespec(tv_sec: 1_000_000, tv_nsec: 0)]
    utimensat(AT_FDCWD, directory("root/ongoing-deployment/d-0"), old, 0)
    await server.fail("PutHostCommandComplete", times: 1)
    let agent = try await start(server)
    var done = await server.completed(2)
    XCTAssertEqual(Set(done.map(\.command)), ["lost-1", "lost-2"])
    for completion in done {
      XCTAssertEqual(completion.status, "Failed")
      XCTAssertEqual(completion.code, 7)
      XCTAssertEqual(completion.message, "Failed: Failing in-progress lifecycle event after an agent restart.")
    }
    await server.send("c-1", "DownloadBundle", execution)
    done = await server.completed(3)
    await server.send("c-2", "AfterInstall", execution)
    for _ in 0..<500 where !Disk.exists(directory("began")) { try await SystemClock().sleepReal(0.02) }
    XCTAssertEqual(try Disk.names(directory("root/ongoing-deployment")), ["d-1"])
    XCTAssertEqual(directory.read("root/ongoing-deployment/d-1"), "c-2")
    try await agent.end()
    XCTAssertEqual(directory.read("ended"), "done\n")
    done = await server.completed(4)
    XCTAssertEqual(done.last, .init(command: "c-2", status: "Succeeded", code: 0, script: "", message: "Succeeded: ", log: ""))
    await server.stop()
  }

  /// The region goes away while a hook runs, and the agent is stopped before it is back: the next agent tells how the hook ended.
  func testAnOutcomeThatCouldNotBeToldIsToldByTheNextAgent() async throws {
    let server = try FakeCommandServer()
    try await server.start()
    await server.put("/bkt/shop.zip", bundle(["AfterInstall": "exit 9"]))
    await server.specify(execution, specification("d-1"))
    let agent = try await start(server)
    await server.send("c-1", "DownloadBundle", execution)
    _ = await server.completed(1)
    await server.fail("PutHostCommandComplete", times: 1000)
    await server.send("c-2", "AfterInstall", execution)
    for _ in 0..<500 where !Disk.exists(directory("root/undelivered-completions/d-1.json")) {
      try await SystemClock().sleepReal(0.02)
    }
    try await agent.end()
    XCTAssertEqual(directory.read("root/ongoing-deployment/d-1"), "c-2")
    await server.fail("PutHostCommandComplete", times: 0)
    let second = try await start(server)
    let done = await server.completed(2)
    XCTAssertEqual(done.last?.command, "c-2")
    XCTAssertEqual(done.last?.code, 4)
    XCTAssertEqual(done.last?.message, "Script at specified location: scripts/AfterInstall.sh failed with exit code 9")
    try await second.end()
    XCTAssertEqual(try Disk.names(directory("root/ongoing-deployment")), [])
    XCTAssertEqual(try Disk.names(directory("root/undelivered-completions")), [])
    await server.stop()
  }

  func testOnceEndsWhenThereIsNothingToDo() async throws {
    let server = try FakeCommandServer()
    try await server.start()
    await server.hold(false)
    await server.put("/bkt/shop.zip", bundle([:]))
    await server.specify(execution, specification("d-1"))
    await server.send("c-1", "DownloadBundle", execution)
    let agent = try await start(server, once: true)
    try await agent.task.value
    let done = await server.completed(1)
    XCTAssertEqual(done.map(\.code), [0])
    await server.stop()
  }

  func testAServerThatDoesNotHoldPollsIsNotFlooded() async throws {
    let server = try FakeCommandServer()
    try await server.start()
    await server.hold(false)
    let agent = try await start(server, wait: 1)
    try await SystemClock().sleepReal(2.5)
    let polls = await server.pollCount
    XCTAssertTrue((2...4).contains(polls), "\(polls) polls")
    try await agent.end()
    await server.stop()
  }

  /// As an instance of the region sees it: identity and temporary keys from the metadata service, the region over TLS by its own
  /// authority.
  func testAnInstanceWithMetadataServiceAndTLS() async throws {
    let authority = try TestSigner(name: "region CA", isAuthority: true)
    let leaf = try TestSigner(name: "region", issuer: authority, address: [127, 0, 0, 1])
    let server = try FakeCommandServer(host: "arn:aws:ec2:eu-test-1:123456789012:instance/i-0abc", sessionToken: "session")
    try await server.start(
      tls: HTTPServerTLS(certificateChainPEM: Array(leaf.certificatePEM.utf8), privateKeyPEM: Array(leaf.keyPEM.utf8)))
    let metadata = try await HTTPServer.start(bind: .host("127.0.0.1", port: 0), clock: SystemClock(), logger: silent) { request in
      func text(_ text: String) -> HTTPServerResponse { HTTPServerResponse(status: 200, body: ByteStream(Array(text.utf8))) }
      if request.method == "PUT" { return text("token") }
      guard request.headers["X-aws-ec2-metadata-token"] == "token" else { return HTTPServerResponse(status: 401) }
      switch request.target {
      case "/latest/dynamic/instance-identity/document":
        return text(#"{"region":"eu-test-1","accountId":"123456789012","instanceId":"i-0abc","version":"2017-09-30"}"#)
      case "/latest/meta-data/services/partition": return text("aws")
      case "/latest/meta-data/iam/security-credentials/": return text("web")
      case "/latest/meta-data/iam/security-credentials/web":
        let keys = FakeCommandServer.keys
        return text(
          #"{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"\#(keys.id)","SecretAccessKey":"\#(keys.secret)","#
            + #""Token":"session","Expiration":"2099-01-01T00:00:00Z"}"#)
      default: return HTTPServerResponse(status: 404)
      }
    }
    try directory.write("ca.pem", authority.certificatePEM)
    var configuration = try await configuration(server)
    configuration.onPremisesConfigFile = directory("none.yml")
    let open = NetworkTransport(caFile: nil)
    let runtime = AgentRuntime(
      configuration: configuration, environment: [:], clock: SystemClock(), randomness: SeededRandomness(seed: 5), logger: silent,
      signer: RequestSigner(), regional: NetworkTransport(caFile: directory("ca.pem")), open: open,
      metadataEndpoint: "http://127.0.0.1:\(metadata.port ?? 0)", agentVersion: "T")
    await server.put("/bkt/shop.zip", bundle([:]))
    await server.specify(execution, specification("d-1"))
    let stop = StopSignal()
    let agent = Running(stop: stop, task: Task { try await runtime.run(once: false, stop: stop) })
    await server.send("c-1", "DownloadBundle", execution)
    let done = await server.completed(1)
    XCTAssertEqual(done.map(\.message), ["Succeeded: "])
    let problems = await server.problems
    XCTAssertEqual(problems, [])
    try await agent.end()
    await server.stop()
    await metadata.shutdown(grace: 0)
  }

  func testAForeignSignerIsRefused() async throws {
    let server = try FakeCommandServer()
    try await server.start()
    await server.specify(execution, specification("d-1"))
    let stranger = try TestSigner(name: "stranger")
    let transport = NetworkTransport(caFile: nil)
    let configuration = try await configuration(server)
    try directory.write("pin.pem", stranger.certificatePEM)
    let runtime = AgentRuntime(
      configuration: configuration, environment: [:], clock: SystemClock(), randomness: SeededRandomness(seed: 5), logger: silent,
      signer: RequestSigner(), regional: transport, open: transport, agentVersion: "T")
    let stop = StopSignal()
    let agent = Running(stop: stop, task: Task { try await runtime.run(once: false, stop: stop) })
    await server.send("c-1", "DownloadBundle", execution)
    let done = await server.completed(1)
    XCTAssertTrue((done.first?.message ?? "").contains("does not chain to the pinned"), (done.first?.message ?? ""))
    try await agent.end()
    await server.stop()
  }
}
