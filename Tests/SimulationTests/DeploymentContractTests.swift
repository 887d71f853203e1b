import FoundationEssentials
import Ports
import RegionKit
import RegionStore
import RoadsteadTesting
import WireModel
import XCTest

@testable import CodeDeployService

/// The deployment machine under the tests that every machine inherits: a crash at each commit, each task twice, each task failing.
final class DeploymentContractTests: XCTestCase {
  /// Two hosts one after the other; with `rollback` the second fails its ValidateService and the deployment before it comes back.
  private final class Story: MachineScenario {
    typealias Region = SimRegion
    let signer: EnvelopeSigner
    let fails: Bool
    let truth = SimTruth()
    let ports: SimPorts
    var life: UInt64 = 0
    var agents: [SimAgent] = []
    var clock = VirtualClock()
    var inner: (any DurableStore)?

    init(_ signer: EnvelopeSigner, fails: Bool) {
      self.signer = signer
      self.fails = fails
      ports = SimPorts(
        hosts: (0..<2).map { index in
          Ports.InstanceSummary(
            instanceId: "i-\(index)", state: "running", availabilityZone: "us-east-1a", privateIP: nil, tags: ["app": "web"],
            instanceProfileARN: "arn:aws:iam::123456789012:instance-profile/Web")
        })
    }

    func makeRegion(_ store: any DurableStore, clock: VirtualClock) async throws -> SimRegion {
      life += 1
      if inner == nil { inner = (store as? CrashingStore)?.inner }
      self.clock = clock
      return SimRegion(store, clock: clock, ports: ports, seed: life, signer: signer)
    }

    func makeActors() -> [any SimulatedActor<SimRegion>] {
      guard let inner else { return [] }
      var faults = AgentFaults()
      (faults.lostDelivery, faults.lostAnswer, faults.lostReport, faults.death, faults.restartInEvent) = (0, 0, 0, 0, 0)
      faults.failingScript = fails ? 1 : 0
      return ports.hosts.enumerated().map { index, host in
        SimAgent(
          host.instanceId, store: inner, truth: truth, faults: faults, random: SeededGenerator(seed: UInt64(index)), now: clock.now())
      }
    }

    func begin(_ region: SimRegion, _ store: any DurableStore, clock: VirtualClock) async throws {
      try await region.api("CreateApplication", ["applicationName": .string("app")])
      try await region.api(
        "CreateDeploymentGroup",
        [
          "applicationName": .string("app"), "deploymentGroupName": .string("web"), "serviceRoleArn": .string(SimPorts.roleARN),
          "ec2TagFilters": .list([.object(["Key": .string("app"), "Type": .string("KEY_ONLY")])]),
          "autoRollbackConfiguration": .object(["enabled": .bool(true), "events": .list([.string("DEPLOYMENT_FAILURE")])]),
        ])
      if fails {
        // As if an earlier deployment had succeeded, so that there is something to go back to.
        let groups = try await store.list(DeploymentGroupRecord.self, in: simScope)
        guard let group = groups.first else { throw SimProblem("no group") }
        var record = group.value
        record.lastSuccessful = DeploymentGroupRecord.Attempt(
          deploymentId: "d-BEFORE000", status: .succeeded, createTime: clock.now(), endTime: clock.now(),
          revision: .s3(Revision.S3(bucket: "b", key: "old.zip", bundleType: "zip")), fileExistsBehavior: "DISALLOW")
        var commit = StoreCommit()
        try commit.put(record, in: simScope, id: group.id)
        try await store.commit(commit)
      }
      try await region.api(
        "CreateDeployment",
        [
          "applicationName": .string("app"), "deploymentGroupName": .string("web"),
          "revision": .object([
            "revisionType": .string("S3"),
            "s3Location": .object(["bucket": .string("b"), "key": .string("new.zip"), "bundleType": .string("zip")]),
          ]),
        ])
    }

    func check(_ store: any DurableStore) async throws {
      guard let memory = store as? MemoryStore else { throw SimProblem("another store") }
      let figures = try await SimInvariants(store: memory, truth: truth).check()
      let wanted = fails ? ["user Failed": 1, "codeDeployRollback Failed": 1] : ["user Succeeded": 1]
      guard figures.deployments == wanted else { throw SimProblem("deployments ended \(figures.deployments)") }
    }

    func checkFailed(_ store: any DurableStore, failing kind: String) async throws {
      for deployment in try await store.list(DeploymentRecord.self, in: simScope).map(\.value) {
        guard let ending = deployment.ending else { throw SimProblem("\(deployment.deploymentId) never ended") }
        switch kind {
        case DeploymentTasks.begin, DeploymentTasks.advance:
          guard ending.error?.code == "INTERNAL_ERROR" else { throw SimProblem("ended with \(ending.error?.code ?? "no error")") }
        case DeploymentTasks.watch:
          guard ending.status == .failed || ending.status == .succeeded else { throw SimProblem("ended \(ending.status)") }
        default:
          guard (ending.status == .succeeded) == !fails else { throw SimProblem("ended \(ending.status)") }
        }
      }
      guard try await store.list(HostRecord.self, in: simScope).isEmpty else { throw SimProblem("a host is still held") }
      let groups = try await store.list(DeploymentGroupRecord.self, in: simScope)
      guard groups.allSatisfy({ $0.value.activeDeployment == nil }) else { throw SimProblem("the group is not free") }
    }

    func isOver(_ store: any DurableStore) async throws -> Bool {
      let groups = try await store.list(DeploymentGroupRecord.self, in: simScope)
      return !groups.isEmpty && groups.allSatisfy { $0.value.activeDeployment == nil }
    }
  }

  func testASuccessfulDeploymentKeepsTheContract() async throws { try await run(fails: false) }
  func testAFailureAndItsRollbackKeepTheContract() async throws { try await run(fails: true) }

  private func run(fails: Bool) async throws {
    let signer = try EnvelopeSigner.make(clock: VirtualClock(), random: SeededRandomness(seed: 1))
    let report = try await MachineContractSuite.run(seed: 3) { Story(signer, fails: fails) }
    XCTAssertGreaterThan(report.commits, fails ? 7 : 25)
    XCTAssertGreaterThan(report.tellings, 2 * report.commits)
    print("contract: \(report)")
  }
}
