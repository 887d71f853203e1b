import FoundationEssentials
import Ports
import RegionKit
import RegionStore
import WireModel

extension CodeDeployOperations {
  func createDeployment(_ input: Obj<CreateDeploymentInput>, _ call: Call) async throws -> Obj<CreateDeploymentOutput> {
    let application = try await application(input.fields["applicationName"]?.asString, call).value
    let name = try Check.group(input[.deploymentGroupName])
    // Looked up before the rest, so that a wrong name is what the caller hears of.
    _ = try await group(name, of: application, call.scope)
    let revision = try Self.revision(input.fields["revision"])
    let wishes = try await wishes(input, call)
    let id: String = try await engine.settle {
      let stored = try await group(name, of: application, call.scope)
      let group = stored.value
      if let active = group.activeDeployment {
        throw CodeDeployErrors.deploymentLimitExceededException(
          "The Deployment Group '\(name)' already has an active Deployment '\(active)'")
      }
      let config = try await serverConfig(wishes.config ?? group.configName, call.scope)
      let deployment = DeploymentRecord(
        deploymentId: engine.newDeploymentId(), applicationId: application.applicationId, applicationName: application.name,
        groupId: group.groupId, groupName: group.name, serviceRoleARN: group.serviceRoleARN, configName: config.name,
        minimumHealthyHosts: config.hosts, revision: revision, previousRevision: group.lastSuccessful?.revision,
        description: wishes.description, creator: "user", ignoreApplicationStopFailures: wishes.ignoresStopFailures,
        fileExistsBehavior: wishes.fileExists, updateOutdatedInstancesOnly: wishes.outdatedOnly,
        autoRollback: wishes.rollback ?? group.autoRollback, targetInstances: wishes.targets,
        loadBalancers: group.loadBalancers.map(\.name), checksRevision: await canRead(revision, as: group.serviceRoleARN, call),
        createTime: call.now)
      return (try await create(deployment, stored, application, call), deployment.deploymentId)
    }
    return Obj { $0[.deploymentId] = id }
  }

  private func create(
    _ deployment: DeploymentRecord, _ group: Stored<DeploymentGroupRecord>, _ application: ApplicationRecord, _ call: Call
  ) async throws -> StoreCommit {
    var commit = StoreCommit()
    try commit.put(deployment, in: call.scope, id: deployment.deploymentId, expecting: .absent)
    var busy = group.value
    busy.activeDeployment = deployment.deploymentId
    try commit.put(busy, in: call.scope, id: group.id, expecting: .version(group.version))
    // A revision that is deployed is registered.
    let known = try await registered(deployment.revision, application, call.scope)
    var record = known?.value ?? RevisionRecord(revision: deployment.revision, registerTime: call.now)
    record.firstUsedTime = record.firstUsedTime ?? call.now
    record.lastUsedTime = call.now
    try commit.put(
      record, in: call.scope, id: RevisionRecord.id(application.applicationId, deployment.revision),
      expecting: known.map { .version($0.version) } ?? .absent)
    commit.tasks.append(DeploymentTasks.begin(deployment.deploymentId, call.scope, call.now))
    return commit
  }

  /// What the caller asked for beyond group and revision, checked.
  private struct Wishes {
    var config: String?
    var description: String?
    var ignoresStopFailures = false
    var outdatedOnly = false
    var fileExists = "DISALLOW"
    var rollback: AutoRollback?
    var targets: TargetSelection?
  }

  private func wishes(_ input: Obj<CreateDeploymentInput>, _ call: Call) async throws -> Wishes {
    var wishes = Wishes()
    if let config = input[.deploymentConfigName] { wishes.config = try await serverConfig(config, call.scope).name }
    wishes.description = try Check.description(input[.description])
    wishes.ignoresStopFailures = input[.ignoreApplicationStopFailures] ?? false
    wishes.outdatedOnly = input[.updateOutdatedInstancesOnly] ?? false
    if let behavior = input[.fileExistsBehavior] {
      guard [FileExistsBehavior.disallow, .overwrite, .retain].contains(behavior) else {
        throw CodeDeployErrors.invalidFileExistsBehaviorException(
          "'\(behavior.rawValue)' is no fileExistsBehavior: DISALLOW, OVERWRITE and RETAIN are.")
      }
      wishes.fileExists = behavior.rawValue
    }
    wishes.rollback = try input[.autoRollbackConfiguration].map(GroupSettings.rollback)
    try GroupSettings.refuseAlarms(input[.overrideAlarmConfiguration])
    wishes.targets = try input[.targetInstances].map(Self.selection)
    return wishes
  }

  private static func selection(_ input: Obj<TargetInstances>) throws -> TargetSelection {
    let refused = CodeDeployErrors.invalidTargetInstancesException
    var selection = TargetSelection()
    do {
      selection.ec2Filters = try (input[.tagFilters] ?? []).map(GroupSettings.ec2Filter)
      selection.ec2TagSet = try GroupSettings.tagSet(input[.ec2TagSet]?[.ec2TagSetList] ?? [], GroupSettings.ec2Filter)
    } catch let error as AWSError {
      throw refused(error.message)
    }
    selection.autoScalingGroups = input[.autoScalingGroups] ?? []
    guard selection.ec2Filters.isEmpty || selection.ec2TagSet.isEmpty else {
      throw refused("targetInstances takes tagFilters or ec2TagSet, not both.")
    }
    guard !selection.isEmpty else { throw refused("targetInstances names no instances: give tagFilters, ec2TagSet or autoScalingGroups.") }
    return selection
  }

  /// Whether the group's service role may read the bundle. If so the region looks for it before it touches a host; if not, only the
  /// agents can tell, and the region must not tell the caller of objects that neither may see.
  private func canRead(_ revision: Revision, as role: String, _ call: Call) async -> Bool {
    guard case .s3(let s3) = revision else { return false }
    let action = s3.version == nil ? "s3:GetObject" : "s3:GetObjectVersion"
    do {
      let principal = try await engine.roles.servicePrincipal(
        roleARN: role, service: "codedeploy.amazonaws.com", sessionName: "CodeDeploy", account: call.account)
      try await call.authorizer.authorize(
        AuthorizationRequest(action, on: "arn:aws:s3:::\(s3.bucket)/\(s3.key)"), principal: principal, facts: call.facts)
      return true
    } catch {
      return false
    }
  }
}
