import Foundation
import Ports
import RegionKit
import RegionStore
import RoadsteadTesting
import WireModel
import XCTest

@testable import CodeDeployService

/// Seeded rollouts over agents that lose, repeat and delay what they say, die and come back, while the region crashes at any commit.
/// `ROADSTEAD_SEEDS=10000` runs more, `ROADSTEAD_SEED=17` one.
final class DeploymentSimulationTests: XCTestCase {
  private struct Figures: Sendable {
    var deployments: [String: Int] = [:]
    var steps = 0
    var crashes = 0
    var events = 0

    mutating func add(_ other: Figures) {
      deployments.merge(other.deployments, uniquingKeysWith: +)
      steps += other.steps
      crashes += other.crashes
      events += other.events
    }
  }

  func testDeploymentsKeepTheirPromises() async throws {
    let environment = ProcessInfo.processInfo.environment
    let count = environment["ROADSTEAD_SEEDS"].flatMap(Int.init) ?? 500
    let seeds = environment["ROADSTEAD_SEED"].flatMap(UInt64.init).map { [$0] } ?? (1...UInt64(max(1, count))).map { $0 }
    let signer = try EnvelopeSigner.make(clock: VirtualClock(), random: SeededRandomness(seed: 1))
    let began = ProcessInfo.processInfo.systemUptime
    var figures = Figures()
    var failed: [(seed: UInt64, problem: String)] = []
    await withTaskGroup(of: [(UInt64, Result<Figures, any Error>)].self) { group in
      // Each seed is a world of its own, so two run side by side.
      for lane in 0..<2 {
        group.addTask {
          var told: [(UInt64, Result<Figures, any Error>)] = []
          for (index, seed) in seeds.enumerated() where index % 2 == lane {
            do {
              told.append((seed, .success(try await Self.tell(seed, signer))))
            } catch {
              told.append((seed, .failure(error)))
            }
          }
          return told
        }
      }
      for await told in group {
        for (seed, result) in told {
          switch result {
          case .success(let more): figures.add(more)
          case .failure(let error): failed.append((seed, "\(error)"))
          }
        }
      }
    }
    for (seed, problem) in failed.sorted(by: { $0.seed < $1.seed }) {
      XCTFail("seed \(seed): \(problem)   (replay: ROADSTEAD_SEED=\(seed))")
    }
    let seconds = ProcessInfo.processInfo.systemUptime - began
    print(
      "simulation: \(seeds.count) seeds, deployments \(figures.deployments.sorted { $0.key < $1.key }), \(figures.events) events on "
        + "hosts, \(figures.crashes) region crashes, \(figures.steps) steps in \(String(format: "%.1f", seconds)) s")
  }

  /// One world from its seed to its end. Throws the invariant that broke.
  private static func tell(_ seed: UInt64, _ signer: EnvelopeSigner) async throws -> Figures {
    var random = SeededGenerator(seed: seed)
    let clock = VirtualClock()
    let store = MemoryStore(clock: clock)
    let hosts = 1 + random.below(5)
    let ports = SimPorts(
      hosts: (0..<hosts).map { index in
        Ports.InstanceSummary(
          instanceId: "i-\(index)", state: random.chance(0.04) ? "stopped" : "running",
          availabilityZone: "us-east-1" + ["a", "b"][random.below(2)], privateIP: nil, tags: ["app": "web"],
          instanceProfileARN: "arn:aws:iam::123456789012:instance-profile/Web")
      })
    var faults = AgentFaults()
    faults.failingScript = [0, 0.02, 0.1][random.below(3)]
    // In some worlds agents are reliable, so that long stories of success, failure and rollback are told too.
    if random.chance(0.4) {
      faults.death = 0
      faults.lostReport = 0
      faults.restartInEvent = 0.005
    }
    var regionFaults = SimulationFaults.rough
    if random.chance(0.2) { regionFaults.crash = 0.1 }
    var life: UInt64 = 0
    let runner = try await SimulatedRunner(
      store: store, clock: clock, seed: seed, plan: FaultPlan(regionFaults, seed: seed &* 31)
    ) { process in
      life += 1
      return SimRegion(process, clock: clock, ports: ports, seed: seed &* 1_000_003 &+ life, signer: signer)
    }
    let truth = SimTruth()
    let groups = random.chance(0.25) ? ["web", "other"] : ["web"]
    try await prepare(store, clock, ports, signer, groups, &random)
    let users = groups.map { SimUser(group: $0, deployments: 1 + random.below(3), random: random.split(), now: clock.now()) }
    let agents = ports.hosts.filter { $0.state == "running" }.map {
      SimAgent($0.instanceId, store: store, truth: truth, faults: faults, random: random.split(), now: clock.now())
    }
    runner.actors = users + agents
    var looks = 0
    try await runner.run { store in
      looks += 1
      guard looks % 10 == 0, users.allSatisfy(\.isDone) else { return false }
      return try await store.list(DeploymentGroupRecord.self, in: simScope).allSatisfy { $0.value.activeDeployment == nil }
    }
    guard users.allSatisfy(\.isDone) else { throw SimProblem("a user was never served") }
    var figures = try await SimInvariants(store: store, truth: truth).check()
    figures.steps = runner.report.steps
    figures.crashes = runner.report.crashes
    return Figures(
      deployments: figures.deployments, steps: figures.steps, crashes: figures.crashes, events: truth.executed.count)
  }

  private static func prepare(
    _ store: MemoryStore, _ clock: VirtualClock, _ ports: SimPorts, _ signer: EnvelopeSigner, _ groups: [String],
    _ random: inout SeededGenerator
  ) async throws {
    let region = SimRegion(store, clock: clock, ports: ports, seed: random.next(), signer: signer)
    try await region.api("CreateApplication", ["applicationName": .string("app")])
    for group in groups {
      var config = "CodeDeployDefault." + ["OneAtATime", "HalfAtATime", "AllAtOnce"][random.below(3)]
      if random.chance(0.3) {
        config = "own-" + group
        try await region.api(
          "CreateDeploymentConfig",
          [
            "deploymentConfigName": .string(config),
            "minimumHealthyHosts": .object([
              "type": .string("HOST_COUNT"), "value": .int(Int64(random.below(max(1, ports.hosts.count)))),
            ]),
          ])
      }
      try await region.api(
        "CreateDeploymentGroup",
        [
          "applicationName": .string("app"), "deploymentGroupName": .string(group), "serviceRoleArn": .string(SimPorts.roleARN),
          "deploymentConfigName": .string(config),
          "ec2TagFilters": .list([.object(["Key": .string("app"), "Type": .string("KEY_ONLY")])]),
          "autoRollbackConfiguration": .object([
            "enabled": .bool(random.chance(0.6)),
            "events": .list([.string("DEPLOYMENT_FAILURE"), .string("DEPLOYMENT_STOP_ON_REQUEST")]),
          ]),
        ])
    }
  }
}

/// What must hold when everything has come to rest.
struct SimInvariants {
  struct Figures {
    var deployments: [String: Int] = [:]
    var steps = 0
    var crashes = 0
  }
  let store: MemoryStore
  let truth: SimTruth

  func check() async throws -> Figures {
    var figures = Figures()
    let deployments = try await store.list(DeploymentRecord.self, in: simScope).map(\.value)
    let held = try await store.list(HostRecord.self, in: simScope)
    for group in try await store.list(DeploymentGroupRecord.self, in: simScope) where group.value.activeDeployment != nil {
      throw SimProblem("\(group.value.name) still has an active deployment")
    }
    guard held.isEmpty else { throw SimProblem("\(held.map(\.id)) are still held by \(held.map(\.value.heldBy))") }
    for deployment in deployments {
      guard let ending = deployment.ending else { throw SimProblem("\(deployment.deploymentId) never ended") }
      figures.deployments[deployment.creator + " " + ending.status.rawValue, default: 0] += 1
      let targets = try await store.list(TargetRecord.self, in: simScope, StoreQuery(prefix: deployment.deploymentId + "/"))
      try checkTargets(targets.map(\.value), of: deployment, ending)
      try checkRollback(of: deployment, ending, in: deployments)
    }
    for (host, events) in truth.order {
      let positions = events.compactMap { LifecycleOrder.plain.firstIndex(of: $0) }
      guard positions == positions.sorted(), Set(positions).count == positions.count else {
        throw SimProblem("events out of order for \(host): \(events)")
      }
    }
    return figures
  }

  private func checkTargets(
    _ targets: [TargetRecord], of deployment: DeploymentRecord, _ ending: DeploymentRecord.Ending
  ) throws {
    for target in targets {
      guard target.ending != nil else { throw SimProblem("\(target.id) never ended") }
      for event in target.events where event.status == .pending || event.status == .inProgress {
        throw SimProblem("\(event.name) of \(target.id) is \(event.status) at the end")
      }
      for event in target.events where event.status == .skipped {
        let work = SimTruth.Work(deployment: deployment.deploymentId, host: target.hostId, event: event.name)
        guard truth.executed[work] == nil else { throw SimProblem("\(event.name) of \(target.id) ran and is Skipped") }
      }
    }
    let succeeded = targets.count { $0.status == .succeeded }
    let rule = HealthRule(deployment.minimumHealthyHosts, fleet: targets.count)
    switch ending.status {
    case .succeeded:
      guard rule.passes(succeeded: succeeded, current: 0) else { throw SimProblem("\(deployment.deploymentId) succeeded against its rule") }
    case .failed:
      guard ending.error != nil else { throw SimProblem("\(deployment.deploymentId) failed without a reason") }
      guard ending.error?.code != "INTERNAL_ERROR" else { throw SimProblem("\(ending.error?.message ?? "")") }
      guard !rule.passes(succeeded: succeeded, current: 0) else { throw SimProblem("\(deployment.deploymentId) failed against its rule") }
    default: break
    }
    guard ending.overview.values.reduce(0, +) == targets.count else { throw SimProblem("the overview does not add up") }
  }

  private func checkRollback(
    of deployment: DeploymentRecord, _ ending: DeploymentRecord.Ending, in all: [DeploymentRecord]
  ) throws {
    let rollbacks = all.filter { $0.rollback?.triggeringDeploymentId == deployment.deploymentId }
    guard rollbacks.count <= 1 else { throw SimProblem("\(deployment.deploymentId) was rolled back \(rollbacks.count) times") }
    guard rollbacks.first?.deploymentId == deployment.rollback?.rollbackDeploymentId else {
      throw SimProblem("\(deployment.deploymentId) and its rollback do not name each other")
    }
    let isDue =
      deployment.creator == "user"
      && (ending.status == .failed && deployment.autoRollback?.covers("DEPLOYMENT_FAILURE") == true
        || ending.status == .stopped && deployment.stop?.rollback == true)
    guard isDue == (rollbacks.count == 1 || deployment.rollback?.message != nil) || deployment.creator != "user" else {
      throw SimProblem("\(deployment.deploymentId) \(isDue ? "lacks a rollback" : "was rolled back without being asked")")
    }
    if let rollback = rollbacks.first, rollback.revision == deployment.revision, deployment.previousRevision != deployment.revision {
      throw SimProblem("the rollback of \(deployment.deploymentId) deploys the same revision")
    }
  }
}
