import FoundationEssentials
import RegionKit

/// One question to the engine, prepared once and asked of every statement.
struct PolicyContext: Sendable {
  let principal: Principal
  /// The tags of the user or role; the session's own win.
  let principalTags: [String: String]
  let facts: CallFacts
  /// `service:Action` in lower case, and as it was asked.
  let action: [UInt8]
  let actionName: String
  let resource: [UInt8]
  let resourceName: String
  let resourceAccount: AccountID
  /// What the request brings, names in lower case.
  private let brought: [String: [String]]

  /// `principalTags` names are taken as they are; keys are compared without case, as tag keys of principals are.
  init(request: AuthorizationRequest, principal: Principal, principalTags: [String: String], facts: CallFacts) {
    self.principal = principal
    self.principalTags = Self.merge(principalTags, principal.sessionTags)
    self.facts = facts
    actionName = request.action
    action = request.action.utf8.map(\.asciiLowercased)
    resourceName = request.resource
    resource = Array(request.resource.utf8)
    resourceAccount = request.resourceAccount ?? Self.account(of: request.resource) ?? principal.account
    brought =
      request.context.isEmpty
      ? [:] : Dictionary(request.context.map { ($0.key.asciiLowercased, $0.value) }, uniquingKeysWith: { $0 + $1 })
  }

  /// The account in an ARN, when it names one.
  private static func account(of arn: String) -> AccountID? {
    guard arn.utf8.count > 12, let parsed = ARN(arn) else { return nil }
    let account = AccountID(parsed.account)
    return account.isWellFormed ? account : nil
  }

  private static func merge(_ own: [String: String], _ session: [String: String]) -> [String: String] {
    if own.isEmpty && session.isEmpty { return [:] }
    var out: [String: String] = [:]
    for (key, value) in own { out[key.asciiLowercased] = value }
    for (key, value) in session { out[key.asciiLowercased] = value }
    return out
  }

  /// The key's values; nil when the request has none. What the request brings wins, so that a simulation can set any key.
  func values(for key: ConditionKey) -> [String]? {
    if !brought.isEmpty, let values = brought[key.name] { return values }
    switch key {
    case .global(let global): return value(of: global).map { [$0] }
    case .principalTag(let tag): return principalTags[tag].map { [$0] }
    case .other: return nil
    }
  }

  private func value(of key: ConditionKey.Global) -> String? {
    switch key {
    case .currentTime: return PolicyDate.text(facts.time)
    case .epochTime: return String(Int64(facts.time.timeIntervalSince1970.rounded(.down)))
    case .principalArn: return principalARN
    case .principalAccount: return principal.kind == .anonymous || principal.kind == .service ? nil : principal.account.rawValue
    case .principalType: return principalType
    case .principalIsAWSService: return principal.kind == .service ? "true" : "false"
    case .principalServiceName: return principal.kind == .service ? principal.arn : nil
    case .userid: return principal.kind == .anonymous ? "anonymous" : principal.userId
    case .username: return principal.kind == .user ? principal.userName : nil
    case .sourceIp: return facts.sourceIP
    case .secureTransport: return facts.secureTransport ? "true" : "false"
    case .userAgent: return facts.userAgent
    case .requestedRegion: return facts.requestedRegion
    case .resourceAccount: return resourceAccount.rawValue
    case .tokenIssueTime: return principal.issuedAt.map { PolicyDate.text($0) }
    // The region has no second factor: sessions are without it, and long-term keys do not have the key at all, as in AWS.
    case .multiFactorAuthPresent: return principal.issuedAt == nil ? nil : "false"
    case .viaAWSService: return "false"
    }
  }

  /// For a role session the role, not the session (as AWS documents `aws:PrincipalArn`).
  private var principalARN: String? {
    switch principal.kind {
    case .anonymous, .service: nil
    case .assumedRole: principal.roleARN ?? principal.arn
    case .root, .user, .federatedUser: principal.arn
    }
  }

  private var principalType: String {
    switch principal.kind {
    case .root: "Account"
    case .user: "User"
    case .assumedRole: "AssumedRole"
    case .federatedUser: "FederatedUser"
    case .anonymous: "Anonymous"
    case .service: "Service"
    }
  }
}

extension Principal {
  /// The last part of a user's ARN.
  var userName: String? {
    guard kind == .user else { return nil }
    return arn.split(separator: "/").last.map(String.init)
  }
}
