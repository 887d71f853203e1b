public import FoundationEssentials

/// Who makes a call, after its signature was verified.
public struct Principal: Sendable, Hashable, Codable {
  public enum Kind: String, Sendable, Codable { case root, user, assumedRole, federatedUser, anonymous, service }
  public let kind: Kind
  public let account: AccountID
  /// `arn:aws:iam::A:root`, `arn:aws:iam::A:user/path/NAME`, `arn:aws:sts::A:assumed-role/ROLE/SESSION`.
  public let arn: String
  /// The unique id GetCallerIdentity shows: account id for root, `AIDA…`, `AROA…:SESSION`.
  public let userId: String
  /// The access key that signed the call; nil for anonymous and service principals.
  public let accessKeyId: String?
  /// For an assumed role: the role's own ARN. For a federated user: the ARN of the user or root that federated it. Policies attach
  /// to it.
  public let roleARN: String?
  /// Session policies passed to AssumeRole or GetFederationToken, JSON text: one policy document, or a list of documents and of ARNs of
  /// managed policies.
  public let sessionPolicy: String?
  /// Tags passed to AssumeRole or GetFederationToken; they win over the role's or user's own (`aws:PrincipalTag/…`).
  public let sessionTags: [String: String]
  /// When temporary credentials were issued (`aws:TokenIssueTime`); nil for long-term keys.
  public let issuedAt: Date?
  public init(
    kind: Kind, account: AccountID, arn: String, userId: String, accessKeyId: String? = nil, roleARN: String? = nil,
    sessionPolicy: String? = nil, sessionTags: [String: String] = [:], issuedAt: Date? = nil
  ) {
    self.kind = kind
    self.account = account
    self.arn = arn
    self.userId = userId
    self.accessKeyId = accessKeyId
    self.roleARN = roleARN
    self.sessionPolicy = sessionPolicy
    self.sessionTags = sessionTags
    self.issuedAt = issuedAt
  }
}

/// One question to the policy engine: may the caller do `action` on `resource`?
public struct AuthorizationRequest: Sendable, Hashable {
  /// `service:Action`, e.g. `s3:GetObject`.
  public let action: String
  /// The resource's ARN, or `*` for operations without one.
  public let resource: String
  /// Condition keys beyond the global ones, e.g. `s3:prefix`, `aws:RequestTag/env`. Keys are compared without case.
  public let context: [String: [String]]
  /// A resource-based policy (JSON text) that takes part in the decision, with the account that owns the resource.
  public let resourcePolicy: String?
  public let resourceAccount: AccountID?
  public init(
    _ action: String, on resource: String = "*", context: [String: [String]] = [:], resourcePolicy: String? = nil,
    resourceAccount: AccountID? = nil
  ) {
    self.action = action
    self.resource = resource
    self.context = context
    self.resourcePolicy = resourcePolicy
    self.resourceAccount = resourceAccount
  }
}

/// Decides whether a principal may do something. The Identity service implements it; everything else only asks.
public protocol Authorizer: Sendable {
  /// Throws `AWSError("AccessDenied", …)` naming principal, action, resource and the kind of statement that denied.
  func authorize(_ request: AuthorizationRequest, principal: Principal, facts: CallFacts) async throws
}

/// What a policy condition may ask about the call itself.
public struct CallFacts: Sendable {
  public let time: Date
  public let sourceIP: String?
  public let userAgent: String?
  public let secureTransport: Bool
  /// The region of the credential scope (`aws:RequestedRegion`), when it is known.
  public let requestedRegion: String?
  public init(
    time: Date, sourceIP: String?, userAgent: String?, secureTransport: Bool, requestedRegion: String? = nil
  ) {
    self.requestedRegion = requestedRegion
    self.time = time
    self.sourceIP = sourceIP
    self.userAgent = userAgent
    self.secureTransport = secureTransport
  }
}

/// Everything a handler knows of the request besides its input. Handlers never see HTTP.
public struct Call: Sendable {
  public let requestId: String
  /// The service's model name (`codedeploy`) and the operation (`CreateDeployment`).
  public let service: String
  public let operation: String
  public let principal: Principal
  public let account: AccountID
  /// The region of the credential scope.
  public let region: RegionName
  public let clock: any RegionClock
  public let random: any Randomness
  public let authorizer: any Authorizer
  public let facts: CallFacts
  /// The `host:port` the caller used, for answers that hold URLs (S3 Location).
  public let endpointHost: String

  public init(
    requestId: String, service: String, operation: String, principal: Principal, account: AccountID, region: RegionName,
    clock: any RegionClock, random: any Randomness, authorizer: any Authorizer, facts: CallFacts, endpointHost: String
  ) {
    self.requestId = requestId
    self.service = service
    self.operation = operation
    self.principal = principal
    self.account = account
    self.region = region
    self.clock = clock
    self.random = random
    self.authorizer = authorizer
    self.facts = facts
    self.endpointHost = endpointHost
  }

  public var scope: Scope { Scope(account: account, region: region) }
  public var now: Date { clock.now() }

  /// Asks for a permission beyond the ones the gateway already checked for the operation, e.g. `iam:PassRole`.
  public func authorize(_ request: AuthorizationRequest) async throws {
    try await authorizer.authorize(request, principal: principal, facts: facts)
  }
}
