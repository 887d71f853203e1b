import FoundationEssentials
import RegionKit
import RegionStore
import WireModel

extension CodeDeployOperations {
  func describe(
    _ group: DeploymentGroupRecord, _ application: ApplicationRecord, _ scope: Scope
  ) async throws -> Obj<DeploymentGroupInfo> {
    var attempted = group.lastAttempted
    // The last attempt may be the one that runs now.
    if let active = group.activeDeployment, let deployment = try await engine.deployment(active, in: scope)?.value {
      attempted = DeploymentGroupRecord.Attempt(
        deploymentId: active, status: deployment.status, createTime: deployment.createTime, endTime: deployment.ending?.time,
        revision: deployment.revision, fileExistsBehavior: deployment.fileExistsBehavior)
    }
    return Obj { info in
      info[.applicationName] = application.name
      info[.deploymentGroupId] = group.groupId
      info[.deploymentGroupName] = group.name
      info[.deploymentConfigName] = group.configName
      info[.serviceRoleArn] = group.serviceRoleARN
      info[.targetRevision] = group.lastSuccessful.map { Self.location($0.revision) }
      info[.triggerConfigurations] = []
      info[.computePlatform] = ComputePlatform(rawValue: application.computePlatform)
      info[.terminationHookEnabled] = false
      info[.outdatedInstancesStrategy] = group.outdatedInstancesStrategy.map { OutdatedInstancesStrategy(rawValue: $0) }
      info[.autoRollbackConfiguration] = group.autoRollback.map(Self.rollback)
      info[.lastSuccessfulDeployment] = group.lastSuccessful.map(Self.attempt)
      info[.lastAttemptedDeployment] = attempted.map(Self.attempt)
      info[.deploymentStyle] = Self.style(isBalanced: !group.loadBalancers.isEmpty)
      Self.describe(group.selection, in: &info)
      if group.hasAlarmConfiguration {
        info[.alarmConfiguration] = Obj {
          $0[.enabled] = false
          $0[.ignorePollAlarmFailure] = group.ignorePollAlarmFailure
          $0[.alarms] = group.alarmNames.map { name in Obj { $0[.name] = name } }
        }
      }
      if !group.loadBalancers.isEmpty { info[.loadBalancerInfo] = Self.balancers(group.loadBalancers) }
    }
  }

  private static func describe(_ selection: TargetSelection, in info: inout Obj<DeploymentGroupInfo>) {
    info[.ec2TagFilters] = selection.ec2Filters.map(ec2Filter)
    info[.onPremisesInstanceTagFilters] = selection.onPremisesFilters.map(ownFilter)
    info[.autoScalingGroups] = selection.autoScalingGroups.map { name in Obj { $0[.name] = name } }
    if !selection.ec2TagSet.isEmpty {
      info[.ec2TagSet] = Obj { $0[.ec2TagSetList] = selection.ec2TagSet.map { $0.map(ec2Filter) } }
    }
    if !selection.onPremisesTagSet.isEmpty {
      info[.onPremisesTagSet] = Obj { $0[.onPremisesTagSetList] = selection.onPremisesTagSet.map { $0.map(ownFilter) } }
    }
  }

  static func ec2Filter(_ filter: TagCondition) -> Obj<EC2TagFilter> {
    Obj {
      $0[.key] = filter.key
      $0[.value] = filter.value
      $0[.type] = EC2TagFilterType(rawValue: filter.type)
    }
  }
  private static func ownFilter(_ filter: TagCondition) -> Obj<TagFilter> {
    Obj {
      $0[.key] = filter.key
      $0[.value] = filter.value
      $0[.type] = TagFilterType(rawValue: filter.type)
    }
  }

  static func rollback(_ rollback: AutoRollback) -> Obj<AutoRollbackConfiguration> {
    Obj {
      $0[.enabled] = rollback.enabled
      $0[.events] = rollback.events.map { AutoRollbackEvent(rawValue: $0) }
    }
  }

  static func style(isBalanced: Bool) -> Obj<DeploymentStyle> {
    Obj {
      $0[.deploymentType] = .inPlace
      $0[.deploymentOption] = isBalanced ? .withTrafficControl : .withoutTrafficControl
    }
  }

  private static func attempt(_ attempt: DeploymentGroupRecord.Attempt) -> Obj<LastDeploymentInfo> {
    Obj {
      $0[.deploymentId] = attempt.deploymentId
      $0[.status] = DeploymentStatus(rawValue: attempt.status.rawValue)
      $0[.createTime] = attempt.createTime
      $0[.endTime] = attempt.endTime
    }
  }

  private static func balancers(_ names: [DeploymentGroupRecord.LoadBalancerName]) -> Obj<LoadBalancerInfo> {
    Obj { info in
      info[.elbInfoList] = names.filter { $0.kind == "elb" }.map { name in Obj { $0[.name] = name.name } }
      info[.targetGroupInfoList] = names.filter { $0.kind == "targetGroup" }.map { name in Obj { $0[.name] = name.name } }
    }
  }
}
