import FoundationEssentials
import RegionKit
import RegionStore
import WireModel

extension IAMOperations {
  func createRole(_ input: Obj<CreateRoleRequest>, _ call: Call) async throws -> Obj<CreateRoleResponse> {
    let name = input[.roleName]
    let tags = try tags(input[.tags])
    let path = path(input[.path])
    guard !path.hasPrefix("/aws-service-role/") else {
      throw IdentityErrors.validation("The path /aws-service-role/ is reserved: use CreateServiceLinkedRole.")
    }
    let trust = input[.assumeRolePolicyDocument]
    try await checkTrust(trust)
    let role = try await core.change(call.account) { commit in
      guard try await core.find(RoleRecord.self, name, call.account) == nil else {
        throw IAMErrors.entityAlreadyExistsException("Role with name \(name) already exists.")
      }
      try await requireRoom(RoleRecord.self, call.account, 1_000, "RolesPerAccount")
      var role = RoleRecord(
        name: name, path: path, id: core.uniqueId("AROA"), created: call.now, trust: trust, description: input[.description],
        maxSession: input[.maxSessionDuration] ?? 3_600)
      role.tags = tags
      if let boundary = input[.permissionsBoundary] {
        role.boundary = boundary
        try await use(boundary, by: role.use, as: \.boundary, call.account, &commit)
      }
      try commit.save(role, call.account, version: nil)
      return role
    }
    return Obj { $0[.role] = role.shape(call.account, full: true) }
  }

  /// A trust policy: readable, within its size, and every user or role it names in an account of this region exists.
  func checkTrust(_ text: String) async throws {
    try check(text, as: .trust)
    guard PolicyText.size(text) <= 2_048 else {
      throw IAMErrors.limitExceededException("Cannot exceed quota for ACLSizePerRole: 2048")
    }
    for statement in core.documents.document(text, .trust)?.statements ?? [] {
      for member in statement.principals?.members ?? [] {
        guard case .arn(let text) = member, let arn = ARN(text), arn.service == "iam" else { continue }
        let account = AccountID(arn.account)
        guard try await core.store.get(AccountRecord.self, in: IdentityCore.scope(account), id: AccountRecord.id) != nil else {
          continue
        }
        let exists: Bool
        if arn.resource.hasPrefix("user/") {
          exists = try await core.find(UserRecord.self, ARNName.last(text), account)?.value.arn(account) == text
        } else {
          exists = try await core.find(RoleRecord.self, ARNName.last(text), account)?.value.arn(account) == text
        }
        guard exists else { throw IAMErrors.malformedPolicyDocumentException("Invalid principal in policy: \"AWS\":\"\(text)\"") }
      }
    }
  }

  func getRole(_ input: Obj<GetRoleRequest>, _ call: Call) async throws -> Obj<GetRoleResponse> {
    let role = try await core.role(input[.roleName], call.account).value
    let use = try await lastUse.lastUse(role.id, account: call.account)
    return Obj { $0[.role] = role.shape(call.account, full: true, lastUse: use, withLastUse: true) }
  }

  func listRoles(_ input: Obj<ListRolesRequest>, _ call: Call) async throws -> Obj<ListRolesResponse> {
    let prefix = input[.pathPrefix] ?? "/"
    let page = try await PageRequest(input, call, filters: [prefix])
      .records(RoleRecord.self, core, call.account) { $0.path.hasPrefix(prefix) }
    return Obj {
      $0[.roles] = page.items.map { $0.shape(call.account, full: false) }
      page.close(&$0)
    }
  }

  func deleteRole(_ input: Obj<DeleteRoleRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await core.change(call.account) { commit in
      let stored = try await core.changeableRole(input[.roleName], call.account)
      try await remove(role: stored, call.account, &commit)
    }
    return Obj()
  }

  func remove(role stored: Stored<RoleRecord>, _ account: AccountID, _ commit: inout StoreCommit) async throws {
    let role = stored.value
    guard role.profiles.isEmpty else {
      throw IAMErrors.deleteConflictException("Cannot delete entity, must remove roles from instance profile first.")
    }
    guard role.attached.isEmpty else {
      throw IAMErrors.deleteConflictException("Cannot delete entity, must detach all policies first.")
    }
    guard role.inline.isEmpty else {
      throw IAMErrors.deleteConflictException("Cannot delete entity, must delete policies first.")
    }
    if let boundary = role.boundary { try await release(boundary, of: role.use, as: \.boundary, account, &commit) }
    commit.remove(stored)
  }

  func updateRole(_ input: Obj<UpdateRoleRequest>, _ call: Call) async throws -> Obj<UpdateRoleResponse> {
    _ = try await changeRole(input[.roleName], call) { role in
      // AWS: an absent duration goes back to one hour; an absent description stays.
      role.description = input[.description] ?? role.description
      role.maxSession = input[.maxSessionDuration] ?? 3_600
    }
    return Obj()
  }

  func updateRoleDescription(
    _ input: Obj<UpdateRoleDescriptionRequest>, _ call: Call
  ) async throws -> Obj<UpdateRoleDescriptionResponse> {
    _ = try await changeRole(input[.roleName], call) { $0.description = input[.description] }
    let role = try await core.role(input[.roleName], call.account).value
    return Obj { $0[.role] = role.shape(call.account, full: true) }
  }

  func updateAssumeRolePolicy(_ input: Obj<UpdateAssumeRolePolicyRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    _ = try await core.changeableRole(input[.roleName], call.account)
    let text = input[.policyDocument]
    try await checkTrust(text)
    return try await changeRole(input[.roleName], call) { $0.trust = text }
  }

  func tagRole(_ input: Obj<TagRoleRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await changeRole(input[.roleName], call) { $0.tags = try tags(input[.tags], added: $0.tags) }
  }
  func untagRole(_ input: Obj<UntagRoleRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await changeRole(input[.roleName], call) { $0.tags = without(input[.tagKeys], $0.tags) }
  }
  func listRoleTags(_ input: Obj<ListRoleTagsRequest>, _ call: Call) async throws -> Obj<ListRoleTagsResponse> {
    let role = try await core.role(input[.roleName], call.account).value
    return try Obj { try tagPage(role, input, call, &$0) }
  }

  func putRolePermissionsBoundary(
    _ input: Obj<PutRolePermissionsBoundaryRequest>, _ call: Call
  ) async throws -> Obj<NoMembers> {
    try await setBoundary(input[.permissionsBoundary], call) { try await core.changeableRole(input[.roleName], call.account) }
  }
  func deleteRolePermissionsBoundary(
    _ input: Obj<DeleteRolePermissionsBoundaryRequest>, _ call: Call
  ) async throws -> Obj<NoMembers> {
    try await setBoundary(nil, call) { try await core.changeableRole(input[.roleName], call.account) }
  }

  /// Reads a role that no service owns, lets `edit` change it and writes it back.
  private func changeRole(
    _ name: String, _ call: Call, _ edit: (inout RoleRecord) throws -> Void
  ) async throws -> Obj<NoMembers> {
    try await core.change(call.account) { commit in
      let stored = try await core.changeableRole(name, call.account)
      var role = stored.value
      try edit(&role)
      try commit.save(role, call.account, version: stored.version)
    }
    return Obj()
  }
}
