import RegionKit
import RegionStore
import WireModel

/// Managed policies on users, roles and groups: the same three operations for each kind.
extension IAMOperations {
  private func attach<Holder: PolicyHolder>(
    _ arn: String, _ call: Call, to find: () async throws -> Stored<Holder>
  ) async throws -> Obj<NoMembers> {
    try await core.change(call.account) { commit in
      let stored = try await find()
      var holder = stored.value
      _ = try await requirePolicy(arn, call.account)
      guard !holder.attached.contains(arn) else { return }
      guard holder.attached.count < Holder.limits.attached else {
        throw IAMErrors.limitExceededException(
          "Cannot exceed quota for \(Holder.limits.attachedQuota): \(Holder.limits.attached)")
      }
      try await use(arn, by: holder.use, as: \.attached, call.account, &commit)
      holder.attached.append(arn)
      try commit.save(holder, call.account, version: stored.version)
    }
    return Obj()
  }

  private func detach<Holder: PolicyHolder>(
    _ arn: String, _ call: Call, from find: () async throws -> Stored<Holder>
  ) async throws -> Obj<NoMembers> {
    try await core.change(call.account) { commit in
      let stored = try await find()
      var holder = stored.value
      guard holder.attached.contains(arn) else { throw IAMErrors.noSuchEntityException("Policy \(arn) was not found.") }
      try await release(arn, of: holder.use, as: \.attached, call.account, &commit)
      holder.attached.removeAll { $0 == arn }
      try commit.save(holder, call.account, version: stored.version)
    }
    return Obj()
  }

  private func attached<Input, Output>(
    to holder: some PolicyHolder, _ input: Obj<Input>, _ call: Call, _ output: inout Obj<Output>
  ) throws {
    let prefix = input.fields["PathPrefix"]?.asString ?? "/"
    let matching = holder.attached.filter { Self.policyPath($0).hasPrefix(prefix) }
    let page = try PageRequest(input, call, filters: [holder.name, prefix]).cut(matching) { $0 }
    let shapes = page.items.map { arn in
      Obj<AttachedPolicy> {
        $0[.policyName] = ARNName.last(arn)
        $0[.policyArn] = arn
      }
    }
    output.fields["AttachedPolicies"] = shapes.wire
    page.close(&output)
  }

  /// `/service-role/` of `arn:aws:iam::aws:policy/service-role/AWSCodeDeployRole`.
  static func policyPath(_ arn: String) -> String {
    guard let resource = ARN(arn)?.resource, let start = resource.firstIndex(of: "/"), let end = resource.lastIndex(of: "/")
    else {
      return "/"
    }
    return String(resource[start...end])
  }

  func attachUserPolicy(_ input: Obj<AttachUserPolicyRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await attach(input[.policyArn], call) { try await core.user(input[.userName], call.account) }
  }
  func attachGroupPolicy(_ input: Obj<AttachGroupPolicyRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await attach(input[.policyArn], call) { try await core.group(input[.groupName], call.account) }
  }
  func attachRolePolicy(_ input: Obj<AttachRolePolicyRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await attach(input[.policyArn], call) { try await core.changeableRole(input[.roleName], call.account) }
  }
  func detachUserPolicy(_ input: Obj<DetachUserPolicyRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await detach(input[.policyArn], call) { try await core.user(input[.userName], call.account) }
  }
  func detachGroupPolicy(_ input: Obj<DetachGroupPolicyRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await detach(input[.policyArn], call) { try await core.group(input[.groupName], call.account) }
  }
  func detachRolePolicy(_ input: Obj<DetachRolePolicyRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await detach(input[.policyArn], call) { try await core.changeableRole(input[.roleName], call.account) }
  }

  func listAttachedUserPolicies(
    _ input: Obj<ListAttachedUserPoliciesRequest>, _ call: Call
  ) async throws -> Obj<ListAttachedUserPoliciesResponse> {
    let holder = try await core.user(input[.userName], call.account).value
    return try Obj { try attached(to: holder, input, call, &$0) }
  }
  func listAttachedGroupPolicies(
    _ input: Obj<ListAttachedGroupPoliciesRequest>, _ call: Call
  ) async throws -> Obj<ListAttachedGroupPoliciesResponse> {
    let holder = try await core.group(input[.groupName], call.account).value
    return try Obj { try attached(to: holder, input, call, &$0) }
  }
  func listAttachedRolePolicies(
    _ input: Obj<ListAttachedRolePoliciesRequest>, _ call: Call
  ) async throws -> Obj<ListAttachedRolePoliciesResponse> {
    let holder = try await core.role(input[.roleName], call.account).value
    return try Obj { try attached(to: holder, input, call, &$0) }
  }

  func listEntitiesForPolicy(
    _ input: Obj<ListEntitiesForPolicyRequest>, _ call: Call
  ) async throws -> Obj<ListEntitiesForPolicyResponse> {
    let arn = input[.policyArn]
    guard try await core.managedDocument(arn, call.account) != nil else {
      throw IAMErrors.noSuchEntityException("Policy \(arn) was not found.")
    }
    let record = try await useRecord(arn, call.account)?.value ?? PolicyUseRecord()
    var uses: [PolicyUseRecord.Use] = []
    if input[.policyUsageFilter] != .permissionsBoundary { uses += record.attached }
    if input[.policyUsageFilter] != .permissionsPolicy { uses += record.boundary }
    // An entity may have the policy attached and as its boundary; it is listed once.
    var seen: Set<String> = []
    uses = uses.filter { seen.insert($0.id).inserted }
    let prefix = input[.pathPrefix] ?? "/"
    let wanted: [EntityType: PolicyUseRecord.Kind] = [.user: .user, .role: .role, .group: .group]
    uses = uses.filter { use in
      guard use.path.hasPrefix(prefix) else { return false }
      guard let filter = input[.entityFilter], let kind = wanted[filter] else { return true }
      return use.kind == kind
    }
    let page = try PageRequest(input, call, filters: [arn, prefix, input[.entityFilter]?.rawValue ?? ""])
      .cut(uses) { "\($0.kind.rawValue)/\($0.name.asciiLowercased)" }
    func shapes<Shape>(_ kind: PolicyUseRecord.Kind, _ noun: String) -> [Obj<Shape>] {
      page.items.filter { $0.kind == kind }.map { use in
        Obj(fields: ["\(noun)Name": .string(use.name), "\(noun)Id": .string(use.id)])
      }
    }
    return Obj {
      $0[.policyGroups] = shapes(.group, "Group")
      $0[.policyUsers] = shapes(.user, "User")
      $0[.policyRoles] = shapes(.role, "Role")
      page.close(&$0)
    }
  }
}
