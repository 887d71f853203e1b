import FoundationEssentials
import Ports
import RegionKit
import RegionStore
import WireModel

/// The operations of STS.
struct STSOperations: STSAPI {
  let core: IdentityCore
  let tokens: SessionTokens
  let lastUse: LastUseRecorder

  func getCallerIdentity(
    _ input: Obj<GetCallerIdentityRequest>, _ call: Call
  ) async throws -> Obj<GetCallerIdentityResponse> {
    // The one operation that asks for no permission, so it must not speak for callers who did not sign.
    guard call.principal.kind != .anonymous else {
      throw AWSError("MissingAuthenticationToken", "Request is missing Authentication Token", status: 403)
    }
    await lastUse.note(call.principal, service: "sts", facts: call.facts)
    return Obj {
      $0[.userId] = call.principal.userId
      $0[.account] = call.principal.account.rawValue
      $0[.arn] = call.principal.arn
    }
  }

  func getAccessKeyInfo(_ input: Obj<GetAccessKeyInfoRequest>, _ call: Call) async throws -> Obj<GetAccessKeyInfoResponse> {
    guard let account = AccessKeyID.account(of: input[.accessKeyId]) else {
      throw IdentityErrors.validation("\(input[.accessKeyId]) is not an access key id of this region.")
    }
    return Obj { $0[.account] = account.rawValue }
  }

  // MARK: AssumeRole

  /// The gateway has asked the trust policy already (`STSModule.authorization`).
  func assumeRole(_ input: Obj<AssumeRoleRequest>, _ call: Call) async throws -> Obj<AssumeRoleResponse> {
    try refuse(
      input.fields, ["SerialNumber", "TokenCode", "SourceIdentity", "ProvidedContexts", "TransitiveTagKeys"], "AssumeRole")
    let arn = input[.roleArn]
    let account = AccountID(ARN(arn)?.account ?? "")
    guard account.isWellFormed, let role = try await core.role(arn: arn, account) else {
      throw IdentityErrors.accessDenied(
        "User: \(call.principal.arn) is not authorized to perform: sts:AssumeRole on resource: \(arn)")
    }
    let seconds = input[.durationSeconds] ?? 3_600
    guard seconds <= role.maxSession else {
      throw IdentityErrors.validation(
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role (\(seconds) > \(role.maxSession)).")
    }
    if call.principal.kind == .assumedRole, seconds > 3_600 {
      throw IdentityErrors.validation(
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
    }
    let policies = try await sessionPolicies(input[.policy], input[.policyArns] ?? [], account)
    let tags = try sessionTags(input[.tags] ?? [])
    let principal = core.session(of: role, name: input[.roleSessionName], account, policy: policies.text, tags: tags)
    let issued = try tokens.issue(for: principal, now: call.now, lifetime: Double(seconds))
    await lastUse.note(
      role.id, service: "sts", region: call.facts.requestedRegion, account: account, now: call.now)
    return Obj {
      $0[.credentials] = shape(issued)
      $0[.assumedRoleUser] = Obj {
        $0[.assumedRoleId] = principal.userId
        $0[.arn] = principal.arn
      }
      $0[.packedPolicySize] = packed(policies.characters, tags)
    }
  }

  // MARK: Sessions of users

  func getSessionToken(_ input: Obj<GetSessionTokenRequest>, _ call: Call) async throws -> Obj<GetSessionTokenResponse> {
    try refuse(input.fields, ["SerialNumber", "TokenCode"], "GetSessionToken")
    try requireLongTermKey("GetSessionToken", call)
    let issued = try tokens.issue(for: call.principal, now: call.now, lifetime: try lifetime(input[.durationSeconds], call))
    return Obj { $0[.credentials] = shape(issued) }
  }

  func getFederationToken(
    _ input: Obj<GetFederationTokenRequest>, _ call: Call
  ) async throws -> Obj<GetFederationTokenResponse> {
    try requireLongTermKey("GetFederationToken", call)
    let policies = try await sessionPolicies(input[.policy], input[.policyArns] ?? [], call.account)
    let tags = try sessionTags(input[.tags] ?? [])
    let name = input[.name]
    let principal = Principal(
      kind: .federatedUser, account: call.account, arn: "arn:aws:sts::\(call.account):federated-user/\(name)",
      userId: "\(call.account):\(name)", roleARN: call.principal.arn, sessionPolicy: policies.text, sessionTags: tags)
    let issued = try tokens.issue(for: principal, now: call.now, lifetime: try lifetime(input[.durationSeconds], call))
    return Obj {
      $0[.credentials] = shape(issued)
      $0[.federatedUser] = Obj {
        $0[.federatedUserId] = principal.userId
        $0[.arn] = principal.arn
      }
      $0[.packedPolicySize] = packed(policies.characters, tags)
    }
  }

  private func requireLongTermKey(_ operation: String, _ call: Call) throws {
    guard call.principal.issuedAt == nil, call.principal.kind == .user || call.principal.kind == .root else {
      throw IdentityErrors.accessDenied("Cannot call \(operation) with session credentials")
    }
  }

  /// Twelve hours when nothing is asked; a root's session lasts an hour at most.
  private func lifetime(_ seconds: Int?, _ call: Call) throws -> Double {
    let most = call.principal.kind == .root ? 3_600 : 129_600
    return Double(min(seconds ?? 43_200, most))
  }

  // MARK: Shared

  private func refuse(_ fields: [String: WireValue], _ members: [String], _ operation: String) throws {
    for member in members {
      switch fields[member] {
      case nil, .null?: continue
      case .list(let values)? where values.isEmpty: continue
      default:
        throw AWSError(
          "UnsupportedOperation", "\(member) of sts:\(operation) is not available in this Roadstead region; call it without.",
          status: 400)
      }
    }
  }

  private func shape(_ issued: TemporaryCredentials) -> Obj<Credentials> {
    Obj {
      $0[.accessKeyId] = issued.accessKeyId
      $0[.secretAccessKey] = issued.secretAccessKey
      $0[.sessionToken] = issued.sessionToken
      $0[.expiration] = issued.expiration
    }
  }

  /// One policy stays as it is; several become a list in which managed policies are named by their ARNs.
  private func sessionPolicies(
    _ inline: String?, _ descriptors: [Obj<PolicyDescriptorType>], _ account: AccountID
  ) async throws -> (text: String?, characters: Int) {
    let arns = descriptors.compactMap { $0[.arn] }
    guard arns.count <= 10 else {
      throw IdentityErrors.validation("At most 10 managed policies can be passed as session policies.")
    }
    if let inline {
      do {
        _ = try PolicyParser.parse(inline, as: .identity)
      } catch {
        throw STSErrors.malformedPolicyDocumentException(error.text)
      }
      guard inline.count <= 2_048 else {
        throw STSErrors.packedPolicyTooLargeException("The session policy has \(inline.count) characters; 2048 are allowed.")
      }
    }
    for arn in arns {
      guard try await core.managedDocument(arn, account) != nil else {
        throw IdentityErrors.validation("The managed policy \(arn) does not exist in account \(account).")
      }
    }
    let characters = (inline?.count ?? 0) + arns.reduce(0) { $0 + $1.count }
    if arns.isEmpty { return (inline, characters) }
    let list = try RecordCoding.encode(arns + (inline.map { [$0] } ?? []))
    return (String(decoding: list, as: UTF8.self), characters)
  }

  private func sessionTags(_ shapes: [Obj<STSTag>]) throws -> [String: String] {
    guard shapes.count <= 50 else { throw IdentityErrors.validation("At most 50 session tags can be passed.") }
    var out: [String: String] = [:]
    var seen: Set<String> = []
    for tag in shapes {
      guard seen.insert(tag[.key].asciiLowercased).inserted else {
        throw IdentityErrors.validation("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
      }
      guard !tag[.key].asciiLowercased.hasPrefix("aws:") else {
        throw IdentityErrors.validation("The tag key \(tag[.key]) begins with aws:, which is reserved for AWS.")
      }
      out[tag[.key]] = tag[.value]
    }
    return out
  }

  /// How much of the room for policies and tags is used, in percent.
  private func packed(_ characters: Int, _ tags: [String: String]) -> Int? {
    let used = characters + tags.reduce(0) { $0 + $1.key.count + $1.value.count }
    return used == 0 ? nil : min(100, max(1, used * 100 / 8_192))
  }
}
