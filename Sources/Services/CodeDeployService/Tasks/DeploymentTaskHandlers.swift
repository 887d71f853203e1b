import Durable
import FoundationEssentials
import Ports
import RegionKit
import RegionStore

/// Created deployments start.
struct BeginDeployment: TaskHandler {
  let kind = DeploymentTasks.begin
  let engine: DeploymentEngine
  func run(_ task: ClaimedTask) async throws -> TaskOutcome { .done(try await engine.begin(task.subject, in: task.scope)) }
  func exhausted(_ task: ClaimedTask, error: any Error) async throws -> StoreCommit {
    try await engine.abandon(task.subject, in: task.scope, because: "Starting it failed: \(error).")
  }
}

/// A running deployment takes its next step.
struct AdvanceDeployment: TaskHandler {
  let kind = DeploymentTasks.advance
  let engine: DeploymentEngine
  func run(_ task: ClaimedTask) async throws -> TaskOutcome { .done(try await engine.advance(task.subject, in: task.scope)) }
  func exhausted(_ task: ClaimedTask, error: any Error) async throws -> StoreCommit {
    try await engine.abandon(task.subject, in: task.scope, because: "Its next step failed: \(error).")
  }
}

/// Looks after one running target until it ends: an agent that never comes, one that is gone, an event that takes too long.
struct WatchTarget: TaskHandler {
  let kind = DeploymentTasks.watch
  let engine: DeploymentEngine

  func run(_ task: ClaimedTask) async throws -> TaskOutcome {
    guard let target = try await engine.store.get(TargetRecord.self, in: task.scope, id: task.subject) else {
      return .done(StoreCommit())
    }
    let contact = try await engine.contact(target.value.hostId, in: task.scope)
    switch AgentWatch.judge(target.value, contact, now: engine.clock.now(), engine.options) {
    case .over: return .done(StoreCommit())
    case .again(let time): return .later(time, reason: "\(task.subject) works or may still be taken up")
    case .fail(.agentSilent, let message):
      return .done(try await fail(target, .agentSilent, try await instanceIsGone(target.value, task.scope) ?? message))
    case .fail(let cause, let message): return .done(try await fail(target, cause, message))
    }
  }

  func exhausted(_ task: ClaimedTask, error: any Error) async throws -> StoreCommit {
    guard let target = try await engine.store.get(TargetRecord.self, in: task.scope, id: task.subject) else { return StoreCommit() }
    return try await fail(target, .internalError, "The region could not look after the host: \(error).")
  }

  /// Why an agent cannot answer at all; nil when its instance runs.
  private func instanceIsGone(_ target: TargetRecord, _ scope: Scope) async throws -> String? {
    guard !target.onPremises else { return nil }
    guard let instance = try await engine.instances.instance(target.hostId, in: scope) else {
      return "The instance \(target.hostId) does not exist any more: it was terminated while the deployment waited for its agent."
    }
    guard instance.state != "running" else { return nil }
    return "The instance \(target.hostId) is \(instance.state), so its agent cannot take up the work. "
      + "Start it, or terminate it if it is not needed, then deploy again."
  }

  private func fail(
    _ target: Stored<TargetRecord>, _ cause: TargetRecord.Ending.Cause, _ message: String
  ) async throws -> StoreCommit {
    var failed = target.value
    failed.fail(message, cause: cause, now: engine.clock.now())
    guard failed != target.value else { return StoreCommit() }
    var commit = StoreCommit()
    try await engine.write(failed, was: target, into: &commit)
    return commit
  }
}

/// Carries out BlockTraffic and AllowTraffic.
struct MoveTraffic: TaskHandler {
  let kind = DeploymentTasks.traffic
  let engine: DeploymentEngine
  /// How often an unfinished move is looked at, region-side seconds.
  private let interval: Double = 1

  func run(_ task: ClaimedTask) async throws -> TaskOutcome {
    guard let (target, position) = try await current(task) else { return .done(StoreCommit()) }
    guard let deployment = try await engine.deployment(target.value.deploymentId, in: task.scope)?.value else {
      return .done(StoreCommit())
    }
    let name = target.value.events[position].name
    guard let port = engine.traffic else {
      return .done(try await report(task, succeeded: false, "No load balancer service is available in this region for \(name)."))
    }
    let host = target.value.hostId
    let isDone =
      name == "BlockTraffic"
      ? try await port.blockTraffic(hostId: host, loadBalancers: deployment.loadBalancers, scope: task.scope)
      : try await port.allowTraffic(hostId: host, loadBalancers: deployment.loadBalancers, scope: task.scope)
    if isDone { return .done(try await report(task, succeeded: true, "Succeeded")) }
    if let due = target.value.run?.due, engine.clock.now() >= due.addingTimeInterval(engine.options.completionLimit) {
      return .done(
        try await report(
          task, succeeded: false,
          "\(name) did not finish within \(Int(engine.options.completionLimit)) s: the load balancer does not find the host "
            + (name == "AllowTraffic" ? "healthy. Check its health check against what the application answers." : "drained.")))
    }
    return .later(engine.clock.deadline(afterScaled: interval), reason: "\(name) of \(host) is under way")
  }

  func exhausted(_ task: ClaimedTask, error: any Error) async throws -> StoreCommit {
    try await report(task, succeeded: false, "The load balancer refused: \(error)")
  }

  private func current(_ task: ClaimedTask) async throws -> (Stored<TargetRecord>, Int)? {
    guard let target = try await engine.store.get(TargetRecord.self, in: task.scope, id: task.subject),
      let position = Int(String(decoding: task.payload, as: UTF8.self)), target.value.run?.position == position
    else { return nil }
    return (target, position)
  }

  private func report(_ task: ClaimedTask, succeeded: Bool, _ message: String) async throws -> StoreCommit {
    var commit = StoreCommit()
    guard let (stored, position) = try await current(task) else { return commit }
    var target = stored.value
    let diagnostics = EventDiagnostics(
      errorCode: succeeded ? "Success" : "UnknownError", scriptName: "", message: message, logTail: "")
    guard
      target.report(
        position: position, delivery: "region", succeeded: succeeded, diagnostics: diagnostics, now: engine.clock.now())
    else { return commit }
    try await engine.write(target, was: stored, into: &commit)
    if target.run != nil {
      commit.tasks.append(
        try DeploymentTasks.wake([target.hostId], target.id, version: stored.version, task.scope, engine.clock.now()))
    }
    return commit
  }
}

/// Tells the open polls of hosts that work is due for them.
struct WakeHosts: TaskHandler {
  let kind = DeploymentTasks.wake
  let engine: DeploymentEngine
  func run(_ task: ClaimedTask) async throws -> TaskOutcome {
    for host in try RecordCoding.decode([String].self, from: task.payload) {
      engine.signals.wake(HostKey(scope: task.scope, hostId: host))
    }
    return .done(StoreCommit())
  }
  func exhausted(_ task: ClaimedTask, error: any Error) async throws -> StoreCommit { StoreCommit() }
}
