public import FoundationEssentials
public import Ports
public import RegionKit
public import RegionStore
public import WireModel

/// IAM and STS: accounts, users, roles, policies, credentials, and the answer to "may this caller do that?". The only writer of
/// the `iam.*` collections.
public final class IdentityService: CredentialResolver, Authorizer, RolePort {
  let core: IdentityCore
  let tokens: SessionTokens
  let lastUse: LastUseRecorder
  public let iam: any ServiceModule
  public let sts: any ServiceModule

  /// `sealingKey`: 32 random bytes kept in the region's home; secrets and session tokens are sealed under keys derived from it,
  /// so another key makes every stored access key unusable. `passwordRounds`: PBKDF2 rounds for console passwords.
  public init(
    store: any RegionStore, clock: any RegionClock, random: any Randomness, sealingKey: [UInt8], passwordRounds: Int = 60_000
  ) {
    core = IdentityCore(store: store, clock: clock, random: random, sealingKey: sealingKey, passwordRounds: passwordRounds)
    tokens = SessionTokens(secrets: core.secrets, random: random)
    lastUse = LastUseRecorder(store: store)
    iam = IAMModule(core: core, lastUse: lastUse)
    sts = STSModule(core: core, tokens: tokens, lastUse: lastUse)
  }

  // MARK: Authorizer

  public func authorize(_ request: AuthorizationRequest, principal: Principal, facts: CallFacts) async throws {
    if let refusal = IdentityCore.sessionRestriction(request.action, principal) { throw refusal }
    let decision = try await core.decide(request, principal: principal, facts: facts)
    guard decision.isAllowed else {
      throw AWSError(
        "AccessDenied", decision.message(action: request.action, resource: request.resource, principal: principal), status: 403)
    }
    let service = request.action.split(separator: ":").first.map { String($0).asciiLowercased } ?? ""
    await lastUse.note(principal, service: service, facts: facts)
  }

  // MARK: CredentialResolver

  public func resolve(accessKeyId: String, sessionToken: String?, now: Date) async throws -> SigningIdentity {
    if let sessionToken, !sessionToken.isEmpty { return try session(accessKeyId, sessionToken, now) }
    guard !accessKeyId.hasPrefix("ASIA") else { throw CredentialProblem.invalidToken }
    let loaded: PrincipalCache.LoadedKey
    if let known = core.cache.key(accessKeyId) {
      loaded = known
    } else {
      guard let account = AccessKeyID.account(of: accessKeyId) else { throw CredentialProblem.unknownKey }
      let generation = core.cache.generation(account)
      guard let found = try await load(key: accessKeyId, account) else { throw CredentialProblem.unknownKey }
      core.cache.keep(key: found, id: accessKeyId, account: account, generation: generation)
      loaded = found
    }
    guard loaded.active else { throw CredentialProblem.inactiveKey }
    return loaded.identity
  }

  private func session(_ accessKeyId: String, _ token: String, _ now: Date) throws -> SigningIdentity {
    if let known = core.cache.session(token), known.identity.principal.accessKeyId == accessKeyId {
      guard now < known.expires else { throw CredentialProblem.expiredToken }
      return known.identity
    }
    guard accessKeyId.hasPrefix("ASIA"), let claims = tokens.read(token, accessKeyId: accessKeyId) else {
      throw CredentialProblem.invalidToken
    }
    guard now < claims.expires else { throw CredentialProblem.expiredToken }
    let identity = SigningIdentity(secretAccessKey: claims.secret, principal: claims.principal)
    core.cache.keep(session: identity, expires: claims.expires, token: token)
    return identity
  }

  private func load(key id: String, _ account: AccountID) async throws -> PrincipalCache.LoadedKey? {
    guard let record = try await core.store.get(AccessKeyRecord.self, in: IdentityCore.scope(account), id: id)?.value else {
      return nil
    }
    guard let secret = core.secrets.open(record.sealedSecret, for: .accessKey, binding: id) else {
      throw AWSError.internalFailure(
        "The secret of access key \(id) cannot be opened with this region's key. Restore the key file or make a new access key.")
    }
    let principal: Principal
    if let name = record.user {
      guard let user = try await core.find(UserRecord.self, name, account)?.value else { return nil }
      principal = Principal(kind: .user, account: account, arn: user.arn(account), userId: user.id, accessKeyId: id)
    } else {
      principal = .root(account, accessKeyId: id)
    }
    return PrincipalCache.LoadedKey(
      identity: SigningIdentity(secretAccessKey: String(decoding: secret, as: UTF8.self), principal: principal),
      active: record.active)
  }
}

extension Principal {
  static func root(_ account: AccountID, accessKeyId: String? = nil) -> Principal {
    Principal(
      kind: .root, account: account, arn: "arn:aws:iam::\(account):root", userId: account.rawValue, accessKeyId: accessKeyId)
  }
}

extension LastUseRecorder {
  /// Notes the use of the caller's long-term key, or of its role.
  func note(_ principal: Principal, service: String, facts: CallFacts) async {
    if principal.kind == .assumedRole {
      guard let role = principal.userId.split(separator: ":").first else { return }
      await note(String(role), service: service, region: facts.requestedRegion, account: principal.account, now: facts.time)
    } else if let key = principal.accessKeyId, principal.issuedAt == nil {
      await note(key, service: service, region: facts.requestedRegion, account: principal.account, now: facts.time)
    }
  }
}
