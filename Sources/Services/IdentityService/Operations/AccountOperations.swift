import RegionKit
import RegionStore
import WireModel

extension IAMOperations {
  func getAccountSummary(_ input: Obj<NoMembers>, _ call: Call) async throws -> Obj<GetAccountSummaryResponse> {
    let scope = IdentityCore.scope(call.account)
    let policies = try await core.store.list(PolicyRecord.self, in: scope)
    let users = try await core.store.list(UserRecord.self, in: scope).count
    let groups = try await core.store.list(GroupRecord.self, in: scope).count
    let roles = try await core.store.list(RoleRecord.self, in: scope).count
    let profiles = try await core.store.list(InstanceProfileRecord.self, in: scope).count
    let rootKeys = try await core.rootKeys(call.account).count
    let summary: [String: Int] = [
      "Users": users, "UsersQuota": 5_000, "Groups": groups, "GroupsQuota": 300, "Roles": roles, "RolesQuota": 1_000,
      "InstanceProfiles": profiles, "InstanceProfilesQuota": 1_000, "Policies": policies.count, "PoliciesQuota": 1_500,
      "PolicySizeQuota": 6_144, "PolicyVersionsInUse": policies.reduce(0) { $0 + $1.value.versions.count },
      "PolicyVersionsInUseQuota": 10_000, "VersionsPerPolicyQuota": 5, "UserPolicySizeQuota": 2_048,
      "GroupPolicySizeQuota": 5_120, "RolePolicySizeQuota": 10_240, "AssumeRolePolicySizeQuota": 2_048,
      "GroupsPerUserQuota": 10, "AccessKeysPerUserQuota": 2, "AttachedPoliciesPerUserQuota": 10,
      "AttachedPoliciesPerGroupQuota": 10, "AttachedPoliciesPerRoleQuota": 10, "SigningCertificatesPerUserQuota": 2,
      "ServerCertificates": 0, "ServerCertificatesQuota": 20, "MFADevices": 0, "MFADevicesInUse": 0, "AccountMFAEnabled": 0,
      "AccountAccessKeysPresent": rootKeys > 0 ? 1 : 0, "AccountPasswordPresent": 0, "AccountSigningCertificatesPresent": 0,
      "Providers": 0, "GlobalEndpointTokenVersion": 1,
    ]
    return Obj { $0[.summaryMap] = summary }
  }

  private func accountRecord(_ call: Call) async throws -> Stored<AccountRecord> {
    guard let found = try await core.store.get(AccountRecord.self, in: IdentityCore.scope(call.account), id: AccountRecord.id)
    else { throw IAMErrors.noSuchEntityException("Account \(call.account) does not exist in this region.") }
    return found
  }

  /// Aliases are unique over all accounts of the region; an account has one, and a new one takes the place of the old.
  func createAccountAlias(_ input: Obj<CreateAccountAliasRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    let alias = input[.accountAlias]
    try await core.change(call.account) { commit in
      let stored = try await accountRecord(call)
      var record = stored.value
      if record.alias == alias { return }
      guard try await core.store.get(AccountAliasRecord.self, in: AccountAliasRecord.scope, id: alias) == nil else {
        throw IAMErrors.entityAlreadyExistsException("The account alias \(alias) already exists.")
      }
      if let old = record.alias { commit.delete(AccountAliasRecord.self, in: AccountAliasRecord.scope, id: old) }
      record.alias = alias
      try commit.put(
        AccountAliasRecord(account: call.account), in: AccountAliasRecord.scope, id: alias, expecting: .absent)
      try commit.put(record, in: stored.scope, id: stored.id, expecting: .version(stored.version))
    }
    return Obj()
  }

  func deleteAccountAlias(_ input: Obj<DeleteAccountAliasRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    let alias = input[.accountAlias]
    try await core.change(call.account) { commit in
      let stored = try await accountRecord(call)
      var record = stored.value
      guard record.alias == alias else {
        throw IAMErrors.noSuchEntityException("The account alias \(alias) cannot be found.")
      }
      record.alias = nil
      commit.delete(AccountAliasRecord.self, in: AccountAliasRecord.scope, id: alias)
      try commit.put(record, in: stored.scope, id: stored.id, expecting: .version(stored.version))
    }
    return Obj()
  }

  func listAccountAliases(_ input: Obj<ListAccountAliasesRequest>, _ call: Call) async throws -> Obj<ListAccountAliasesResponse> {
    let alias = try await accountRecord(call).value.alias
    return Obj {
      $0[.accountAliases] = alias.map { [$0] } ?? []
      $0[.isTruncated] = false
    }
  }
}
