public import FoundationEssentials
public import RegionKit

/// The secret behind an access key, and who it speaks for. Identity implements the resolver; the gateway asks it.
public struct SigningIdentity: Sendable {
  public let secretAccessKey: String
  public let principal: Principal
  public init(secretAccessKey: String, principal: Principal) {
    self.secretAccessKey = secretAccessKey
    self.principal = principal
  }
}

/// Why a key does not sign. The gateway turns each into the protocol's own error code.
public enum CredentialProblem: Error, Sendable, Equatable {
  case unknownKey
  case inactiveKey
  /// A temporary key (`ASIA…`) came without its session token, or with one of another key.
  case invalidToken
  case expiredToken
}

public protocol CredentialResolver: Sendable {
  /// Throws `CredentialProblem`. Temporary credentials carry everything in their token, so no look-up is needed for them.
  func resolve(accessKeyId: String, sessionToken: String?, now: Date) async throws -> SigningIdentity
}

/// Short-lived credentials.
public struct TemporaryCredentials: Sendable, Codable, Equatable {
  public let accessKeyId: String
  public let secretAccessKey: String
  public let sessionToken: String
  public let expiration: Date
  public init(accessKeyId: String, secretAccessKey: String, sessionToken: String, expiration: Date) {
    self.accessKeyId = accessKeyId
    self.secretAccessKey = secretAccessKey
    self.sessionToken = sessionToken
    self.expiration = expiration
  }
}

/// A role or instance profile as other services need to know it.
public struct InstanceProfileSummary: Sendable, Codable, Equatable {
  public let arn: String
  public let id: String
  public let name: String
  public let roleName: String?
  public let roleARN: String?
  public init(arn: String, id: String, name: String, roleName: String?, roleARN: String?) {
    self.arn = arn
    self.id = id
    self.name = name
    self.roleName = roleName
    self.roleARN = roleARN
  }
}

/// What EC2 and CodeDeploy need of Identity.
public protocol RolePort: Sendable {
  /// By name or ARN; nil when there is none.
  func instanceProfile(_ nameOrARN: String, account: AccountID) async throws -> InstanceProfileSummary?
  /// Credentials for an instance's role session (session name = instance id), valid for `lifetime` real seconds.
  func instanceCredentials(profileARN: String, instanceId: String, account: AccountID, lifetime: Double) async throws
    -> TemporaryCredentials
  /// Whether the role exists and its trust policy lets the service principal (`codedeploy.amazonaws.com`) assume it.
  func canAssume(roleARN: String, service: String, account: AccountID) async throws -> Bool
  /// A principal acting as the role for a service, so that what the service does on a user's behalf is authorised as that role.
  func servicePrincipal(roleARN: String, service: String, sessionName: String, account: AccountID) async throws -> Principal
}
