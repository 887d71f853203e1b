import Foundation
import RegionKit
import RegionStore
import RoadsteadTesting
import WireModel
import XCTest

@testable import CodeDeployService

final class CommandServiceTests: XCTestCase {
  private func running(_ configure: (inout CodeDeployOptions) -> Void = { $0.pollHold = 0 }) async throws -> (Harness, TestAgent, String) {
    let harness = try Harness(configure)
    try await harness.prepare(hosts: 1)
    return (harness, TestAgent(harness, "i-0"), try await harness.deploy())
  }

  private func command(_ agent: TestAgent) async throws -> TestAgent.Command {
    let polled = try await agent.poll()
    return try XCTUnwrap(polled)
  }

  func testTheFirstReportWins() async throws {
    let (harness, agent, id) = try await running()
    let command = try await command(agent)
    _ = try await agent.acknowledge(command)
    try await agent.complete(command, code: 4, script: "stop.sh", message: "failed with exit code 3", log: "why")
    // v1 reports a failure twice, the second time without what matters.
    try await agent.complete(command, code: 5, message: "failed with exit code 3")
    let event = try await harness.target(id, "i-0").events[0]
    XCTAssertEqual(
      event.diagnostics,
      EventDiagnostics(errorCode: "ScriptFailed", scriptName: "stop.sh", message: "failed with exit code 3", logTail: "why"))
  }

  func testACommandInFlightIsNeverHandedOutAgain() async throws {
    let (harness, agent, _) = try await running()
    let command = try await command(agent)
    let first = try await agent.acknowledge(command)
    let again = try await agent.acknowledge(command)
    XCTAssertEqual([first, again], ["InProgress", "InProgress"], "a lost answer is asked for again")
    for _ in 0..<5 {
      harness.clock.advance(by: 100)
      let second = try await agent.poll()
      XCTAssertNil(second)
    }
  }

  func testALostDeliveryIsRepeatedAndOnlyOneRuns() async throws {
    let (harness, agent, _) = try await running()
    let lost = try await command(agent)
    let early = try await agent.poll()
    XCTAssertNil(early, "the agent may still hold it")
    harness.clock.advance(by: 10)
    let second = try await command(agent)
    XCTAssertEqual(second.name, lost.name)
    XCTAssertNotEqual(second.id, lost.id)
    let answer = try await agent.acknowledge(second)
    XCTAssertEqual(answer, "InProgress")
    let late = try await agent.acknowledge(lost)
    XCTAssertEqual(late, "Succeeded", "the first delivery is told to forget it")
    try await agent.complete(lost, code: 5, message: "spec unreadable")
    let update = try await agent.say(
      "PostHostCommandUpdate", .object([JSONMember("HostCommandIdentifier", .string(second.id))]))
    XCTAssertEqual(update["CommandStatus"]?.asString, "InProgress", "the other delivery's report changed nothing")
    let old = try await agent.say("PostHostCommandUpdate", .object([JSONMember("HostCommandIdentifier", .string(lost.id))]))
    XCTAssertEqual(old["CommandStatus"]?.asString, "Succeeded")
  }

  func testAfterTheSpecificationItWaitsLonger() async throws {
    let (harness, agent, _) = try await running()
    let command = try await command(agent)
    _ = try await agent.specification(command)
    harness.clock.advance(by: 30)
    let early = try await agent.poll()
    XCTAssertNil(early)
    harness.clock.advance(by: 31)
    let again = try await agent.poll()
    XCTAssertNotNil(again)
  }

  func testAReportWithoutAcknowledgementCounts() async throws {
    let (harness, agent, id) = try await running()
    let command = try await command(agent)
    try await agent.complete(command, code: 5, message: "Unsupported DeploymentSpecification format")
    try await harness.drain()
    let status = try await harness.status(id)
    XCTAssertEqual(status, "Failed")
  }

  func testAPollIsHeldAndWokenByWork() async throws {
    let harness = try Harness { $0.pollHold = 40 }
    try await harness.prepare(hosts: 1)
    let agent = TestAgent(harness, "i-0")
    let poll = Task { try await agent.poll() }
    await harness.clock.sleepers(atLeast: 1)
    let before = harness.clock.now()
    _ = try await harness.deploy()
    let command = try await poll.value
    XCTAssertEqual(command?.name, "ApplicationStop")
    XCTAssertEqual(harness.clock.now(), before, "no time had to pass")
  }

  func testAnIdlePollEndsAndANewerOneReplacesIt() async throws {
    let harness = try Harness { $0.pollHold = 40 }
    try await harness.prepare(hosts: 1)
    let agent = TestAgent(harness, "i-0")
    let old = Task { try await agent.poll() }
    await harness.clock.sleepers(atLeast: 1)
    let new = Task { try await agent.poll() }
    let nothing = try await old.value
    XCTAssertNil(nothing)
    await harness.clock.sleepers(atLeast: 1)
    harness.clock.advance(by: 40)
    let idle = try await new.value
    XCTAssertNil(idle)
  }

  func testOnlyTheHostItselfMaySpeak() async throws {
    let (harness, agent, _) = try await running()
    harness.world.add("i-1")
    func refused(_ change: (inout TestAgent) -> Void) async -> String? {
      var other = agent
      change(&other)
      do {
        _ = try await other.poll()
        return nil
      } catch {
        return (error as? AWSError)?.code
      }
    }
    let ownPrincipal = agent.principal
    let cases: [(inout TestAgent) -> Void] = [
      { $0.identifier = "arn:aws:ec2:us-east-1:123456789012:instance/i-1" },
      { $0.identifier = "arn:aws:ec2:us-east-1:999999999999:instance/i-0" },
      { $0.identifier = "arn:aws:ec2:eu-west-1:123456789012:instance/i-0" },
      { $0.identifier = "arn:aws:iam::123456789012:user/somebody" },
      { $0.principal = Principal(kind: .user, account: account, arn: "arn:aws:iam::123456789012:user/i-0", userId: "AIDA") },
      {
        $0.principal = Principal(
          kind: .assumedRole, account: account, arn: ownPrincipal.arn, userId: "x", roleARN: "arn:aws:iam::123456789012:role/Other")
      },
    ]
    for (index, change) in cases.enumerated() {
      let code = await refused(change)
      XCTAssertEqual(code, "AccessDeniedException", "case \(index)")
    }
    let served = try await agent.poll()
    XCTAssertNotNil(served)
  }

  func testAnOnPremisesHostWorksUnderItsIdentity() async throws {
    let harness = try Harness()
    let arn = "arn:aws:iam::123456789012:user/box"
    try await harness.api("RegisterOnPremisesInstance", ["instanceName": .string("box"), "iamUserArn": .string(arn)])
    let tags: WireValue = .list([.object(["Key": .string("rack"), "Value": .string("7")])])
    try await harness.api("AddTagsToOnPremisesInstances", ["instanceNames": .list([.string("box")]), "tags": tags])
    try await harness.prepare(
      hosts: 0, ["onPremisesInstanceTagFilters": .list([.object(["Key": .string("rack"), "Type": .string("KEY_ONLY")])])])
    let id = try await harness.deploy()
    var agent = TestAgent(harness, "box")
    agent.identifier = arn
    agent.principal = Principal(kind: .user, account: account, arn: arn, userId: "AIDABOX")
    let events = try await agent.work()
    XCTAssertEqual(events, LifecycleOrder.plain)
    let status = try await harness.status(id)
    XCTAssertEqual(status, "Succeeded")
    let target = try await harness.api("GetDeploymentTarget", ["deploymentId": .string(id), "targetId": .string("box")])
    XCTAssertEqual(
      target["deploymentTarget"]?["instanceTarget"]?["targetArn"]?.asString, "arn:aws:codedeploy:us-east-1:123456789012:instance/box")
  }

  func testTheAgentIsRemembered() async throws {
    let (harness, agent, _) = try await running()
    _ = try await agent.poll()
    let record = try await harness.store.get(AgentRecord.self, in: scope, id: "i-0")
    XCTAssertEqual(record?.value.version, "TEST_1.0")
    XCTAssertEqual(record?.value.lastContact, harness.clock.now())
  }

  func testBadInputIsRefusedAndTheServiceGoesOn() async throws {
    let (harness, agent, _) = try await running()
    for bad in ["", "[1]", "{", "{\"HostIdentifier\":3}", "{\"HostIdentifier\":\"\"}"] {
      do {
        _ = try await harness.service.commandService.handle(
          operation: "PollHostCommand", input: Array(bad.utf8), call: harness.call("PollHostCommand", as: agent.principal),
          agentVersion: nil)
        XCTFail("accepted \(bad)")
      } catch let error as AWSError {
        XCTAssertEqual(error.code, "ClientException", bad)
      }
    }
    do {
      try await agent.say("NoSuchOperation", .object([]))
      XCTFail("unknown operation answered")
    } catch let error as AWSError {
      XCTAssertEqual(error.code, "UnsupportedOperation")
    }
    var random = SeededGenerator(seed: 3)
    let good = CommandIdentifier(
      executionId: ExecutionIdentifier(deploymentId: "d-ABCDEFGHI", scope: scope), hostIdentifier: agent.identifier,
      command: "Install", position: 4, delivery: "abc")
    XCTAssertEqual(CommandIdentifier(good.text), good)
    for _ in 0..<2000 {
      var bytes = Array(good.text.utf8)
      for _ in 0...random.below(4) { bytes[random.below(bytes.count)] = UInt8(random.below(128)) }
      // Whatever comes of it, it must not trap, and must not be another host's.
      if let read = CommandIdentifier(String(decoding: bytes, as: UTF8.self)) { XCTAssertTrue(read.position > 0) }
    }
    for _ in 0..<500 {
      let junk = (0..<random.below(60)).map { _ in UInt8(random.below(256)) }
      _ = ReportedDiagnostics.read(String(decoding: junk, as: UTF8.self), succeeded: false)
    }
  }

  func testTheEnvelopeVerifiesWithOpenSSL() async throws {
    let openssl = ["/usr/bin/openssl", "/usr/local/bin/openssl"].first { FileManager.default.isExecutableFile(atPath: $0) }
    guard let openssl else { throw XCTSkip("openssl is not installed") }
    let (_, agent, id) = try await running()
    let command = try await command(agent)
    let fetched = try await agent.specification(command)
    let envelope = try XCTUnwrap(fetched)
    XCTAssertTrue(envelope.hasPrefix("-----BEGIN PKCS7-----\n"))
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("envelope-\(UUID().uuidString).pem")
    try envelope.write(to: file, atomically: true, encoding: .utf8)
    defer { try? FileManager.default.removeItem(at: file) }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: openssl)
    process.arguments = ["smime", "-verify", "-noverify", "-inform", "PEM", "-in", file.path]
    let (out, err) = (Pipe(), Pipe())
    process.standardOutput = out
    process.standardError = err
    try process.run()
    let text = String(decoding: out.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    XCTAssertEqual(process.terminationStatus, 0, String(decoding: err.fileHandleForReading.availableData, as: UTF8.self))
    let json = try JSONReader.read(text)
    XCTAssertEqual(json["DeploymentId"]?.asString, id)
    XCTAssertEqual(json["ApplicationName"]?.asString, "app")
    XCTAssertEqual(json["Revision"]?["S3Revision"]?["Bucket"]?.asString, "bucket")
    XCTAssertEqual(json["AgentActionOverrides"]?["AgentOverrides"]?["FileExistsBehavior"]?.asString, "DISALLOW")
  }

  func testTheSignerSurvivesAsPEM() throws {
    let signer = try XCTUnwrap(Harness.signer)
    let again = try EnvelopeSigner(pem: try signer.pem)
    XCTAssertEqual(try again.certificatePEM, try signer.certificatePEM)
    XCTAssertTrue(try again.sign(Array("{}".utf8), time: Date(timeIntervalSince1970: 1_767_225_600)).contains("BEGIN PKCS7"))
    XCTAssertThrowsError(try EnvelopeSigner(pem: try signer.certificatePEM))
  }
}
