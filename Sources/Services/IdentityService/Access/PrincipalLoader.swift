import RegionKit
import RegionStore

extension IdentityCore {
  /// All policies that have a say about the principal, from the cache or the store.
  func policies(of principal: Principal) async throws -> PrincipalPolicies {
    switch principal.kind {
    case .root, .anonymous, .service: return PrincipalPolicies()
    case .user: return try await policies(userARN: principal.arn, id: principal.userId, principal.account)
    case .assumedRole:
      guard let arn = principal.roleARN else { return .gone }
      let id = principal.userId.split(separator: ":").first.map(String.init) ?? ""
      return try await policies(arn: arn, id: id, principal.account) {
        guard let role = try await find(RoleRecord.self, ARNName.last(arn), principal.account) else { return nil }
        return try await load(role: role.value, principal.account)
      }
    case .federatedUser:
      guard let issuer = principal.roleARN else { return .gone }
      if principal.isAccountRoot { return PrincipalPolicies() }
      return try await policies(userARN: issuer, id: nil, principal.account)
    }
  }

  private func policies(userARN: String, id: String?, _ account: AccountID) async throws -> PrincipalPolicies {
    try await policies(arn: userARN, id: id, account) {
      guard let user = try await find(UserRecord.self, ARNName.last(userARN), account) else { return nil }
      return try await load(user: user.value, account)
    }
  }

  /// `id`: the unique id that the caller's credentials were made for.
  private func policies(
    arn: String, id: String?, _ account: AccountID, load: () async throws -> PrincipalCache.LoadedPrincipal?
  ) async throws -> PrincipalPolicies {
    var loaded = cache.principal(arn)
    if loaded == nil {
      let generation = cache.generation(account)
      loaded = try await load()
      if let loaded { cache.keep(principal: loaded, arn: arn, account: account, generation: generation) }
    }
    guard let loaded, id == nil || loaded.uniqueId == id else { return .gone }
    return loaded.policies
  }

  func load(user: UserRecord, _ account: AccountID) async throws -> PrincipalCache.LoadedPrincipal {
    var policies = PrincipalPolicies()
    policies.identity = try await identityPolicies(user, account)
    for name in user.groups {
      // A group that cannot be found any more would be a fault of ours; its policies might have denied.
      guard let group = try await find(GroupRecord.self, name, account) else {
        policies.identity.append(nil)
        continue
      }
      policies.identity += try await identityPolicies(group.value, account)
    }
    return try await finish(user, policies, account)
  }

  func load(role: RoleRecord, _ account: AccountID) async throws -> PrincipalCache.LoadedPrincipal {
    var policies = PrincipalPolicies()
    policies.identity = try await identityPolicies(role, account)
    return try await finish(role, policies, account)
  }

  private func finish(
    _ holder: some BoundedHolder, _ policies: PrincipalPolicies, _ account: AccountID
  ) async throws -> PrincipalCache.LoadedPrincipal {
    var policies = policies
    policies.tags = Dictionary(holder.tags.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 })
    if let boundary = holder.boundary {
      let document = try await managedDocument(boundary, account).flatMap { documents.document($0, .identity) }
      policies.boundary = document.map { .policy($0) } ?? .unreadable
    }
    return PrincipalCache.LoadedPrincipal(uniqueId: holder.id, policies: policies)
  }

  private func identityPolicies(_ holder: some PolicyHolder, _ account: AccountID) async throws -> [PolicyDocument?] {
    var out: [PolicyDocument?] = holder.inline.values.map { documents.document($0, .identity) }
    for arn in holder.attached {
      out.append(try await managedDocument(arn, account).flatMap { documents.document($0, .identity) })
    }
    return out
  }

  /// The default version of a managed policy, AWS's or the account's own; nil when there is none.
  func managedDocument(_ arn: String, _ account: AccountID) async throws -> String? {
    if let aws = AWSManagedPolicy.byARN[arn] { return aws.document }
    return try await policy(arn, account)?.value.document
  }

  /// A policy of the account by its ARN, path included.
  func policy(_ arn: String, _ account: AccountID) async throws -> Stored<PolicyRecord>? {
    guard let parsed = ARN(arn), parsed.service == "iam", parsed.account == account.rawValue,
      parsed.resource.hasPrefix("policy/"),
      let found = try await find(PolicyRecord.self, ARNName.last(arn), account), found.value.arn(account) == arn
    else { return nil }
    return found
  }
}

extension PrincipalPolicies {
  /// For a principal that no longer exists.
  static var gone: PrincipalPolicies {
    var policies = PrincipalPolicies()
    policies.exists = false
    return policies
  }
}

enum ARNName {
  /// What stands after the last slash.
  static func last(_ arn: String) -> String { arn.split(separator: "/").last.map(String.init) ?? arn }
}
