import FoundationEssentials
import RegionKit
import RegionStore
import RoadsteadTesting
import Synchronization
import WireModel
import XCTest

@testable import CodeDeployService

final class DeploymentTests: XCTestCase {
  func testOneAtATimeGoesHostByHost() async throws {
    let harness = try Harness()
    try await harness.prepare(hosts: 3)
    let id = try await harness.deploy()
    var status = try await harness.status(id)
    XCTAssertEqual(status, "InProgress")
    for index in 0..<3 {
      for other in (index + 1)..<3 where other < 3 {
        let command = try await TestAgent(harness, "i-\(other)").poll()
        XCTAssertNil(command, "i-\(other) works before i-\(index) is done")
      }
      let events = try await TestAgent(harness, "i-\(index)").work()
      XCTAssertEqual(events, LifecycleOrder.plain)
    }
    status = try await harness.status(id)
    XCTAssertEqual(status, "Succeeded")
    let info = try await harness.info(id)
    XCTAssertEqual(info["deploymentOverview"]?["Succeeded"]?.asInt, 3)
    XCTAssertNotNil(info["completeTime"])
    let group = try await harness.api("GetDeploymentGroup", ["applicationName": .string("app"), "deploymentGroupName": .string("web")])
    XCTAssertEqual(group["deploymentGroupInfo"]?["lastSuccessfulDeployment"]?["deploymentId"]?.asString, id)
    XCTAssertEqual(group["deploymentGroupInfo"]?["targetRevision"]?["s3Location"]?["key"]?.asString, "app.zip")
    let events = try await harness.store.events(after: 0, limit: 100).events.map(\.event)
    XCTAssertEqual(events.count { $0.detailType == "CodeDeploy Instance State-change Notification" }, 6)
    XCTAssertEqual(
      events.filter { $0.detailType == "CodeDeploy Deployment State-change Notification" }.count { $0.detail.contains("SUCCESS") }, 1)
  }

  func testAllAtOnceAndHalfOverlap() async throws {
    for (config, atOnce) in [("AllAtOnce", 4), ("HalfAtATime", 2)] {
      let harness = try Harness()
      try await harness.prepare(hosts: 4, config: config)
      let id = try await harness.deploy()
      var working = 0
      for index in 0..<4 where try await TestAgent(harness, "i-\(index)").poll() != nil { working += 1 }
      XCTAssertEqual(working, atOnce, config)
      let info = try await harness.info(id)
      XCTAssertEqual(info["deploymentOverview"]?["InProgress"]?.asInt, Int64(atOnce))
    }
  }

  func testAFailureStopsNamesEverythingAndRollsBack() async throws {
    let harness = try Harness()
    try await harness.prepare(hosts: 3, rollback: ["DEPLOYMENT_FAILURE"])
    let first = try await harness.deploy("app.zip", ["fileExistsBehavior": .string("OVERWRITE")])
    for index in 0..<3 { try await TestAgent(harness, "i-\(index)").work() }
    let second = try await harness.deploy("app2.zip")
    try await TestAgent(harness, "i-0").work(failing: "ValidateService")
    let info = try await harness.info(second)
    XCTAssertEqual(info["status"]?.asString, "Failed")
    XCTAssertEqual(info["errorInformation"]?["code"]?.asString, "HEALTH_CONSTRAINTS")
    let message = info["errorInformation"]?["message"]?.asString ?? ""
    for part in [
      "too many individual instances failed", "needs 2 of 3", "2 are", "i-0 failed in ValidateService (ScriptFailed)", "exit code 1",
      "[stderr]port 80 is closed", "Not touched: i-1, i-2",
    ] { XCTAssertTrue(message.contains(part), "\(part) is not in:\n\(message)") }
    XCTAssertEqual(info["deploymentOverview"]?["Skipped"]?.asInt, 2)

    let rollback = try XCTUnwrap(info["rollbackInfo"]?["rollbackDeploymentId"]?.asString)
    var back = try await harness.info(rollback)
    XCTAssertEqual(back["creator"]?.asString, "codeDeployRollback")
    XCTAssertEqual(back["rollbackInfo"]?["rollbackTriggeringDeploymentId"]?.asString, second)
    XCTAssertEqual(back["revision"]?["s3Location"]?["key"]?.asString, "app.zip")
    XCTAssertEqual(back["fileExistsBehavior"]?.asString, "OVERWRITE", "the setting of the deployment it re-runs")
    // The host that failed comes first.
    let targets = try await harness.api("ListDeploymentTargets", ["deploymentId": .string(rollback)])
    XCTAssertEqual(targets["targetIds"]?.strings.first, "i-0")
    for index in 0..<3 { try await TestAgent(harness, "i-\(index)").work() }
    back = try await harness.info(rollback)
    XCTAssertEqual(back["status"]?.asString, "Succeeded")
    XCTAssertNotEqual(first, rollback)
    let all = try await harness.api("ListDeployments", ["applicationName": .string("app"), "deploymentGroupName": .string("web")])
    XCTAssertEqual(all["deployments"]?.strings.count, 3)
  }

  func testNoHistoryNoRollback() async throws {
    let harness = try Harness()
    try await harness.prepare(hosts: 1, rollback: ["DEPLOYMENT_FAILURE"])
    let id = try await harness.deploy()
    try await TestAgent(harness, "i-0").work(failing: "BeforeInstall")
    let info = try await harness.info(id)
    XCTAssertNil(info["rollbackInfo"]?["rollbackDeploymentId"])
    XCTAssertTrue(info["rollbackInfo"]?["rollbackMessage"]?.asString?.contains("no successful deployment") ?? false)
    // The group is free again.
    _ = try await harness.deploy("app2.zip")
  }

  func testASilentAgentFailsWithinHalfAMinuteAndIsNamed() async throws {
    let harness = try Harness()
    try await harness.prepare(hosts: 2, config: "AllAtOnce")
    let id = try await harness.deploy()
    try await TestAgent(harness, "i-0").work()
    harness.clock.advance(by: 29)
    try await harness.drain()
    var status = try await harness.status(id)
    XCTAssertEqual(status, "InProgress")
    harness.clock.advance(by: 1.1)
    try await harness.drain()
    status = try await harness.status(id)
    XCTAssertEqual(status, "Succeeded", "one of two is enough for AllAtOnce")
    let target = try await harness.target(id, "i-1")
    XCTAssertEqual(target.ending?.cause, .agentSilent)
    XCTAssertTrue(target.failedEvent?.diagnostics?.message.contains("No CodeDeploy agent has ever connected from i-1") ?? false)
    XCTAssertEqual(target.events.map(\.status), [.failed] + Array(repeating: .skipped, count: 6))
  }

  func testAgentsGoneIsAgentIssue() async throws {
    let harness = try Harness()
    try await harness.prepare(hosts: 2)
    let agent = TestAgent(harness, "i-0")
    let early = try await agent.poll()
    XCTAssertNil(early)
    harness.clock.advance(by: 3600)
    let id = try await harness.deploy()
    harness.clock.advance(by: 31)
    try await harness.drain()
    let info = try await harness.info(id)
    XCTAssertEqual(info["errorInformation"]?["code"]?.asString, "AGENT_ISSUE")
    XCTAssertTrue(info["errorInformation"]?["message"]?.asString?.contains("agent on i-0 is silent") ?? false)
  }

  func testAnEventHasAnHourAndAStartedOneFiveMinutes() async throws {
    let harness = try Harness()
    try await harness.prepare(hosts: 1)
    let agent = TestAgent(harness, "i-0")
    let id = try await harness.deploy()
    let polled = try await agent.poll()
    let command = try XCTUnwrap(polled)
    _ = try await agent.acknowledge(command)
    harness.clock.advance(by: 3599)
    try await harness.drain()
    var status = try await harness.status(id)
    XCTAssertEqual(status, "InProgress")
    harness.clock.advance(by: 310)
    try await harness.drain()
    status = try await harness.status(id)
    XCTAssertEqual(status, "Failed")
    let target = try await harness.target(id, "i-0")
    XCTAssertEqual(target.ending?.cause, .timeout)
    XCTAssertTrue(target.failedEvent?.diagnostics?.message.contains("3600 s") ?? false)
    // The report that comes too late changes nothing.
    try await agent.complete(command)
    let after = try await harness.target(id, "i-0")
    XCTAssertEqual(after, target)
  }

  func testStopLetsTheRunningEventFinishAndRollsBackWhenAsked() async throws {
    let harness = try Harness()
    try await harness.prepare(hosts: 2)
    _ = try await harness.deploy()
    for index in 0..<2 { try await TestAgent(harness, "i-\(index)").work() }
    let id = try await harness.deploy("app2.zip")
    let agent = TestAgent(harness, "i-0")
    let polled = try await agent.poll()
    let command = try XCTUnwrap(polled)
    _ = try await agent.acknowledge(command)
    let stop = try await harness.api("StopDeployment", ["deploymentId": .string(id), "autoRollbackEnabled": .bool(true)])
    XCTAssertEqual(stop["status"]?.asString, "Pending")
    try await harness.drain()
    var status = try await harness.status(id)
    XCTAssertEqual(status, "InProgress")
    try await agent.complete(command)
    try await harness.drain()
    status = try await harness.status(id)
    XCTAssertEqual(status, "Stopped")
    let info = try await harness.info(id)
    XCTAssertEqual(info["errorInformation"]?["code"]?.asString, "MANUAL_STOP")
    XCTAssertNotNil(info["rollbackInfo"]?["rollbackDeploymentId"])
    let target = try await harness.target(id, "i-0")
    XCTAssertEqual(target.events.map(\.status), [.succeeded] + Array(repeating: .skipped, count: 6))
    let again = await harness.error("StopDeployment", ["deploymentId": .string(id)])
    XCTAssertEqual(again, "DeploymentAlreadyCompletedException")
    let goOn = await harness.error("ContinueDeployment", ["deploymentId": .string(id)])
    XCTAssertEqual(goOn, "DeploymentAlreadyCompletedException")
  }

  func testStopWithdrawsWhatNobodyTook() async throws {
    let harness = try Harness()
    try await harness.prepare(hosts: 1)
    let id = try await harness.deploy()
    let agent = TestAgent(harness, "i-0")
    let polled = try await agent.poll()
    let command = try XCTUnwrap(polled)
    try await harness.api("StopDeployment", ["deploymentId": .string(id)])
    try await harness.drain()
    let status = try await harness.status(id)
    XCTAssertEqual(status, "Stopped")
    let answer = try await agent.acknowledge(command)
    XCTAssertEqual(answer, "Succeeded", "an agent forgets the command at this answer")
  }

  func testApplicationStopFailuresCanBeIgnored() async throws {
    let harness = try Harness()
    try await harness.prepare(hosts: 1)
    let id = try await harness.deploy("app.zip", ["ignoreApplicationStopFailures": .bool(true)])
    let events = try await TestAgent(harness, "i-0").work(failing: "ApplicationStop")
    XCTAssertEqual(events, LifecycleOrder.plain)
    let status = try await harness.status(id)
    XCTAssertEqual(status, "Succeeded")
    let target = try await harness.target(id, "i-0")
    XCTAssertEqual(target.events[0].status, .failed)
  }

  func testStoppedInstancesCountAsFailed() async throws {
    let harness = try Harness()
    harness.world.add("i-9", state: "stopped")
    try await harness.prepare(hosts: 2)
    let id = try await harness.deploy()
    let info = try await harness.info(id)
    XCTAssertEqual(info["errorInformation"]?["code"]?.asString, "HEALTH_CONSTRAINTS_INVALID")
    XCTAssertTrue(info["errorInformation"]?["message"]?.asString?.contains("needs 2 of 3 hosts healthy, 2 are") ?? false)
    XCTAssertTrue(info["errorInformation"]?["message"]?.asString?.contains("i-9 failed") ?? false)
    let polled = try await TestAgent(harness, "i-0").poll()
    XCTAssertNil(polled)
  }

  func testNoInstancesNoRoleNoRevision() async throws {
    let harness = try Harness()
    try await harness.prepare(hosts: 0)
    var info = try await harness.info(try await harness.deploy())
    XCTAssertEqual(info["errorInformation"]?["code"]?.asString, "NO_INSTANCES")
    XCTAssertTrue(info["errorInformation"]?["message"]?.asString?.contains("app=web") ?? false)
    harness.world.add("i-0")
    info = try await harness.info(try await harness.deploy("gone.zip"))
    XCTAssertEqual(info["errorInformation"]?["code"]?.asString, "REVISION_MISSING")
    harness.world.state.withLock { $0.roles = [] }
    info = try await harness.info(try await harness.deploy())
    XCTAssertEqual(info["errorInformation"]?["code"]?.asString, "IAM_ROLE_PERMISSIONS")
  }

  func testOnlyOutdatedInstances() async throws {
    let harness = try Harness()
    try await harness.prepare(hosts: 1)
    _ = try await harness.deploy()
    try await TestAgent(harness, "i-0").work()
    harness.world.add("i-1")
    let id = try await harness.deploy("app.zip", ["updateOutdatedInstancesOnly": .bool(true)])
    let none = try await TestAgent(harness, "i-0").work()
    XCTAssertEqual(none, [])
    let events = try await TestAgent(harness, "i-1").work()
    XCTAssertEqual(events, LifecycleOrder.plain)
    let status = try await harness.status(id)
    XCTAssertEqual(status, "Succeeded")
  }

  func testAnInstanceThatGoesAwayIsNamed() async throws {
    let harness = try Harness()
    try await harness.prepare(hosts: 2, config: "AllAtOnce")
    let id = try await harness.deploy()
    harness.world.add("i-0", state: "stopped")
    harness.world.state.withLock { $0.instances["i-1"] = nil }
    harness.clock.advance(by: 31)
    try await harness.drain()
    let messages = try await [harness.target(id, "i-0"), harness.target(id, "i-1")].map { $0.failedEvent?.diagnostics?.message ?? "" }
    XCTAssertTrue(messages[0].contains("i-0 is stopped"), messages[0])
    XCTAssertTrue(messages[1].contains("i-1 does not exist any more"), messages[1])
  }

  func testADeploymentOutlivesItsGroupAndOneThatWasNotBegunDoesNot() async throws {
    let harness = try Harness()
    try await harness.prepare(hosts: 1)
    let id = try await harness.deploy()
    try await harness.api("DeleteApplication", ["applicationName": .string("app")])
    try await TestAgent(harness, "i-0").work()
    let status = try await harness.status(id)
    XCTAssertEqual(status, "Succeeded")
    try await harness.prepare(hosts: 1)
    let output = try await harness.api(
      "CreateDeployment",
      ["applicationName": .string("app"), "deploymentGroupName": .string("web"), "revision": Harness.revision()])
    let second = output["deploymentId"]?.asString ?? ""
    let early = await harness.error("ListDeploymentTargets", ["deploymentId": .string(second)])
    XCTAssertEqual(early, "DeploymentNotStartedException")
    try await harness.api("DeleteDeploymentGroup", ["applicationName": .string("app"), "deploymentGroupName": .string("web")])
    try await harness.drain()
    let info = try await harness.info(second)
    XCTAssertEqual(info["errorInformation"]?["code"]?.asString, "DEPLOYMENT_GROUP_MISSING")
  }

  func testAStopBeforeTheBeginTouchesNothing() async throws {
    let harness = try Harness()
    try await harness.prepare(hosts: 1)
    let output = try await harness.api(
      "CreateDeployment",
      ["applicationName": .string("app"), "deploymentGroupName": .string("web"), "revision": Harness.revision()])
    let id = output["deploymentId"]?.asString ?? ""
    try await harness.api("StopDeployment", ["deploymentId": .string(id)])
    try await harness.drain()
    let status = try await harness.status(id)
    XCTAssertEqual(status, "Stopped")
    let polled = try await TestAgent(harness, "i-0").poll()
    XCTAssertNil(polled)
  }

  func testTwoGroupsTakeTurnsOnAHost() async throws {
    let harness = try Harness()
    try await harness.prepare(hosts: 1)
    try await harness.api(
      "CreateDeploymentGroup",
      [
        "applicationName": .string("app"), "deploymentGroupName": .string("other"), "serviceRoleArn": .string(roleARN),
        "ec2TagFilters": .list([.object(["Key": .string("app"), "Type": .string("KEY_ONLY")])]),
      ])
    let first = try await harness.deploy()
    let second = try await harness.deploy("app2.zip", ["deploymentGroupName": .string("other")])
    let agent = TestAgent(harness, "i-0")
    let polled = try await agent.poll()
    let command = try XCTUnwrap(polled)
    XCTAssertTrue(command.execution.hasSuffix(first))
    _ = try await agent.acknowledge(command)
    try await agent.complete(command)
    let events = try await agent.work()
    XCTAssertEqual(events, Array(LifecycleOrder.plain.dropFirst()))
    let more = try await agent.work()
    XCTAssertEqual(more, LifecycleOrder.plain)
    for id in [first, second] {
      let status = try await harness.status(id)
      XCTAssertEqual(status, "Succeeded")
    }
  }

  func testOneActiveDeploymentAGroup() async throws {
    let harness = try Harness()
    try await harness.prepare(hosts: 1)
    let id = try await harness.deploy()
    do {
      _ = try await harness.deploy()
      XCTFail("a second deployment began")
    } catch let error as AWSError {
      XCTAssertEqual(error.code, "DeploymentLimitExceededException")
      XCTAssertEqual(error.message, "The Deployment Group 'web' already has an active Deployment '\(id)'")
    }
  }

  /// A balancer that needs a second look before it is done.
  final class FakeTraffic: TrafficPort, Sendable {
    func blockTraffic(hostId: String, loadBalancers: [String], scope: Scope) async throws -> Bool { true }
    func allowTraffic(hostId: String, loadBalancers: [String], scope: Scope) async throws -> Bool { true }
  }

  func testThirteenEventsWithALoadBalancer() async throws {
    let harness = try Harness(traffic: FakeTraffic())
    let balanced: [String: WireValue] = [
      "loadBalancerInfo": .object(["targetGroupInfoList": .list([.object(["name": .string("tg")])])]),
      "deploymentStyle": .object([
        "deploymentType": .string("IN_PLACE"), "deploymentOption": .string("WITH_TRAFFIC_CONTROL"),
      ]),
    ]
    try await harness.prepare(hosts: 1, balanced)
    let id = try await harness.deploy()
    let agent = TestAgent(harness, "i-0")
    var seen: [String] = []
    for _ in 0..<3 { seen += try await agent.work() }
    XCTAssertEqual(seen, LifecycleOrder.inPlace(trafficControl: true).filter { !LifecycleOrder.isServerSide($0) })
    let target = try await harness.target(id, "i-0")
    XCTAssertEqual(target.events.count, 13)
    XCTAssertEqual(target.status, .succeeded)
  }
}
