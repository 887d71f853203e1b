import RegionKit
import WireModel

/// The settings that creating and updating a group share. A member that is absent leaves the group as it is.
/// What this region cannot do yet is refused by name, never stored and ignored.
struct GroupSettings {
  let input: Obj<CreateDeploymentGroupInput>

  init(_ input: Obj<CreateDeploymentGroupInput>) { self.input = input }

  func apply(to group: inout DeploymentGroupRecord, _ api: CodeDeployOperations, _ scope: Scope) async throws {
    try refuseWhatIsMissing(hasTraffic: api.engine.traffic != nil)
    if let name = input[.deploymentConfigName] { group.configName = try await api.serverConfig(name, scope).name }
    try applySelection(to: &group.selection)
    if let rollback = input[.autoRollbackConfiguration] { group.autoRollback = try Self.rollback(rollback) }
    if let strategy = input[.outdatedInstancesStrategy] {
      guard strategy == .update || strategy == .ignore else {
        throw CodeDeployErrors.invalidInputException("'\(strategy.rawValue)' is no outdatedInstancesStrategy: UPDATE and IGNORE are.")
      }
      group.outdatedInstancesStrategy = strategy.rawValue
    }
    if let alarms = input[.alarmConfiguration] {
      group.hasAlarmConfiguration = true
      group.alarmNames = (alarms[.alarms] ?? []).compactMap { $0[.name] }
      group.ignorePollAlarmFailure = alarms[.ignorePollAlarmFailure] ?? false
    }
    if let balancers = input[.loadBalancerInfo] { group.loadBalancers = Self.balancers(balancers) }
    try checkStyle(group)
  }

  private func applySelection(to selection: inout TargetSelection) throws {
    if input[.ec2TagFilters]?.isEmpty == false, input[.ec2TagSet]?[.ec2TagSetList]?.isEmpty == false {
      throw CodeDeployErrors.invalidEC2TagCombinationException("Give ec2TagFilters or ec2TagSet, not both.")
    }
    if input[.onPremisesInstanceTagFilters]?.isEmpty == false, input[.onPremisesTagSet]?[.onPremisesTagSetList]?.isEmpty == false {
      throw CodeDeployErrors.invalidOnPremisesTagCombinationException(
        "Give onPremisesInstanceTagFilters or onPremisesTagSet, not both.")
    }
    if let filters = input[.ec2TagFilters] {
      selection.ec2Filters = try filters.map(Self.ec2Filter)
      selection.ec2TagSet = []
    }
    if let set = input[.ec2TagSet] {
      selection.ec2TagSet = try Self.tagSet(set[.ec2TagSetList] ?? [], Self.ec2Filter)
      selection.ec2Filters = []
    }
    if let filters = input[.onPremisesInstanceTagFilters] {
      selection.onPremisesFilters = try filters.map(Self.ownFilter)
      selection.onPremisesTagSet = []
    }
    if let set = input[.onPremisesTagSet] {
      selection.onPremisesTagSet = try Self.tagSet(set[.onPremisesTagSetList] ?? [], Self.ownFilter)
      selection.onPremisesFilters = []
    }
    if let groups = input[.autoScalingGroups] {
      guard groups.count <= 10, groups.allSatisfy({ !$0.isEmpty }) else {
        throw CodeDeployErrors.invalidAutoScalingGroupException("A deployment group takes at most 10 Auto Scaling group names, none empty.")
      }
      selection.autoScalingGroups = groups
    }
  }

  static func ec2Filter(_ filter: Obj<EC2TagFilter>) throws -> TagCondition {
    try CodeDeployOperations.condition(
      key: filter[.key], value: filter[.value], type: filter[.type]?.rawValue, CodeDeployErrors.invalidEC2TagException)
  }
  private static func ownFilter(_ filter: Obj<TagFilter>) throws -> TagCondition {
    try CodeDeployOperations.condition(
      key: filter[.key], value: filter[.value], type: filter[.type]?.rawValue, CodeDeployErrors.invalidTagException)
  }
  static func tagSet<Filter>(
    _ lists: [[Filter]], _ read: (Filter) throws -> TagCondition
  ) throws -> [[TagCondition]] {
    guard lists.count <= 3 else {
      throw CodeDeployErrors.tagSetListLimitExceededException("A tag set has at most 3 lists; this one has \(lists.count).")
    }
    return try lists.filter { !$0.isEmpty }.map { try $0.map(read) }
  }

  static func rollback(_ input: Obj<AutoRollbackConfiguration>) throws -> AutoRollback {
    let events = (input[.events] ?? []).map(\.rawValue)
    let known = ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"]
    if let odd = events.first(where: { !known.contains($0) }) {
      throw CodeDeployErrors.invalidAutoRollbackConfigException("'\(odd)' is no rollback event: \(known.joined(separator: ", ")) are.")
    }
    let enabled = input[.enabled] ?? false
    guard !enabled || !events.isEmpty else {
      throw CodeDeployErrors.invalidAutoRollbackConfigException("An enabled autoRollbackConfiguration names at least one event.")
    }
    return AutoRollback(enabled: enabled, events: events)
  }

  private static func balancers(_ info: Obj<LoadBalancerInfo>) -> [DeploymentGroupRecord.LoadBalancerName] {
    let classic = (info[.elbInfoList] ?? []).compactMap { $0[.name] }
    let groups = (info[.targetGroupInfoList] ?? []).compactMap { $0[.name] }
    return classic.map { .init(kind: "elb", name: $0) } + groups.map { .init(kind: "targetGroup", name: $0) }
  }

  private func refuseWhatIsMissing(hasTraffic: Bool) throws {
    if let triggers = input[.triggerConfigurations], !triggers.isEmpty {
      throw CodeDeployErrors.invalidTriggerConfigException(
        "Triggers need SNS, which is not available in this Roadstead region yet. Leave triggerConfigurations out.")
    }
    try Self.refuseAlarms(input[.alarmConfiguration])
    if let services = input[.ecsServices], !services.isEmpty {
      throw CodeDeployErrors.invalidECSServiceException("ECS deployments are not available in this Roadstead region yet.")
    }
    if input[.terminationHookEnabled] == true {
      throw CodeDeployErrors.invalidInputException(
        "terminationHookEnabled needs Auto Scaling, which is not available in this Roadstead region yet.")
    }
    if let info = input[.loadBalancerInfo] {
      if !(info[.targetGroupPairInfoList] ?? []).isEmpty {
        throw CodeDeployErrors.invalidLoadBalancerInfoException("targetGroupPairInfoList is for ECS, which is not available here yet.")
      }
      if !Self.balancers(info).isEmpty, !hasTraffic {
        throw CodeDeployErrors.invalidLoadBalancerInfoException(
          "Load balancers are not available in this Roadstead region yet. Leave loadBalancerInfo out.")
      }
    }
    if input[.blueGreenDeploymentConfiguration] != nil {
      throw CodeDeployErrors.invalidBlueGreenDeploymentConfigurationException(
        "Blue/green deployments are not available in this Roadstead region yet. Use IN_PLACE.")
    }
  }

  /// Without CloudWatch no alarm can stop a deployment; a list that is switched off may stand.
  static func refuseAlarms(_ alarms: Obj<AlarmConfiguration>?) throws {
    guard let alarms else { return }
    guard (alarms[.alarms] ?? []).count <= 10 else {
      throw CodeDeployErrors.alarmsLimitExceededException("At most 10 alarms can be named.")
    }
    if alarms[.enabled] == true {
      throw CodeDeployErrors.invalidAlarmConfigException(
        "Alarms need CloudWatch, which is not available in this Roadstead region yet. Set enabled to false or leave them out.")
    }
  }

  private func checkStyle(_ group: DeploymentGroupRecord) throws {
    guard let style = input[.deploymentStyle] else { return }
    guard let type = style[.deploymentType], let option = style[.deploymentOption] else {
      throw CodeDeployErrors.invalidDeploymentStyleException("Deployment type or deployment option cannot be null or empty")
    }
    guard option == .withTrafficControl || option == .withoutTrafficControl else {
      throw CodeDeployErrors.invalidDeploymentStyleException(
        "Deployment option can only be WITH_TRAFFIC_CONTROL or WITHOUT_TRAFFIC_CONTROL")
    }
    guard type == .inPlace else {
      throw CodeDeployErrors.invalidDeploymentStyleException(
        "Deployment type \(type.rawValue) is not available in this Roadstead region yet; IN_PLACE is.")
    }
    if option == .withTrafficControl, group.loadBalancers.isEmpty {
      throw CodeDeployErrors.invalidLoadBalancerInfoException("WITH_TRAFFIC_CONTROL needs loadBalancerInfo with a load balancer.")
    }
  }
}
