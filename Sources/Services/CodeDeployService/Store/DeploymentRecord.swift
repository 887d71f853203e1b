import FoundationEssentials
import RegionStore

enum DeploymentState: String, Codable, Sendable, CaseIterable {
  case created = "Created", queued = "Queued", inProgress = "InProgress", baking = "Baking", ready = "Ready"
  case succeeded = "Succeeded", failed = "Failed", stopped = "Stopped"
}

struct AutoRollback: Codable, Hashable, Sendable {
  var enabled: Bool
  var events: [String]
  func covers(_ event: String) -> Bool { enabled && events.contains(event) }
}

struct TagCondition: Codable, Hashable, Sendable {
  /// `KEY_ONLY`, `VALUE_ONLY` or `KEY_AND_VALUE`.
  var type: String
  var key: String?
  var value: String?
}

/// Which hosts a group (or one deployment in its place) means: the union of what each part matches.
struct TargetSelection: Codable, Hashable, Sendable {
  /// Any of them matches.
  var ec2Filters: [TagCondition] = []
  /// One of each list must match.
  var ec2TagSet: [[TagCondition]] = []
  var onPremisesFilters: [TagCondition] = []
  var onPremisesTagSet: [[TagCondition]] = []
  var autoScalingGroups: [String] = []
}

struct FailureNote: Codable, Hashable, Sendable {
  var code: String
  var message: String
}

struct RollbackLinks: Codable, Hashable, Sendable {
  /// The deployment that rolls this one back.
  var rollbackDeploymentId: String?
  /// The deployment that this one rolls back.
  var triggeringDeploymentId: String?
  var message: String?
}

/// A deployment. It carries all it needs, so that a changed or deleted group does not steer one that runs.
struct DeploymentRecord: StoredRecord, Equatable {
  static let collection = "codedeploy.deployment"

  enum Phase: Codable, Hashable, Sendable {
    case created
    case running(Running)
    case ended(Ending)
  }
  struct Running: Codable, Hashable, Sendable {
    var start: Date
    var rule: HealthRule
  }
  struct Ending: Codable, Hashable, Sendable {
    var status: DeploymentState
    var start: Date?
    var time: Date
    var error: FailureNote?
    /// Targets by status.
    var overview: [String: Int]
  }
  struct StopRequest: Codable, Hashable, Sendable {
    var time: Date
    var by: String
    var rollback: Bool
  }

  var deploymentId: String
  var applicationId: String
  var applicationName: String
  var groupId: String
  var groupName: String
  var serviceRoleARN: String
  var configName: String
  var minimumHealthyHosts: HealthyHostsSpec
  var revision: Revision
  var previousRevision: Revision?
  var description: String?
  /// AWS's `DeploymentCreator`: `user` or `codeDeployRollback`.
  var creator: String
  var ignoreApplicationStopFailures: Bool
  var fileExistsBehavior: String
  var updateOutdatedInstancesOnly: Bool
  var autoRollback: AutoRollback?
  /// The hosts given with the deployment, in place of the group's.
  var targetInstances: TargetSelection?
  var loadBalancers: [String]
  /// The service role may read the bundle, so the region looks for it before it starts.
  var checksRevision: Bool
  var createTime: Date
  var stop: StopRequest?
  var rollback: RollbackLinks?
  var phase: Phase = .created

  var indexValues: [String: String] { ["application": applicationId, "group": groupId] }

  var status: DeploymentState {
    switch phase {
    case .created: .created
    case .running: .inProgress
    case .ended(let ending): ending.status
    }
  }
  var isActive: Bool { if case .ended = phase { false } else { true } }
  var startTime: Date? {
    switch phase {
    case .created: nil
    case .running(let running): running.start
    case .ended(let ending): ending.start
    }
  }
  var ending: Ending? { if case .ended(let ending) = phase { ending } else { nil } }
}
