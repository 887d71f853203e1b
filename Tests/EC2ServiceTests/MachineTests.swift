import Durable
import EC2Service
import FakeDriver
import Foundation
import Ports
import RegionKit
import RegionStore
import RoadsteadTesting
import Synchronization
import WireModel
import XCTest

/// The instance machine inherits the crash, repeat and fail tests: two instances are started, and one of them is terminated once both run.
final class InstanceScenario: MachineScenario {
  struct Region: SimulatedRegion {
    let service: EC2Service
    var handlers: [any TaskHandler] {
      service.taskHandlers.filter { $0.kind != "ec2.instance.forget" && $0.kind != "ec2.instance.credentials" }
    }
  }
  private var outside: Outside?
  private var ids: [String] = []

  func makeRegion(_ store: any DurableStore, clock: VirtualClock) async throws -> Region {
    let outside = outside ?? Outside(clock: clock)
    self.outside = outside
    return Region(service: outside.service(store, clock: clock))
  }

  func begin(_ region: Region, _ store: any DurableStore, clock: VirtualClock) async throws {
    let handlers = region.service.module.handlers
    func call(_ operation: String, _ input: [String: WireValue]) async throws -> [String: WireValue] {
      let principal = Principal(kind: .root, account: testScope.account, arn: "arn:aws:iam::123456789012:root", userId: "1")
      let call = Call(
        requestId: "r", service: "ec2", operation: operation, principal: principal, account: testScope.account,
        region: testScope.region, clock: clock, random: SeededRandomness(seed: 5), authorizer: TestAuthorizer(),
        facts: CallFacts(time: clock.now(), sourceIP: nil, userAgent: nil, secureTransport: false), endpointHost: "localhost")
      return try await handlers[operation]?(input, call) ?? [:]
    }
    let image = try await call("DescribeImages", [:])["Images"]?.asList?.first?.asObject?["ImageId"] ?? .null
    let made = try await call("RunInstances", ["ImageId": image, "MinCount": .int(2), "MaxCount": .int(2)])
    ids = (made["Instances"]?.asList ?? []).compactMap { $0.asObject?["InstanceId"]?.asString }
    _ = try await call("TerminateInstances", ["InstanceIds": .list([.string(ids[1])])])
  }

  func check(_ store: any DurableStore) async throws {
    guard let outside else { return }
    let held = try await outside.driver.list().filter { $0 != "" }
    try expect(held == [ids[0]], "held by the driver: \(held)")
    let machine = await outside.driver.instance(ids[0])
    try expect(machine?.isRunning == true, "the first one runs")
    let states = try await states(store)
    try expect(states == [ids[0]: "running", ids[1]: "terminated"], "\(states)")
  }

  func checkFailed(_ store: any DurableStore, failing kind: String) async throws {
    let states = try await states(store)
    switch kind {
    case "ec2.instance.launch":
      try expect(states[ids[0]] == "terminated", "a launch that cannot succeed ends the instance: \(states)")
      let held = try await outside?.driver.list() ?? []
      try expect(held.isEmpty, "and leaves nothing: \(held)")
    default: try expect(states[ids[1]] == "shutting-down", "an instance that does not end is not called terminated: \(states)")
    }
  }

  func isOver(_ store: any DurableStore) async throws -> Bool {
    let states = try await states(store)
    return states[ids[0]] == "running" && states[ids[1]] == "terminated"
  }

  private func states(_ store: any DurableStore) async throws -> [String: String] {
    guard let outside else { return [:] }
    let service = outside.service(store, clock: VirtualClock())
    var out: [String: String] = [:]
    for id in ids { out[id] = try await service.instance(id, in: testScope)?.state }
    return out
  }

  private func expect(_ holds: Bool, _ text: String) throws {
    if !holds { throw AWSError("Broken", text) }
  }
}

final class MachineTests: XCTestCase {
  func testInstancesSurviveCrashesRepetitionsAndFailures() async throws {
    let report = try await MachineContractSuite.run(maximumSteps: 3000) { InstanceScenario() }
    XCTAssertGreaterThan(report.tellings, 5)
  }

  func testAdoptionStartsAgainWhatShouldRunAndRemovesWhatNobodyNames() async throws {
    let world = try await World()
    let ids = try await world.run(2)
    await world.outside.driver.kill(ids[0])
    _ = try await world.outside.driver.launch(
      InstanceSpec(
        instanceId: "i-leaked", scope: testScope, hostname: "x", layers: ["base-fake"], memoryBytes: 1, cpuMillis: 1, maxProcesses: 1,
        privateIP: "172.31.9.9", userData: [], files: [], agentCommand: []), fresh: true)
    try await world.service.adopt()
    try await world.wait(ids[0], "running")
    let held = try await world.outside.driver.list()
    XCTAssertEqual(Set(held), Set(ids))
    let machine = await world.outside.driver.instance(ids[0])
    XCTAssertEqual(machine?.isRunning, true)
  }
}
