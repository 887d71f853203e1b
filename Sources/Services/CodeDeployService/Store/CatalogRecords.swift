import FoundationEssentials
import RegionStore

/// Id: the application's name.
struct ApplicationRecord: StoredRecord, Equatable {
  static let collection = "codedeploy.application"
  var applicationId: String
  var name: String
  /// `Server`, `Lambda` or `ECS`.
  var computePlatform: String
  var createTime: Date
  var tags: [String: String]
}

/// Id: `<application uuid>/<group name>`, so that renaming an application moves nothing else.
struct DeploymentGroupRecord: StoredRecord, Equatable {
  static let collection = "codedeploy.deploymentgroup"

  struct Attempt: Codable, Hashable, Sendable {
    var deploymentId: String
    var status: DeploymentState
    var createTime: Date
    var endTime: Date?
    var revision: Revision
    var fileExistsBehavior: String
  }

  var groupId: String
  var applicationId: String
  var name: String
  var configName: String
  var serviceRoleARN: String
  var selection: TargetSelection
  /// What the caller gave as `ec2TagFilters`/`onPremisesInstanceTagFilters` and not as tag sets is in `selection` too.
  var autoRollback: AutoRollback?
  var outdatedInstancesStrategy: String?
  var alarmNames: [String]
  var ignorePollAlarmFailure: Bool
  var hasAlarmConfiguration: Bool
  var loadBalancers: [LoadBalancerName]
  var tags: [String: String]
  var lastSuccessful: Attempt?
  var lastAttempted: Attempt?
  /// At most one deployment of a group is active.
  var activeDeployment: String?

  struct LoadBalancerName: Codable, Hashable, Sendable {
    /// `elb` or `targetGroup`.
    var kind: String
    var name: String
  }

  static func id(_ applicationId: String, _ name: String) -> String { applicationId + "/" + name }
  var id: String { Self.id(applicationId, name) }
  var indexValues: [String: String] { ["groupId": groupId, "config": configName] }
}

/// Id: the configuration's name. The built-in ones are not stored.
struct DeploymentConfigRecord: StoredRecord, Equatable {
  static let collection = "codedeploy.deploymentconfig"
  var configId: String
  var name: String
  var computePlatform: String
  var minimumHealthyHosts: HealthyHostsSpec?
  var traffic: TrafficRouting?
  var createTime: Date
}

/// How Lambda and ECS deployments shift traffic.
struct TrafficRouting: Codable, Hashable, Sendable {
  /// `AllAtOnce`, `TimeBasedCanary` or `TimeBasedLinear`.
  var type: String
  var percentage: Int?
  /// Minutes.
  var interval: Int?
}

/// Id: `<application uuid>/<revision identity>`.
struct RevisionRecord: StoredRecord, Equatable {
  static let collection = "codedeploy.revision"
  var revision: Revision
  var description: String?
  var registerTime: Date
  var firstUsedTime: Date?
  var lastUsedTime: Date?
  static func id(_ applicationId: String, _ revision: Revision) -> String { applicationId + "/" + revision.identity }
}

/// Id: the instance's name. A deregistered instance stays readable, as AWS keeps it.
struct OnPremisesRecord: StoredRecord, Equatable {
  static let collection = "codedeploy.onpremises"
  var name: String
  var iamUserARN: String?
  var iamSessionARN: String?
  var registerTime: Date
  var deregisterTime: Date?
  var tags: [String: String]
  var isRegistered: Bool { deregisterTime == nil }
  var iamARN: String { iamSessionARN ?? iamUserARN ?? "" }
}

/// Which registered instance an IAM identity belongs to. Id: the ARN. At most one instance has an identity.
struct OnPremisesIdentityRecord: StoredRecord, Equatable {
  static let collection = "codedeploy.onpremises.identity"
  var name: String
}
