import FoundationEssentials
import RegionKit
import RegionStore

/// What a target's moves add to a commit. Used by the agents' reports, the watch and the deployment's own steps alike.
extension DeploymentEngine {
  /// A target whose phase may have changed: stores it, and when it has ended also what follows from that: the host is free, the group
  /// remembers the result, the deployment looks what is next.
  func write(
    _ target: TargetRecord, was stored: Stored<TargetRecord>, of known: DeploymentRecord? = nil, into commit: inout StoreCommit
  ) async throws {
    let now = clock.now()
    try commit.put(target, in: stored.scope, id: target.id, expecting: .version(stored.version))
    guard target.ending != nil, stored.value.ending == nil else {
      schedule(target, since: stored.value, stored.scope, into: &commit)
      return
    }
    var deployment = known
    if deployment == nil { deployment = try await self.deployment(target.deploymentId, in: stored.scope)?.value }
    if let deployment { try await remember(target, of: deployment, stored.scope, into: &commit) }
    if stored.value.run != nil {
      try await free(target.hostId, from: target.deploymentId, stored.scope, into: &commit)
      commit.tasks.append(
        DeploymentTasks.advance(target.deploymentId, because: "end/" + target.hostId, stored.scope, now))
    }
  }

  /// The group's memory of the host, and the event for those who listen.
  func remember(
    _ target: TargetRecord, of deployment: DeploymentRecord, _ scope: Scope, into commit: inout StoreCommit
  ) async throws {
    if let state = target.hostState {
      try commit.put(state, in: scope, id: HostStateRecord.id(target.groupId, target.hostId))
    }
    let state: String? =
      switch target.status {
      case .succeeded: "SUCCESS"
      case .failed: "FAILURE"
      default: nil
      }
    if let state {
      let events = DeploymentEvents(random: random)
      commit.events.append(events.instance(target, of: deployment, state: state, scope, clock.now()))
    }
  }

  /// Server-side events run from a task of their own.
  private func schedule(_ target: TargetRecord, since old: TargetRecord, _ scope: Scope, into commit: inout StoreCommit) {
    guard let run = target.run, old.run?.position != run.position else { return }
    if LifecycleOrder.isServerSide(target.events[run.position].name) {
      commit.tasks.append(DeploymentTasks.traffic(target.id, position: run.position, scope, clock.now()))
    }
  }

  /// Takes a host for a deployment. Answers false when another one has it; then the deployment is put in line and woken later.
  func take(_ hostId: String, for deploymentId: String, _ scope: Scope, into commit: inout StoreCommit) async throws -> Bool {
    guard let held = try await store.get(HostRecord.self, in: scope, id: hostId) else {
      try commit.put(HostRecord(heldBy: deploymentId), in: scope, id: hostId, expecting: .absent)
      return true
    }
    if held.value.heldBy == deploymentId { return true }
    if !held.value.waiting.contains(deploymentId) {
      var line = held.value
      line.waiting.append(deploymentId)
      try commit.put(line, in: scope, id: hostId, expecting: .version(held.version))
    }
    return false
  }

  func free(_ hostId: String, from deploymentId: String, _ scope: Scope, into commit: inout StoreCommit) async throws {
    guard let held = try await store.get(HostRecord.self, in: scope, id: hostId), held.value.heldBy == deploymentId else { return }
    commit.delete(HostRecord.self, in: scope, id: hostId, expecting: .version(held.version))
    for waiting in held.value.waiting {
      commit.tasks.append(
        DeploymentTasks.advance(waiting, because: "free/\(hostId)/\(deploymentId)", scope, clock.now()))
    }
  }

  /// The target's host begins.
  func begin(
    _ target: inout TargetRecord, of deployment: DeploymentRecord, _ scope: Scope, into commit: inout StoreCommit
  ) {
    let now = clock.now()
    let before = target
    target.start(now: now)
    schedule(target, since: before, scope, into: &commit)
    commit.tasks.append(DeploymentTasks.watch(target.id, scope, clock.deadline(afterReal: options.agentSilence)))
    commit.events.append(
      DeploymentEvents(random: random).instance(target, of: deployment, state: "START", scope, now))
  }
}
