import FoundationEssentials
import RegionKit
import RegionStore

extension DeploymentEngine {
  /// Ends a deployment: its record, the group's memory and freedom, the event, and the rollback if one is due, all in one commit.
  /// That the rollback is made here and nowhere else, with the deployment's version demanded, is what makes it happen exactly once.
  func conclude(
    _ stored: Stored<DeploymentRecord>, _ ending: DeploymentRecord.Ending, targets: [TargetRecord], into commit: inout StoreCommit
  ) async throws {
    var deployment = stored.value
    deployment.phase = .ended(ending)
    let group = try await group(uuid: deployment.groupId, in: stored.scope)
    let event = DeploymentEvents(random: random)
    commit.events.append(event.deployment(deployment, state: Self.eventState(ending.status), stored.scope, ending.time))
    var successor: String?
    if let group {
      successor = try rollBack(&deployment, ending, group.value, targets, stored.scope, into: &commit)
      var after = group.value
      let attempt = DeploymentGroupRecord.Attempt(
        deploymentId: deployment.deploymentId, status: ending.status, createTime: deployment.createTime, endTime: ending.time,
        revision: deployment.revision, fileExistsBehavior: deployment.fileExistsBehavior)
      after.lastAttempted = attempt
      if ending.status == .succeeded { after.lastSuccessful = attempt }
      if after.activeDeployment == deployment.deploymentId { after.activeDeployment = successor }
      try commit.put(after, in: stored.scope, id: group.id, expecting: .version(group.version))
    }
    try commit.put(deployment, in: stored.scope, id: stored.id, expecting: .version(stored.version))
  }

  /// The id of the deployment that brings the last successful revision back; nil when none is made. Why not is in `rollbackInfo`.
  private func rollBack(
    _ deployment: inout DeploymentRecord, _ ending: DeploymentRecord.Ending, _ group: DeploymentGroupRecord,
    _ targets: [TargetRecord], _ scope: Scope, into commit: inout StoreCommit
  ) throws -> String? {
    guard isRollbackDue(deployment, ending) else { return nil }
    func no(_ reason: String) -> String? {
      deployment.rollback = RollbackLinks(rollbackDeploymentId: nil, triggeringDeploymentId: nil, message: reason)
      return nil
    }
    guard targets.contains(where: { $0.hostState != nil }) else {
      return no("No instance was changed by \(deployment.deploymentId), so there is nothing to roll back.")
    }
    guard let last = group.lastSuccessful else {
      return no(
        "The deployment group has no successful deployment before \(deployment.deploymentId), so there is no revision to roll back to.")
    }
    let id = newDeploymentId()
    var rollback = deployment
    rollback.deploymentId = id
    rollback.revision = last.revision
    rollback.previousRevision = last.revision
    rollback.description = "Rollback of \(deployment.deploymentId)"
    rollback.creator = "codeDeployRollback"
    rollback.fileExistsBehavior = last.fileExistsBehavior
    rollback.autoRollback = nil
    rollback.updateOutdatedInstancesOnly = false
    rollback.checksRevision = false
    rollback.createTime = ending.time
    rollback.stop = nil
    rollback.phase = .created
    rollback.rollback = RollbackLinks(
      rollbackDeploymentId: nil, triggeringDeploymentId: deployment.deploymentId,
      message: "Rolls back \(deployment.deploymentId) to the revision of \(last.deploymentId).")
    deployment.rollback = RollbackLinks(
      rollbackDeploymentId: id, triggeringDeploymentId: nil,
      message: "Deployment \(id) brings back the revision of \(last.deploymentId).")
    try commit.put(rollback, in: scope, id: id, expecting: .absent)
    commit.tasks.append(DeploymentTasks.begin(id, scope, ending.time))
    return id
  }

  private func isRollbackDue(_ deployment: DeploymentRecord, _ ending: DeploymentRecord.Ending) -> Bool {
    // A rollback that fails is not rolled back in turn.
    guard deployment.creator != "codeDeployRollback" else { return false }
    return switch ending.status {
    case .failed: deployment.autoRollback?.covers("DEPLOYMENT_FAILURE") ?? false
    case .stopped: deployment.stop?.rollback ?? false
    default: false
    }
  }

  private static func eventState(_ status: DeploymentState) -> String {
    switch status {
    case .succeeded: "SUCCESS"
    case .stopped: "STOP"
    default: "FAILURE"
    }
  }

  /// The end of a deployment that the region itself cannot carry on with. Hosts that work are not waited for.
  func abandon(_ deploymentId: String, in scope: Scope, because reason: String) async throws -> StoreCommit {
    guard let stored = try await deployment(deploymentId, in: scope), stored.value.isActive else { return StoreCommit() }
    var commit = StoreCommit()
    var after: [TargetRecord] = []
    for target in try await targets(deploymentId, in: scope) {
      var value = target.value
      value.skip(now: clock.now())
      value.fail(reason, cause: .internalError, now: clock.now())
      if value != target.value { try await write(value, was: target, of: stored.value, into: &commit) }
      after.append(value)
    }
    let note = FailureNote(
      code: "INTERNAL_ERROR",
      message: "The region could not carry the deployment on: \(reason) The region's log has the details. Deploy again.")
    let ending = DeploymentRecord.Ending(
      status: .failed, start: stored.value.startTime, time: clock.now(), error: note, overview: overview(after))
    var unrolled = stored.value
    unrolled.autoRollback = nil
    let calm = Stored(scope: stored.scope, id: stored.id, version: stored.version, value: unrolled)
    try await conclude(calm, ending, targets: after, into: &commit)
    return commit
  }
}
