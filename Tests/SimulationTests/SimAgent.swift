import FoundationEssentials
import RegionKit
import RegionStore
import RoadsteadTesting
import WireModel

@testable import CodeDeployService

/// How badly agents and the way to them behave; each a probability of 0 to 1.
struct AgentFaults {
  var lostDelivery = 0.03
  var lostAnswer = 0.03
  var repeatedRequest = 0.05
  var lostReport = 0.02
  var restartInEvent = 0.02
  var death = 0.01
  var failingScript = 0.03
}

/// An agent as the protocol describes the official one: it polls on while it works, forgets nothing it holds, knows nothing of
/// deliveries, retries a request three times and then gives up, and reports a failure twice.
final class SimAgent: SimulatedActor {
  typealias Region = SimRegion

  struct Command { var id: String, deployment: String, execution: String, name: String }
  enum Stage {
    case held(tries: Int)
    case executing
    case reporting(code: Int, tries: Int, isEcho: Bool)
  }
  struct Job {
    var command: Command
    var stage: Stage
    var at: Date
  }

  let host: String
  private let identifier: String
  private let store: any DurableStore
  private let truth: SimTruth
  private let faults: AgentFaults
  private var random: SeededGenerator
  private var jobs: [Job] = []
  private var nextPoll: Date
  private var pause = 0.5
  private var deadUntil: Date?

  init(_ host: String, store: any DurableStore, truth: SimTruth, faults: AgentFaults, random: SeededGenerator, now: Date) {
    self.host = host
    self.store = store
    self.truth = truth
    self.faults = faults
    self.random = random
    identifier = "arn:aws:ec2:us-east-1:123456789012:instance/\(host)"
    nextPoll = now
  }

  func nextAction(now: Date, region: SimRegion) async throws -> Date? {
    if let deadUntil { return deadUntil }
    let work = jobs.map(\.at).min()
    // A held poll would be answered at once when work comes; here the agent looks often while its host is wanted, else rarely.
    let isWanted = try await store.version(of: StoreKey(scope: simScope, collection: HostRecord.collection, id: host)) != nil
    let poll = isWanted ? nextPoll : nextPoll.addingTimeInterval(200)
    return work.map { min($0, poll) } ?? poll
  }

  func act(now: Date, region: SimRegion) async throws {
    if deadUntil != nil {
      deadUntil = nil
      nextPoll = now
      return
    }
    if let index = jobs.indices.filter({ jobs[$0].at <= now }).min(by: { jobs[$0].at < jobs[$1].at }) {
      let job = jobs.remove(at: index)
      try await go(on: job, now, region)
    } else {
      try await poll(now, region)
    }
  }

  private func delay(_ most: Double) -> Double { Double(random.below(1000)) / 1000 * most }

  private func poll(_ now: Date, _ region: SimRegion) async throws {
    nextPoll = now.addingTimeInterval(10)
    let answer = try await region.agent("PollHostCommand", host, [("HostIdentifier", .string(identifier))])
    guard let found = answer["HostCommand"], let id = found["HostCommandIdentifier"]?.asString else {
      // Ever more rarely, but slowly enough for the region to learn the pace before it takes it for silence.
      pause = min(75, pause * 1.35 + delay(0.5))
      nextPoll = now.addingTimeInterval(pause)
      return
    }
    if let held = CommandIdentifier(id), let run = try await target(held.executionId.deploymentId)?.run,
      run.position == held.position - 1, run.acknowledgement != nil
    {
      throw SimProblem("\(held.command) was handed out to \(host) although it is in flight")
    }
    pause = 0.5
    nextPoll = now.addingTimeInterval(2 + delay(4))
    guard !random.chance(faults.lostDelivery) else { return }
    let execution = found["DeploymentExecutionId"]?.asString ?? ""
    let command = Command(
      id: id, deployment: String(execution.split(separator: "/").last ?? ""), execution: execution,
      name: found["CommandName"]?.asString ?? "")
    jobs.append(Job(command: command, stage: .held(tries: 0), at: now.addingTimeInterval(delay(random.chance(0.05) ? 30 : 0.3))))
  }

  private func go(on job: Job, _ now: Date, _ region: SimRegion) async throws {
    switch job.stage {
    case .held(let tries): try await acknowledge(job.command, tries, now, region)
    case .executing: finish(job.command, now)
    case .reporting(let code, let tries, let isEcho): try await report(job.command, code, tries, isEcho, now, region)
    }
  }

  private func acknowledge(_ command: Command, _ tries: Int, _ now: Date, _ region: SimRegion) async throws {
    // Whatever happens to the request, the agent tries again; then it gives up, says so once, and does nothing.
    func again() {
      if tries < 3 {
        jobs.append(Job(command: command, stage: .held(tries: tries + 1), at: now.addingTimeInterval(0.5 + delay(1))))
      } else {
        jobs.append(Job(command: command, stage: .reporting(code: 5, tries: 2, isEcho: true), at: now.addingTimeInterval(0.1)))
      }
    }
    let body: [(String, JSONValue)] = [("HostCommandIdentifier", .string(command.id))]
    do {
      if tries == 0, random.chance(0.2) {
        _ = try await region.agent(
          "GetDeploymentSpecification", host,
          [("DeploymentExecutionId", .string(command.execution)), ("HostIdentifier", .string(identifier))])
      }
      let answer = try await region.agent("PutHostCommandAcknowledgement", host, body)["CommandStatus"]?.asString
      if random.chance(faults.repeatedRequest) {
        let second = try await region.agent("PutHostCommandAcknowledgement", host, body)["CommandStatus"]?.asString
        if second != answer { throw SimProblem("an acknowledgement was answered \(answer ?? "") and then \(second ?? "")") }
      }
      if random.chance(faults.lostAnswer) { return again() }
      if answer == "InProgress" { try await execute(command, now) }
    } catch let crash as SimulatedCrash {
      again()
      throw crash
    }
  }

  /// The script runs: from here on the host is changed.
  private func execute(_ command: Command, _ now: Date) async throws {
    let work = SimTruth.Work(deployment: command.deployment, host: host, event: command.name)
    truth.executed[work, default: 0] += 1
    guard truth.executed[work] == 1 else { throw SimProblem("\(command.name) ran twice on \(host) for \(command.deployment)") }
    truth.order[command.deployment + " " + host, default: []].append(command.name)
    if command.name == "ApplicationStop" {
      truth.hostsStarted += 1
      try await checkHealth(command)
    }
    if random.chance(faults.death) {
      jobs = []
      deadUntil = now.addingTimeInterval(random.chance(0.5) ? 120 : 5000)
    } else if random.chance(faults.restartInEvent) {
      jobs = [Job(command: command, stage: .reporting(code: 7, tries: 0, isEcho: true), at: now.addingTimeInterval(6))]
    } else {
      let duration = random.chance(0.03) ? delay(500) : 0.1 + delay(5)
      jobs.append(Job(command: command, stage: .executing, at: now.addingTimeInterval(duration)))
    }
  }

  private func finish(_ command: Command, _ now: Date) {
    let code = random.chance(faults.failingScript) ? 4 : 0
    guard !random.chance(faults.lostReport) else { return }
    let late = random.chance(0.05) ? delay(60) : 0
    jobs.append(Job(command: command, stage: .reporting(code: code, tries: 0, isEcho: false), at: now.addingTimeInterval(late)))
  }

  private func report(
    _ command: Command, _ code: Int, _ tries: Int, _ isEcho: Bool, _ now: Date, _ region: SimRegion
  ) async throws {
    let payload = "{\"error_code\":\(code),\"script_name\":\"s\",\"message\":\"m\(code)\",\"log\":\"l\"}"
    let body: [(String, JSONValue)] = [
      ("HostCommandIdentifier", .string(command.id)), ("CommandStatus", .string(code == 0 ? "Succeeded" : "Failed")),
      ("Diagnostics", .object([JSONMember("Format", .string("JSON")), JSONMember("Payload", .string(payload))])),
    ]
    let before = try await record(command)
    do {
      _ = try await region.agent("PutHostCommandComplete", host, body)
      try await checkReport(command, code, before)
      nextPoll = min(nextPoll, now.addingTimeInterval(0.1 + delay(1)))
      if code != 0, !isEcho {
        // The second, poorer report of the same failure.
        jobs.append(Job(command: command, stage: .reporting(code: 5, tries: 0, isEcho: true), at: now.addingTimeInterval(0.05 + delay(3))))
      } else if random.chance(faults.repeatedRequest) {
        jobs.append(Job(command: command, stage: .reporting(code: code, tries: 3, isEcho: true), at: now.addingTimeInterval(delay(60))))
      }
    } catch let crash as SimulatedCrash {
      if tries < 3 {
        jobs.append(
          Job(command: command, stage: .reporting(code: code, tries: tries + 1, isEcho: isEcho), at: now.addingTimeInterval(1)))
      }
      throw crash
    }
  }

  private func record(_ command: Command) async throws -> TargetRecord? { try await target(command.deployment) }
  private func target(_ deployment: String) async throws -> TargetRecord? {
    try await store.get(TargetRecord.self, in: simScope, id: TargetRecord.id(deployment, host))?.value
  }
}

extension SimAgent {
  /// The first report of a command in flight is what counts, and what is on record for an ended event never changes.
  private func checkReport(_ command: Command, _ code: Int, _ before: TargetRecord?) async throws {
    guard let before, let after = try await record(command), let position = after.events.firstIndex(where: { $0.name == command.name })
    else { throw SimProblem("the target of \(command.deployment) on \(host) is gone") }
    let (old, new) = (before.events[position], after.events[position])
    let delivery = CommandIdentifier(command.id)?.delivery
    if let run = before.run, run.position == position, run.acknowledgement == nil || run.acknowledgement?.delivery == delivery {
      guard new.status == (code == 0 ? .succeeded : .failed), new.diagnostics?.message == "m\(code)" else {
        throw SimProblem("\(command.name) on \(host) was reported with code \(code) and is \(new.status) on record")
      }
    } else if old != new || before.phase != after.phase {
      throw SimProblem("a late report changed \(command.name) on \(host): \(old) became \(new)")
    }
    let work = SimTruth.Work(deployment: command.deployment, host: host, event: command.name)
    if new.status == .succeeded || new.status == .failed {
      if let settled = truth.settled[work], settled != new { throw SimProblem("the outcome of \(work) changed") }
      truth.settled[work] = new
    }
  }

  /// At the moment a host is taken down: the rest still satisfies the rule.
  private func checkHealth(_ command: Command) async throws {
    guard let deployment = try await store.get(DeploymentRecord.self, in: simScope, id: command.deployment)?.value,
      case .running(let running) = deployment.phase
    else { return }
    let targets = try await store.list(TargetRecord.self, in: simScope, StoreQuery(prefix: command.deployment + "/")).map(\.value)
    let atWork = targets.count { $0.run != nil }
    if let limit = running.rule.maximumAtOnce, atWork > limit { throw SimProblem("\(atWork) hosts at work; the limit is \(limit)") }
    guard let own = targets.first(where: { $0.hostId == host }), own.standing != .unhealthy, own.run != nil else { return }
    let healthy = targets.count { target in
      switch target.phase {
      case .waiting: target.standing != .unhealthy
      case .running: false
      case .ended(let ending): ending.status == .succeeded || (ending.status == .skipped && target.standing != .unhealthy)
      }
    }
    // Hosts that failed after this one was started are not our doing.
    let failedMeanwhile = targets.count { $0.standing != .unhealthy && $0.status == .failed }
    guard healthy + failedMeanwhile >= running.rule.minimum, healthy >= running.rule.minimum || failedMeanwhile > 0 else {
      throw SimProblem("\(healthy) hosts are healthy while \(host) is taken down; \(running.rule.minimum) must be")
    }
  }
}

/// Creates deployments one after the other, and sometimes stops one.
final class SimUser: SimulatedActor {
  typealias Region = SimRegion
  private var random: SeededGenerator
  private var next: Date
  private var left: Int
  private var stopping: String?
  private var number = 0
  let group: String

  init(group: String, deployments: Int, random: SeededGenerator, now: Date) {
    self.group = group
    self.random = random
    left = deployments
    next = now
  }

  var isDone: Bool { left == 0 && stopping == nil }

  func nextAction(now: Date, region: SimRegion) async throws -> Date? { isDone ? nil : next }

  func act(now: Date, region: SimRegion) async throws {
    next = now.addingTimeInterval(20 + Double(random.below(40)))
    if let id = stopping {
      stopping = nil
      do {
        try await region.api("StopDeployment", ["deploymentId": .string(id)])
      } catch let error as AWSError where error.code == "DeploymentAlreadyCompletedException" {}
      return
    }
    do {
      number += 1
      let key = "v\(number % 3).zip"
      let output = try await region.api(
        "CreateDeployment",
        [
          "applicationName": .string("app"), "deploymentGroupName": .string(group),
          "revision": .object([
            "revisionType": .string("S3"),
            "s3Location": .object(["bucket": .string("b"), "key": .string(key), "bundleType": .string("zip")]),
          ]),
        ])
      left -= 1
      if random.chance(0.15), let id = output["deploymentId"]?.asString {
        stopping = id
        next = now.addingTimeInterval(Double(random.below(40)))
      }
    } catch let error as AWSError where error.code == "DeploymentLimitExceededException" {
      // The one before still runs.
    }
  }
}
