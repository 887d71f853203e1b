import FoundationEssentials
import Ports
import RegionKit
import RegionStore
import WireModel

extension CodeDeployOperations {
  func createDeploymentGroup(
    _ input: Obj<CreateDeploymentGroupInput>, _ call: Call
  ) async throws -> Obj<CreateDeploymentGroupOutput> {
    let application = try await application(input.fields["applicationName"]?.asString, call).value
    let name = try Check.group(input.fields["deploymentGroupName"]?.asString)
    guard let role = input.fields["serviceRoleArn"]?.asString, !role.isEmpty else {
      throw CodeDeployErrors.roleRequiredException("serviceRoleArn is required.")
    }
    try await checkRole(role, call)
    var record = DeploymentGroupRecord(
      groupId: call.random.uuid(), applicationId: application.applicationId, name: name,
      configName: BuiltInConfigs.prefix + "OneAtATime", serviceRoleARN: role, selection: TargetSelection(), autoRollback: nil,
      outdatedInstancesStrategy: nil, alarmNames: [], ignorePollAlarmFailure: false, hasAlarmConfiguration: false,
      loadBalancers: [], tags: try Check.tags(input[.tags] ?? []))
    try await GroupSettings(input).apply(to: &record, self, call.scope)
    var commit = StoreCommit()
    try commit.put(record, in: call.scope, id: record.id, expecting: .absent)
    commit.require(ApplicationRecord.self, in: call.scope, id: application.name, .present)
    do {
      try await store.commit(commit)
    } catch let conflict as StoreConflict where conflict.key.collection == DeploymentGroupRecord.collection {
      throw CodeDeployErrors.deploymentGroupAlreadyExistsException("Deployment group already exists: \(name)")
    }
    return Obj { $0[.deploymentGroupId] = record.groupId }
  }

  func updateDeploymentGroup(
    _ input: Obj<UpdateDeploymentGroupInput>, _ call: Call
  ) async throws -> Obj<UpdateDeploymentGroupOutput> {
    let application = try await application(input.fields["applicationName"]?.asString, call).value
    let old = try Check.group(input.fields["currentDeploymentGroupName"]?.asString)
    let new = try input[.newDeploymentGroupName].map { try Check.group($0) } ?? old
    if let role = input[.serviceRoleArn] { try await checkRole(role, call) }
    // The settings have the same names in both inputs.
    let settings = GroupSettings(Obj<CreateDeploymentGroupInput>(fields: input.fields))
    try await engine.settle {
      let stored = try await group(old, of: application, call.scope)
      var record = stored.value
      record.name = new
      if let role = input[.serviceRoleArn] { record.serviceRoleARN = role }
      try await settings.apply(to: &record, self, call.scope)
      var commit = StoreCommit()
      if new == old {
        try commit.put(record, in: call.scope, id: stored.id, expecting: .version(stored.version))
      } else {
        guard try await store.get(DeploymentGroupRecord.self, in: call.scope, id: record.id) == nil else {
          throw CodeDeployErrors.deploymentGroupAlreadyExistsException("Deployment group already exists: \(new)")
        }
        commit.delete(DeploymentGroupRecord.self, in: call.scope, id: stored.id, expecting: .version(stored.version))
        try commit.put(record, in: call.scope, id: record.id, expecting: .absent)
      }
      return (commit, ())
    }
    return Obj { $0[.hooksNotCleanedUp] = [] }
  }

  func deleteDeploymentGroup(
    _ input: Obj<DeleteDeploymentGroupInput>, _ call: Call
  ) async throws -> Obj<DeleteDeploymentGroupOutput> {
    let application = try await application(input.fields["applicationName"]?.asString, call).value
    let name = try Check.group(input.fields["deploymentGroupName"]?.asString)
    try await engine.settle {
      let id = DeploymentGroupRecord.id(application.applicationId, name)
      guard let stored = try await store.get(DeploymentGroupRecord.self, in: call.scope, id: id) else { return (nil, ()) }
      var commit = StoreCommit()
      commit.delete(DeploymentGroupRecord.self, in: call.scope, id: id, expecting: .version(stored.version))
      try await forgetHosts(of: stored.value, call.scope, into: &commit)
      return (commit, ())
    }
    return Obj { $0[.hooksNotCleanedUp] = [] }
  }

  /// What a group remembers of its hosts goes with it.
  func forgetHosts(of group: DeploymentGroupRecord, _ scope: Scope, into commit: inout StoreCommit) async throws {
    for state in try await store.list(HostStateRecord.self, in: scope, StoreQuery(prefix: group.groupId + "/")) {
      commit.delete(HostStateRecord.self, in: scope, id: state.id)
    }
  }

  func getDeploymentGroup(
    _ input: Obj<GetDeploymentGroupInput>, _ call: Call
  ) async throws -> Obj<GetDeploymentGroupOutput> {
    let application = try await application(input.fields["applicationName"]?.asString, call).value
    let name = try Check.group(input.fields["deploymentGroupName"]?.asString)
    let group = try await group(name, of: application, call.scope).value
    let info = try await describe(group, application, call.scope)
    return Obj { $0[.deploymentGroupInfo] = info }
  }

  func batchGetDeploymentGroups(
    _ input: Obj<BatchGetDeploymentGroupsInput>, _ call: Call
  ) async throws -> Obj<BatchGetDeploymentGroupsOutput> {
    let application = try await application(input.fields["applicationName"]?.asString, call).value
    let names = try Check.batch(
      input[.deploymentGroupNames], limit: 100, CodeDeployErrors.deploymentGroupNameRequiredException, "deploymentGroupNames")
    var found: [Obj<DeploymentGroupInfo>] = []
    var missing: [String] = []
    for name in names {
      let id = DeploymentGroupRecord.id(application.applicationId, try Check.group(name))
      if let group = try await store.get(DeploymentGroupRecord.self, in: call.scope, id: id)?.value {
        found.append(try await describe(group, application, call.scope))
      } else {
        missing.append(name)
      }
    }
    return Obj {
      $0[.deploymentGroupsInfo] = found
      if !missing.isEmpty { $0[.errorMessage] = "No Deployment Group found for name: " + missing.joined(separator: ", ") }
    }
  }

  func listDeploymentGroups(
    _ input: Obj<ListDeploymentGroupsInput>, _ call: Call
  ) async throws -> Obj<ListDeploymentGroupsOutput> {
    let application = try await application(input.fields["applicationName"]?.asString, call).value
    let names = try await groups(of: application, call.scope).map(\.name)
    let page = try Page(names, token: input[.nextToken], binding: "ListDeploymentGroups \(application.applicationId)") { $0 }
    return Obj {
      $0[.applicationName] = application.name
      $0[.deploymentGroups] = page.elements
      $0[.nextToken] = page.nextToken
    }
  }

  func groups(of application: ApplicationRecord, _ scope: Scope) async throws -> [DeploymentGroupRecord] {
    let query = StoreQuery(prefix: application.applicationId + "/")
    return try await store.list(DeploymentGroupRecord.self, in: scope, query).map(\.value)
  }

  func group(
    _ name: String, of application: ApplicationRecord, _ scope: Scope
  ) async throws -> Stored<DeploymentGroupRecord> {
    let id = DeploymentGroupRecord.id(application.applicationId, name)
    guard let stored = try await store.get(DeploymentGroupRecord.self, in: scope, id: id) else {
      throw CodeDeployErrors.deploymentGroupDoesNotExistException("No Deployment Group found for name: \(name)")
    }
    return stored
  }

  /// The caller may hand the role to CodeDeploy, and CodeDeploy may use it.
  private func checkRole(_ role: String, _ call: Call) async throws {
    guard let arn = ARN(role), arn.service == "iam", arn.resource.hasPrefix("role/") else {
      throw CodeDeployErrors.invalidRoleException("'\(role)' is no ARN of an IAM role.")
    }
    try await call.authorize(
      AuthorizationRequest("iam:PassRole", on: role, context: ["iam:PassedToService": ["codedeploy.amazonaws.com"]]))
    guard try await engine.roles.canAssume(roleARN: role, service: "codedeploy.amazonaws.com", account: call.account) else {
      throw CodeDeployErrors.invalidRoleException(
        "Cannot assume role provided. \(role) must exist and its trust policy must allow codedeploy.amazonaws.com to sts:AssumeRole.")
    }
  }
}
