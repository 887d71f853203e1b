import FoundationEssentials
import Ports
import RegionKit
import RegionStore

/// The lifecycle of an instance. Codes and names are EC2's own.
/// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html
enum LifeState: String, Codable, Sendable, CaseIterable {
  case pending, running
  case shuttingDown = "shutting-down"
  case terminated, stopping, stopped

  var code: Int {
    switch self {
    case .pending: 0
    case .running: 16
    case .shuttingDown: 32
    case .terminated: 48
    case .stopping: 64
    case .stopped: 80
    }
  }
}

/// Why an instance is where it is, as `StateReason` shows it.
struct LifeReason: Codable, Sendable, Equatable {
  /// The code of an instance that could not be ended.
  static let stuck = "Server.InternalError"
  var code: String
  var message: String
}

/// An instance, which is also its machine: the record's version is the transition number.
struct InstanceRecord: StoredRecord, Equatable {
  static let collection = "ec2.instance"

  var instanceId: String
  var reservationId: String
  var imageId: String
  var instanceType: String
  var launchIndex: Int
  var vpcId: String
  var subnetId: String
  var availabilityZone: String
  var privateIP: String
  var networkInterfaceId: String
  var macAddress: String
  var securityGroupIds: [String]
  var userData: [UInt8]
  var clientToken: String?
  var profile: InstanceProfileSummary?
  var profileAssociationId: String?
  var tags: [String: String]
  var launchTime: Date
  var state: LifeState
  var stateReason: LifeReason?
  /// `User initiated (2026-11-22 20:00:00 GMT)` and the like.
  var transitionReason: String
  /// True until the writable layer exists; a start after a stop keeps it.
  var neverLaunched: Bool
  var handle: InstanceHandle?
  var tokensRequired: Bool
  var disableApiTermination: Bool
  var disableApiStop: Bool
  var shutdownBehavior: String
  /// True from RebootInstances until its processes are gone: their end is then no shutdown.
  var rebooting: Bool?

  var indexValues: [String: String] {
    var values = ["state": state.rawValue, "subnet": subnetId]
    if let clientToken { values["token"] = clientToken }
    return values
  }
}

/// Addresses are unique over the whole home, because all accounts and regions share one bridge.
struct AddressRecord: StoredRecord {
  static let collection = "ec2.address"
  /// Where such records are kept: no account's own.
  static let scope = Scope(account: AccountID("000000000000"), region: .global)
  var instanceId: String
  var owner: Scope
}

struct SecurityGroupRecord: StoredRecord, Equatable {
  static let collection = "ec2.security-group"
  var groupId: String
  var groupName: String
  var description: String
  var vpcId: String
  var tags: [String: String]
  var indexValues: [String: String] { ["name": "\(vpcId)/\(groupName)"] }
}

/// The default VPC of one account and region; its ids are made once.
struct VPCRecord: StoredRecord, Equatable {
  static let collection = "ec2.vpc"
  var vpcId: String
  var cidr: String
  var isDefault: Bool
  var subnets: [SubnetRecord]
  var tags: [String: String]
}

struct SubnetRecord: Codable, Sendable, Equatable {
  var subnetId: String
  var cidr: String
  var availabilityZone: String
  var availabilityZoneId: String
  var tags: [String: String]
}
