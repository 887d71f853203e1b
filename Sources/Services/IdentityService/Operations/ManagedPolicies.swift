import RegionKit
import RegionStore
import WireModel

extension IAMOperations {
  func createPolicy(_ input: Obj<CreatePolicyRequest>, _ call: Call) async throws -> Obj<CreatePolicyResponse> {
    let name = input[.policyName]
    let tags = try tags(input[.tags])
    let document = input[.policyDocument]
    try checkManaged(document)
    let policy = try await core.change(call.account) { commit in
      guard try await core.find(PolicyRecord.self, name, call.account) == nil else {
        throw IAMErrors.entityAlreadyExistsException("A policy called \(name) already exists. Duplicate names are not allowed.")
      }
      try await requireRoom(PolicyRecord.self, call.account, 1_500, "PoliciesPerAccount")
      let policy = PolicyRecord(
        name: name, path: path(input[.path]), id: core.uniqueId("ANPA"), created: call.now, updated: call.now,
        description: input[.description], tags: tags, defaultVersion: "v1",
        versions: [PolicyRecord.Version(id: "v1", document: document, created: call.now)], nextVersion: 2)
      try commit.save(policy, call.account, version: nil)
      return policy
    }
    return Obj { $0[.policy] = policy.shape(call.account, use: nil, full: true) }
  }

  /// A managed policy's document: readable, and at most 6,144 characters without white space.
  private func checkManaged(_ document: String) throws {
    try check(document, as: .identity)
    guard PolicyText.size(document) <= 6_144 else {
      throw IAMErrors.limitExceededException("Cannot exceed quota for PolicySize: 6144")
    }
  }

  /// A policy of the account for a change; AWS's own cannot be changed.
  private func ownPolicy(_ arn: String, _ call: Call) async throws -> Stored<PolicyRecord> {
    if AWSManagedPolicy.byARN[arn] != nil {
      throw IdentityErrors.accessDenied(
        "\(arn) is managed by AWS and cannot be changed. Make a policy of your own from its document.")
    }
    return try await existing(arn, call)
  }

  private func existing(_ arn: String, _ call: Call) async throws -> Stored<PolicyRecord> {
    guard let parsed = ARN(arn), parsed.service == "iam", parsed.resource.hasPrefix("policy/") else {
      throw IAMErrors.invalidInputException("ARN \(arn) is not valid.")
    }
    guard let found = try await core.policy(arn, call.account) else {
      throw IAMErrors.noSuchEntityException("Policy \(arn) was not found.")
    }
    return found
  }

  func getPolicy(_ input: Obj<GetPolicyRequest>, _ call: Call) async throws -> Obj<GetPolicyResponse> {
    let arn = input[.policyArn]
    let use = try await useRecord(arn, call.account)?.value
    if let aws = AWSManagedPolicy.byARN[arn] { return Obj { $0[.policy] = aws.shape(use: use, full: true) } }
    let policy = try await existing(arn, call).value
    return Obj { $0[.policy] = policy.shape(call.account, use: use, full: true) }
  }

  func getPolicyVersion(_ input: Obj<GetPolicyVersionRequest>, _ call: Call) async throws -> Obj<GetPolicyVersionResponse> {
    let arn = input[.policyArn]
    let id = input[.versionId]
    if let aws = AWSManagedPolicy.byARN[arn] {
      guard id == aws.version else { throw noVersion(arn, id) }
      return Obj { $0[.policyVersion] = shape(aws, withDocument: true) }
    }
    let policy = try await existing(arn, call).value
    guard let version = policy.versions.first(where: { $0.id == id }) else { throw noVersion(arn, id) }
    return Obj { $0[.policyVersion] = policy.shape(of: version, withDocument: true) }
  }

  private func shape(_ aws: AWSManagedPolicy, withDocument: Bool) -> Obj<PolicyVersion> {
    Obj {
      $0[.versionId] = aws.version
      $0[.isDefaultVersion] = true
      $0[.createDate] = aws.created
      if withDocument { $0[.document] = PolicyText.encoded(aws.document) }
    }
  }

  private func noVersion(_ arn: String, _ id: String) -> AWSError {
    IAMErrors.noSuchEntityException("Policy \(arn) version \(id) does not exist or is not attachable.")
  }

  func listPolicyVersions(
    _ input: Obj<ListPolicyVersionsRequest>, _ call: Call
  ) async throws -> Obj<ListPolicyVersionsResponse> {
    let arn = input[.policyArn]
    let shapes: [Obj<PolicyVersion>]
    if let aws = AWSManagedPolicy.byARN[arn] {
      shapes = [shape(aws, withDocument: false)]
    } else {
      let policy = try await existing(arn, call).value
      shapes = policy.versions.map { policy.shape(of: $0, withDocument: false) }
    }
    // Newest first, as IAM lists them.
    let page = try PageRequest(input, call, filters: [arn]).cut(shapes) { shape in
      let number = 1_000_000 - (Int((shape[.versionId] ?? "v0").dropFirst()) ?? 0)
      return String(number)
    }
    return Obj {
      $0[.versions] = page.items
      page.close(&$0)
    }
  }

  func listPolicies(_ input: Obj<ListPoliciesRequest>, _ call: Call) async throws -> Obj<ListPoliciesResponse> {
    let scope = input[.scope] ?? .all
    let prefix = input[.pathPrefix] ?? "/"
    let usage = input[.policyUsageFilter]
    let attachedOnly = input[.onlyAttached] ?? false
    let uses = Dictionary(
      uniqueKeysWithValues: try await core.store.list(PolicyUseRecord.self, in: IdentityCore.scope(call.account))
        .map { ($0.id, $0.value) })
    func wanted(_ arn: String, _ path: String) -> Bool {
      guard path.hasPrefix(prefix) else { return false }
      let use = uses[arn] ?? PolicyUseRecord()
      if attachedOnly && use.attached.isEmpty { return false }
      switch usage {
      case .permissionsPolicy?: return !use.attached.isEmpty
      case .permissionsBoundary?: return !use.boundary.isEmpty
      default: return true
      }
    }
    var found: [(key: String, shape: Obj<Policy>)] = []
    if scope != .aws {
      for stored in try await core.store.list(PolicyRecord.self, in: IdentityCore.scope(call.account)) {
        let policy = stored.value
        let arn = policy.arn(call.account)
        if wanted(arn, policy.path) {
          found.append(("0" + stored.id, policy.shape(call.account, use: uses[arn], full: false)))
        }
      }
    }
    if scope != .local {
      for policy in AWSManagedPolicy.all where wanted(policy.arn, policy.path) {
        found.append(("1" + policy.name, policy.shape(use: uses[policy.arn], full: false)))
      }
    }
    let page = try PageRequest(
      input, call, filters: [scope.rawValue, prefix, usage?.rawValue ?? "", String(attachedOnly)]
    ).cut(found) { $0.key }
    return Obj {
      $0[.policies] = page.items.map(\.shape)
      page.close(&$0)
    }
  }

  func deletePolicy(_ input: Obj<DeletePolicyRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    let arn = input[.policyArn]
    try await core.change(call.account) { commit in
      let stored = try await ownPolicy(arn, call)
      let use = try await useRecord(arn, call.account)
      guard use?.value.isEmpty ?? true else {
        throw IAMErrors.deleteConflictException("Cannot delete a policy attached to entities.")
      }
      guard stored.value.versions.count == 1 else {
        throw IAMErrors.deleteConflictException(
          "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default "
            + "version is deleted with the policy.")
      }
      commit.remove(stored)
      commit.delete(
        PolicyUseRecord.self, in: IdentityCore.scope(call.account), id: arn,
        expecting: use.map { .version($0.version) } ?? .absent)
    }
    return Obj()
  }

  func createPolicyVersion(
    _ input: Obj<CreatePolicyVersionRequest>, _ call: Call
  ) async throws -> Obj<CreatePolicyVersionResponse> {
    let document = input[.policyDocument]
    let (policy, version) = try await core.change(call.account) { commit in
      let stored = try await ownPolicy(input[.policyArn], call)
      try checkManaged(document)
      var policy = stored.value
      guard policy.versions.count < 5 else {
        throw IAMErrors.limitExceededException(
          "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.")
      }
      let version = PolicyRecord.Version(id: "v\(policy.nextVersion)", document: document, created: call.now)
      policy.versions.append(version)
      policy.nextVersion += 1
      policy.updated = call.now
      if input[.setAsDefault] == true { policy.defaultVersion = version.id }
      try commit.save(policy, call.account, version: stored.version)
      return (policy, version)
    }
    return Obj { $0[.policyVersion] = policy.shape(of: version, withDocument: false) }
  }

  func deletePolicyVersion(_ input: Obj<DeletePolicyVersionRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await changePolicy(input[.policyArn], call) { policy in
      guard policy.versions.contains(where: { $0.id == input[.versionId] }) else {
        throw noVersion(input[.policyArn], input[.versionId])
      }
      guard policy.defaultVersion != input[.versionId] else {
        throw IAMErrors.deleteConflictException("Cannot delete the default version of a policy.")
      }
      policy.versions.removeAll { $0.id == input[.versionId] }
    }
  }

  func setDefaultPolicyVersion(_ input: Obj<SetDefaultPolicyVersionRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await changePolicy(input[.policyArn], call) { policy in
      guard policy.versions.contains(where: { $0.id == input[.versionId] }) else {
        throw noVersion(input[.policyArn], input[.versionId])
      }
      policy.defaultVersion = input[.versionId]
      policy.updated = call.now
    }
  }

  func tagPolicy(_ input: Obj<TagPolicyRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await changePolicy(input[.policyArn], call) { $0.tags = try tags(input[.tags], added: $0.tags) }
  }
  func untagPolicy(_ input: Obj<UntagPolicyRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await changePolicy(input[.policyArn], call) { $0.tags = without(input[.tagKeys], $0.tags) }
  }
  func listPolicyTags(_ input: Obj<ListPolicyTagsRequest>, _ call: Call) async throws -> Obj<ListPolicyTagsResponse> {
    if AWSManagedPolicy.byARN[input[.policyArn]] != nil {
      return Obj {
        $0[.tags] = []
        $0[.isTruncated] = false
      }
    }
    let policy = try await existing(input[.policyArn], call).value
    return try Obj { try tagPage(policy, input, call, &$0) }
  }

  private func changePolicy(
    _ arn: String, _ call: Call, _ edit: (inout PolicyRecord) throws -> Void
  ) async throws -> Obj<NoMembers> {
    try await core.change(call.account) { commit in
      let stored = try await ownPolicy(arn, call)
      var policy = stored.value
      try edit(&policy)
      try commit.save(policy, call.account, version: stored.version)
    }
    return Obj()
  }
}
