import FoundationEssentials
import RegionKit
import RegionStore
import WireModel

extension CodeDeployOperations {
  func getDeployment(_ input: Obj<GetDeploymentInput>, _ call: Call) async throws -> Obj<GetDeploymentOutput> {
    let stored = try await deployment(input.fields["deploymentId"]?.asString, call)
    let info = try await describe(stored.value, call.scope)
    return Obj { $0[.deploymentInfo] = info }
  }

  func batchGetDeployments(
    _ input: Obj<BatchGetDeploymentsInput>, _ call: Call
  ) async throws -> Obj<BatchGetDeploymentsOutput> {
    let ids = try Check.batch(input[.deploymentIds], limit: 25, CodeDeployErrors.deploymentIdRequiredException, "deploymentIds")
    var found: [Obj<DeploymentInfo>] = []
    for id in ids {
      // AWS leaves out what it does not know.
      guard let known = try await engine.deployment(try Check.deploymentId(id), in: call.scope) else { continue }
      found.append(try await describe(known.value, call.scope))
    }
    return Obj { $0[.deploymentsInfo] = found }
  }

  /// Newest first.
  func listDeployments(_ input: Obj<ListDeploymentsInput>, _ call: Call) async throws -> Obj<ListDeploymentsOutput> {
    if let external = input[.externalId], !external.isEmpty {
      throw CodeDeployErrors.invalidExternalIdException("externalId is for deployments made by CloudFormation, of which there are none.")
    }
    var query = StoreQuery()
    if let name = input[.applicationName] {
      let application = try await application(name, call).value
      if let groupName = input[.deploymentGroupName] {
        query.index = ("group", try await group(try Check.group(groupName), of: application, call.scope).value.groupId)
      } else {
        query.index = ("application", application.applicationId)
      }
    } else if input[.deploymentGroupName] != nil {
      throw CodeDeployErrors.applicationNameRequiredException("deploymentGroupName needs applicationName beside it.")
    }
    var records = try await store.list(DeploymentRecord.self, in: call.scope, query).map(\.value)
    let statuses = Set((input[.includeOnlyStatuses] ?? []).map(\.rawValue))
    if let odd = statuses.first(where: { DeploymentState(rawValue: $0) == nil }) {
      throw CodeDeployErrors.invalidDeploymentStatusException("'\(odd)' is no deployment status.")
    }
    if !statuses.isEmpty { records = records.filter { statuses.contains($0.status.rawValue) } }
    let (start, end) = (input[.createTimeRange]?[.start], input[.createTimeRange]?[.end])
    if let start, let end, start > end {
      throw CodeDeployErrors.invalidTimeRangeException("createTimeRange begins after it ends.")
    }
    if let start { records = records.filter { $0.createTime >= start } }
    if let end { records = records.filter { $0.createTime <= end } }
    records.sort { ($0.createTime, $0.deploymentId) > ($1.createTime, $1.deploymentId) }
    let range = "\(start?.timeIntervalSince1970 ?? 0) \(end?.timeIntervalSince1970 ?? 0)"
    let binding = "ListDeployments \(call.scope) \(query.index?.value ?? "") \(statuses.sorted().joined(separator: ",")) \(range)"
    let page = try Page(records, token: input[.nextToken], binding: binding) { $0.deploymentId }
    return Obj {
      $0[.deployments] = page.elements.map(\.deploymentId)
      $0[.nextToken] = page.nextToken
    }
  }

  func stopDeployment(_ input: Obj<StopDeploymentInput>, _ call: Call) async throws -> Obj<StopDeploymentOutput> {
    let id = try Check.deploymentId(input.fields["deploymentId"]?.asString)
    try await engine.settle {
      let stored = try await deployment(id, call)
      var deployment = stored.value
      guard deployment.isActive else { throw Self.completed(deployment) }
      guard deployment.stop == nil else { return (nil, ()) }
      let rollback = input[.autoRollbackEnabled] ?? (deployment.autoRollback?.covers("DEPLOYMENT_STOP_ON_REQUEST") ?? false)
      deployment.stop = DeploymentRecord.StopRequest(time: call.now, by: call.principal.arn, rollback: rollback)
      var commit = StoreCommit()
      try commit.put(deployment, in: call.scope, id: id, expecting: .version(stored.version))
      commit.tasks.append(DeploymentTasks.advance(id, because: "stop", call.scope, call.now))
      return (commit, ())
    }
    return Obj {
      $0[.status] = .pending
      $0[.statusMessage] =
        "The stop is pending: lifecycle events that run now may finish, everything after them is skipped. See get-deployment."
    }
  }

  /// Only a blue/green deployment waits to be continued, and there are none yet; the answers are AWS's for all others.
  func continueDeployment(_ input: Obj<ContinueDeploymentInput>, _ call: Call) async throws -> Obj<NoMembers> {
    let stored = try await deployment(input[.deploymentId], call)
    if let type = input[.deploymentWaitType], ![.readyWait, .terminationWait].contains(type) {
      throw CodeDeployErrors.invalidDeploymentWaitTypeException("'\(type.rawValue)' is no wait type: READY_WAIT and TERMINATION_WAIT are.")
    }
    guard stored.value.isActive else { throw Self.completed(stored.value) }
    throw CodeDeployErrors.deploymentIsNotInReadyStateException(
      "Deployment \(stored.id) is \(stored.value.status.rawValue); only one that is Ready can be continued.")
  }

  private static func completed(_ deployment: DeploymentRecord) -> AWSError {
    CodeDeployErrors.deploymentAlreadyCompletedException(
      "Deployment \(deployment.deploymentId) has ended already: \(deployment.status.rawValue).")
  }

  func deployment(_ id: String?, _ call: Call) async throws -> Stored<DeploymentRecord> {
    let id = try Check.deploymentId(id)
    guard let stored = try await engine.deployment(id, in: call.scope) else {
      throw CodeDeployErrors.deploymentDoesNotExistException("The deployment \(id) could not be found.")
    }
    return stored
  }

  private func describe(_ deployment: DeploymentRecord, _ scope: Scope) async throws -> Obj<DeploymentInfo> {
    let overview: [String: Int] =
      if let ending = deployment.ending {
        ending.overview
      } else {
        engine.overview(try await engine.targets(deployment.deploymentId, in: scope).map(\.value))
      }
    return Obj { info in
      info[.applicationName] = deployment.applicationName
      info[.deploymentGroupName] = deployment.groupName
      info[.deploymentConfigName] = deployment.configName
      info[.deploymentId] = deployment.deploymentId
      info[.previousRevision] = deployment.previousRevision.map(Self.location)
      info[.revision] = Self.location(deployment.revision)
      info[.status] = DeploymentStatus(rawValue: deployment.status.rawValue)
      info[.createTime] = deployment.createTime
      info[.startTime] = deployment.startTime
      info[.completeTime] = deployment.ending?.time
      info[.description] = deployment.description
      info[.creator] = DeploymentCreator(rawValue: deployment.creator)
      info[.ignoreApplicationStopFailures] = deployment.ignoreApplicationStopFailures
      info[.updateOutdatedInstancesOnly] = deployment.updateOutdatedInstancesOnly
      info[.fileExistsBehavior] = FileExistsBehavior(rawValue: deployment.fileExistsBehavior)
      info[.autoRollbackConfiguration] = deployment.autoRollback.map(Self.rollback)
      info[.instanceTerminationWaitTimeStarted] = false
      info[.deploymentStatusMessages] = []
      info[.computePlatform] = .server
      info[.deploymentStyle] = Self.style(isBalanced: !deployment.loadBalancers.isEmpty)
      info[.deploymentOverview] = Self.overview(overview)
      Self.describeOutcome(of: deployment, in: &info)
    }
  }

  private static func describeOutcome(of deployment: DeploymentRecord, in info: inout Obj<DeploymentInfo>) {
    if let error = deployment.ending?.error {
      info[.errorInformation] = Obj {
        $0[.code] = CodeDeployErrorCode(rawValue: error.code)
        $0[.message] = error.message
      }
    }
    if let links = deployment.rollback {
      info[.rollbackInfo] = Obj {
        $0[.rollbackDeploymentId] = links.rollbackDeploymentId
        $0[.rollbackTriggeringDeploymentId] = links.triggeringDeploymentId
        $0[.rollbackMessage] = links.message
      }
    }
    if let targets = deployment.targetInstances {
      info[.targetInstances] = Obj { wanted in
        wanted[.tagFilters] = targets.ec2Filters.map(ec2Filter)
        wanted[.autoScalingGroups] = targets.autoScalingGroups
        if !targets.ec2TagSet.isEmpty {
          wanted[.ec2TagSet] = Obj { $0[.ec2TagSetList] = targets.ec2TagSet.map { $0.map(ec2Filter) } }
        }
      }
    }
  }

  private static func overview(_ counts: [String: Int]) -> Obj<DeploymentOverview> {
    Obj {
      $0[.pending] = counts["Pending"] ?? 0
      $0[.inProgress] = counts["InProgress"] ?? 0
      $0[.succeeded] = counts["Succeeded"] ?? 0
      $0[.failed] = counts["Failed"] ?? 0
      $0[.skipped] = counts["Skipped"] ?? 0
      $0[.ready] = 0
    }
  }
}
