import FoundationEssentials
import RegionKit
import RegionStore

/// A key and value attached to a user, role, policy or instance profile.
struct TagRecord: Codable, Sendable, Equatable {
  var key: String
  var value: String
}

/// What users, roles, groups, instance profiles and policies have in common.
protocol NamedRecord: StoredRecord {
  var name: String { get }
  var path: String { get }
  /// The unique id, e.g. `AIDA…`.
  var id: String { get }
  var created: Date { get }
  /// How the resource part of its ARN begins: `user`, `role`, …
  static var noun: String { get }
}

extension NamedRecord {
  /// Names are unique without regard to case, so the record lies under the name in lower case.
  static func key(_ name: String) -> String { name.asciiLowercased }
  func arn(_ account: AccountID) -> String { Self.arn(account, path: path, name: name) }
  static func arn(_ account: AccountID, path: String, name: String) -> String {
    "arn:aws:iam::\(account):\(noun)\(path)\(name)"
  }
}

/// A user, role or group: what policies can be attached to.
protocol PolicyHolder: NamedRecord {
  /// ARNs of attached managed policies, in the order they came.
  var attached: [String] { get set }
  /// Inline policies by name, JSON text.
  var inline: [String: String] { get set }
  static var limits: HolderLimits { get }
}

/// A user or role: what a permissions boundary and tags can be set on.
protocol BoundedHolder: PolicyHolder, TaggedRecord {
  var boundary: String? { get set }
}

protocol TaggedRecord: NamedRecord {
  var tags: [TagRecord] { get set }
}

/// AWS's quotas for one kind of holder.
struct HolderLimits: Sendable {
  /// Managed policies that may be attached (default quota 10).
  let attached: Int
  let attachedQuota: String
  /// All inline policies together, characters without white space.
  let inlineCharacters: Int
}

struct UserRecord: BoundedHolder {
  static let collection = "iam.user"
  static let noun = "user"
  static let limits = HolderLimits(attached: 10, attachedQuota: "PoliciesPerUser", inlineCharacters: 2_048)
  var name: String
  var path: String
  var id: String
  var created: Date
  var tags: [TagRecord] = []
  var boundary: String?
  var attached: [String] = []
  var inline: [String: String] = [:]
  /// Names of its groups.
  var groups: [String] = []
  var accessKeys: [String] = []
  var login: LoginRecord?
  var sshKeys: [SSHKeyRecord] = []
  var serviceCredentials: [ServiceCredentialRecord] = []
}

/// A console password.
struct LoginRecord: Codable, Sendable {
  var created: Date
  var resetRequired: Bool
  var password: PasswordHash
}

struct SSHKeyRecord: Codable, Sendable {
  var id: String
  /// `ssh-rsa AAAA…`
  var body: String
  var fingerprint: String
  var active: Bool
  var uploaded: Date
}

/// A user name and password for one service, e.g. git over HTTPS.
struct ServiceCredentialRecord: Codable, Sendable {
  var id: String
  var service: String
  var login: String
  /// SHA-256 of the password, which is 32 random bytes.
  var passwordDigest: [UInt8]
  var active: Bool
  var created: Date
  var expires: Date?
}

struct GroupRecord: PolicyHolder {
  static let collection = "iam.group"
  static let noun = "group"
  static let limits = HolderLimits(attached: 10, attachedQuota: "PoliciesPerGroup", inlineCharacters: 5_120)
  var name: String
  var path: String
  var id: String
  var created: Date
  var attached: [String] = []
  var inline: [String: String] = [:]
  /// Names of its users.
  var members: [String] = []
}

struct RoleRecord: BoundedHolder {
  static let collection = "iam.role"
  static let noun = "role"
  static let limits = HolderLimits(attached: 10, attachedQuota: "PoliciesPerRole", inlineCharacters: 10_240)
  var name: String
  var path: String
  var id: String
  var created: Date
  var trust: String
  var description: String?
  /// Seconds, 3,600 to 43,200.
  var maxSession: Int
  var tags: [TagRecord] = []
  var boundary: String?
  var attached: [String] = []
  var inline: [String: String] = [:]
  /// Names of the instance profiles that hold it.
  var profiles: [String] = []
  /// The service that owns a service-linked role.
  var linkedService: String?
}

struct InstanceProfileRecord: TaggedRecord {
  static let collection = "iam.instanceProfile"
  static let noun = "instance-profile"
  var name: String
  var path: String
  var id: String
  var created: Date
  var tags: [TagRecord] = []
  /// The name of its role; AWS allows one.
  var role: String?
}

struct PolicyRecord: TaggedRecord {
  struct Version: Codable, Sendable {
    var id: String
    var document: String
    var created: Date
  }
  static let collection = "iam.policy"
  static let noun = "policy"
  var name: String
  var path: String
  var id: String
  var created: Date
  var updated: Date
  var description: String?
  var tags: [TagRecord] = []
  var defaultVersion: String
  var versions: [Version]
  /// The number of the next version; numbers are never used again.
  var nextVersion: Int
  var document: String? { versions.first { $0.id == defaultVersion }?.document }
}

/// Who uses a managed policy, AWS's own or the account's. The record's id is the policy's ARN.
struct PolicyUseRecord: StoredRecord {
  enum Kind: String, Codable, Sendable { case user, role, group }
  struct Use: Codable, Sendable, Equatable {
    var kind: Kind
    var name: String
    var id: String
    var path: String
  }
  static let collection = "iam.policyUse"
  var attached: [Use] = []
  var boundary: [Use] = []
  var isEmpty: Bool { attached.isEmpty && boundary.isEmpty }
}

struct AccessKeyRecord: StoredRecord {
  static let collection = "iam.accessKey"
  var id: String
  /// Nil: a key of the account's root.
  var user: String?
  var active: Bool
  var created: Date
  /// AES-GCM under the region key, bound to the id.
  var sealedSecret: [UInt8]
  var indexValues: [String: String] { ["user": user?.asciiLowercased ?? ""] }
}

/// When an access key or a role was last used. Written at most every fifteen minutes for each.
struct LastUseRecord: StoredRecord {
  static let collection = "iam.lastUse"
  var date: Date
  var service: String
  var region: String
}

/// An account of this region. One record each, id `account`, in the account's global scope.
struct AccountRecord: StoredRecord {
  static let collection = "iam.account"
  static let id = "account"
  var name: String
  var created: Date
  var alias: String?
}

/// Who holds an account alias: one scope for the whole region, since aliases are unique across accounts.
struct AccountAliasRecord: StoredRecord {
  static let collection = "iam.accountAlias"
  static let scope = Scope(account: AccountID("000000000000"), region: .global)
  var account: AccountID
}

/// The end of a service-linked role, as GetServiceLinkedRoleDeletionStatus tells it.
struct RoleDeletionRecord: StoredRecord {
  static let collection = "iam.roleDeletion"
  var succeeded: Bool
  var reason: String?
}
