import RegionKit
import RegionStore
import WireModel

extension IAMOperations {
  func createInstanceProfile(
    _ input: Obj<CreateInstanceProfileRequest>, _ call: Call
  ) async throws -> Obj<CreateInstanceProfileResponse> {
    let name = input[.instanceProfileName]
    let tags = try tags(input[.tags])
    let profile = try await core.change(call.account) { commit in
      guard try await core.find(InstanceProfileRecord.self, name, call.account) == nil else {
        throw IAMErrors.entityAlreadyExistsException("Instance Profile \(name) already exists.")
      }
      try await requireRoom(InstanceProfileRecord.self, call.account, 1_000, "InstanceProfilesPerAccount")
      var profile = InstanceProfileRecord(
        name: name, path: path(input[.path]), id: core.uniqueId("AIPA"), created: call.now)
      profile.tags = tags
      try commit.save(profile, call.account, version: nil)
      return profile
    }
    return Obj { $0[.instanceProfile] = profile.shape(call.account, role: nil) }
  }

  private func shape(_ profile: InstanceProfileRecord, _ call: Call) async throws -> Obj<InstanceProfile> {
    var role: RoleRecord?
    if let name = profile.role { role = try await core.find(RoleRecord.self, name, call.account)?.value }
    return profile.shape(call.account, role: role)
  }

  func getInstanceProfile(
    _ input: Obj<GetInstanceProfileRequest>, _ call: Call
  ) async throws -> Obj<GetInstanceProfileResponse> {
    let profile = try await core.profile(input[.instanceProfileName], call.account).value
    let shape = try await shape(profile, call)
    return Obj { $0[.instanceProfile] = shape }
  }

  func listInstanceProfiles(
    _ input: Obj<ListInstanceProfilesRequest>, _ call: Call
  ) async throws -> Obj<ListInstanceProfilesResponse> {
    let prefix = input[.pathPrefix] ?? "/"
    let page = try await PageRequest(input, call, filters: [prefix])
      .records(InstanceProfileRecord.self, core, call.account) { $0.path.hasPrefix(prefix) }
    var shapes: [Obj<InstanceProfile>] = []
    for profile in page.items { shapes.append(try await shape(profile, call)) }
    return Obj {
      $0[.instanceProfiles] = shapes
      page.close(&$0)
    }
  }

  func listInstanceProfilesForRole(
    _ input: Obj<ListInstanceProfilesForRoleRequest>, _ call: Call
  ) async throws -> Obj<ListInstanceProfilesForRoleResponse> {
    let role = try await core.role(input[.roleName], call.account).value
    let page = try PageRequest(input, call, filters: [role.name]).cut(role.profiles) { $0.asciiLowercased }
    var shapes: [Obj<InstanceProfile>] = []
    for name in page.items { shapes.append(try await core.profile(name, call.account).value.shape(call.account, role: role)) }
    return Obj {
      $0[.instanceProfiles] = shapes
      page.close(&$0)
    }
  }

  func deleteInstanceProfile(_ input: Obj<DeleteInstanceProfileRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await core.change(call.account) { commit in
      let stored = try await core.profile(input[.instanceProfileName], call.account)
      guard stored.value.role == nil else {
        throw IAMErrors.deleteConflictException("Cannot delete entity, must remove roles from instance profile first.")
      }
      commit.remove(stored)
    }
    return Obj()
  }

  func addRoleToInstanceProfile(_ input: Obj<AddRoleToInstanceProfileRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await core.change(call.account) { commit in
      let storedProfile = try await core.profile(input[.instanceProfileName], call.account)
      let storedRole = try await core.changeableRole(input[.roleName], call.account)
      var profile = storedProfile.value
      var role = storedRole.value
      guard profile.role == nil else {
        throw IAMErrors.limitExceededException("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
      }
      profile.role = role.name
      role.profiles.append(profile.name)
      try commit.save(profile, call.account, version: storedProfile.version)
      try commit.save(role, call.account, version: storedRole.version)
    }
    return Obj()
  }

  func removeRoleFromInstanceProfile(
    _ input: Obj<RemoveRoleFromInstanceProfileRequest>, _ call: Call
  ) async throws -> Obj<NoMembers> {
    try await core.change(call.account) { commit in
      let storedProfile = try await core.profile(input[.instanceProfileName], call.account)
      let storedRole = try await core.role(input[.roleName], call.account)
      var profile = storedProfile.value
      var role = storedRole.value
      guard profile.role == role.name else {
        throw IAMErrors.noSuchEntityException("Role \(role.name) cannot be found in instance profile \(profile.name).")
      }
      profile.role = nil
      role.profiles.removeAll { $0 == profile.name }
      try commit.save(profile, call.account, version: storedProfile.version)
      try commit.save(role, call.account, version: storedRole.version)
    }
    return Obj()
  }

  func tagInstanceProfile(_ input: Obj<TagInstanceProfileRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await changeProfile(input[.instanceProfileName], call) { $0.tags = try tags(input[.tags], added: $0.tags) }
  }
  func untagInstanceProfile(_ input: Obj<UntagInstanceProfileRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await changeProfile(input[.instanceProfileName], call) { $0.tags = without(input[.tagKeys], $0.tags) }
  }
  func listInstanceProfileTags(
    _ input: Obj<ListInstanceProfileTagsRequest>, _ call: Call
  ) async throws -> Obj<ListInstanceProfileTagsResponse> {
    let profile = try await core.profile(input[.instanceProfileName], call.account).value
    return try Obj { try tagPage(profile, input, call, &$0) }
  }

  private func changeProfile(
    _ name: String, _ call: Call, _ edit: (inout InstanceProfileRecord) throws -> Void
  ) async throws -> Obj<NoMembers> {
    try await core.change(call.account) { commit in
      let stored = try await core.profile(name, call.account)
      var profile = stored.value
      try edit(&profile)
      try commit.save(profile, call.account, version: stored.version)
    }
    return Obj()
  }
}
