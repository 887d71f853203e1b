import RegionKit
import RegionStore
import WireModel

/// Inline policies of users, roles and groups.
extension IAMOperations {
  private func put<Holder: PolicyHolder>(
    _ name: String, _ document: String, _ call: Call, on find: () async throws -> Stored<Holder>
  ) async throws -> Obj<NoMembers> {
    try await core.change(call.account) { commit in
      let stored = try await find()
      var holder = stored.value
      try check(document, as: .identity)
      holder.inline[name] = document
      let size = holder.inline.values.reduce(0) { $0 + PolicyText.size($1) }
      guard size <= Holder.limits.inlineCharacters else {
        throw IAMErrors.limitExceededException(
          "Maximum policy size of \(Holder.limits.inlineCharacters) bytes exceeded for \(Holder.noun) \(holder.name)")
      }
      try commit.save(holder, call.account, version: stored.version)
    }
    return Obj()
  }

  private func missing(_ noun: String, _ name: String) -> AWSError {
    IAMErrors.noSuchEntityException("The \(noun) policy with name \(name) cannot be found.")
  }

  private func delete<Holder: PolicyHolder>(
    _ name: String, _ call: Call, from find: () async throws -> Stored<Holder>
  ) async throws -> Obj<NoMembers> {
    try await core.change(call.account) { commit in
      let stored = try await find()
      var holder = stored.value
      guard holder.inline.removeValue(forKey: name) != nil else { throw missing(Holder.noun, name) }
      try commit.save(holder, call.account, version: stored.version)
    }
    return Obj()
  }

  /// `member` is the answer's name member: `UserName`, `RoleName` or `GroupName`.
  private func get<Holder: PolicyHolder, Output>(_ name: String, of holder: Holder, _ member: String) throws -> Obj<Output> {
    guard let document = holder.inline[name] else { throw missing(Holder.noun, name) }
    return Obj(fields: [
      member: .string(holder.name), "PolicyName": .string(name), "PolicyDocument": .string(PolicyText.encoded(document)),
    ])
  }

  private func names<Input, Output>(
    of holder: some PolicyHolder, _ input: Obj<Input>, _ call: Call, _ output: inout Obj<Output>
  ) throws {
    let page = try PageRequest(input, call, filters: [holder.name]).cut(Array(holder.inline.keys)) { $0 }
    output.fields["PolicyNames"] = page.items.wire
    page.close(&output)
  }

  func putUserPolicy(_ input: Obj<PutUserPolicyRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await put(input[.policyName], input[.policyDocument], call) { try await core.user(input[.userName], call.account) }
  }
  func putGroupPolicy(_ input: Obj<PutGroupPolicyRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await put(input[.policyName], input[.policyDocument], call) { try await core.group(input[.groupName], call.account) }
  }
  func putRolePolicy(_ input: Obj<PutRolePolicyRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await put(input[.policyName], input[.policyDocument], call) {
      try await core.changeableRole(input[.roleName], call.account)
    }
  }
  func deleteUserPolicy(_ input: Obj<DeleteUserPolicyRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await delete(input[.policyName], call) { try await core.user(input[.userName], call.account) }
  }
  func deleteGroupPolicy(_ input: Obj<DeleteGroupPolicyRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await delete(input[.policyName], call) { try await core.group(input[.groupName], call.account) }
  }
  func deleteRolePolicy(_ input: Obj<DeleteRolePolicyRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await delete(input[.policyName], call) { try await core.changeableRole(input[.roleName], call.account) }
  }
  func getUserPolicy(_ input: Obj<GetUserPolicyRequest>, _ call: Call) async throws -> Obj<GetUserPolicyResponse> {
    try get(input[.policyName], of: try await core.user(input[.userName], call.account).value, "UserName")
  }
  func getGroupPolicy(_ input: Obj<GetGroupPolicyRequest>, _ call: Call) async throws -> Obj<GetGroupPolicyResponse> {
    try get(input[.policyName], of: try await core.group(input[.groupName], call.account).value, "GroupName")
  }
  func getRolePolicy(_ input: Obj<GetRolePolicyRequest>, _ call: Call) async throws -> Obj<GetRolePolicyResponse> {
    try get(input[.policyName], of: try await core.role(input[.roleName], call.account).value, "RoleName")
  }
  func listUserPolicies(_ input: Obj<ListUserPoliciesRequest>, _ call: Call) async throws -> Obj<ListUserPoliciesResponse> {
    let holder = try await core.user(input[.userName], call.account).value
    return try Obj { try names(of: holder, input, call, &$0) }
  }
  func listGroupPolicies(_ input: Obj<ListGroupPoliciesRequest>, _ call: Call) async throws -> Obj<ListGroupPoliciesResponse> {
    let holder = try await core.group(input[.groupName], call.account).value
    return try Obj { try names(of: holder, input, call, &$0) }
  }
  func listRolePolicies(_ input: Obj<ListRolePoliciesRequest>, _ call: Call) async throws -> Obj<ListRolePoliciesResponse> {
    let holder = try await core.role(input[.roleName], call.account).value
    return try Obj { try names(of: holder, input, call, &$0) }
  }
}
