import RegionKit
import RegionStore
import WireModel

extension IAMOperations {
  func createGroup(_ input: Obj<CreateGroupRequest>, _ call: Call) async throws -> Obj<CreateGroupResponse> {
    let name = input[.groupName]
    let group = try await core.change(call.account) { commit in
      guard try await core.find(GroupRecord.self, name, call.account) == nil else {
        throw IAMErrors.entityAlreadyExistsException("Group with name \(name) already exists.")
      }
      try await requireRoom(GroupRecord.self, call.account, 300, "GroupsPerAccount")
      let group = GroupRecord(name: name, path: path(input[.path]), id: core.uniqueId("AGPA"), created: call.now)
      try commit.save(group, call.account, version: nil)
      return group
    }
    return Obj { $0[.group] = group.shape(call.account) }
  }

  func getGroup(_ input: Obj<GetGroupRequest>, _ call: Call) async throws -> Obj<GetGroupResponse> {
    let group = try await core.group(input[.groupName], call.account).value
    let page = try PageRequest(input, call, filters: [group.name]).cut(group.members) { $0.asciiLowercased }
    var users: [UserRecord] = []
    for name in page.items {
      if let user = try await core.find(UserRecord.self, name, call.account) { users.append(user.value) }
    }
    return Obj {
      $0[.group] = group.shape(call.account)
      $0[.users] = users.map { $0.shape(call.account, full: false) }
      page.close(&$0)
    }
  }

  func listGroups(_ input: Obj<ListGroupsRequest>, _ call: Call) async throws -> Obj<ListGroupsResponse> {
    let prefix = input[.pathPrefix] ?? "/"
    let page = try await PageRequest(input, call, filters: [prefix])
      .records(GroupRecord.self, core, call.account) { $0.path.hasPrefix(prefix) }
    return Obj {
      $0[.groups] = page.items.map { $0.shape(call.account) }
      page.close(&$0)
    }
  }

  func listGroupsForUser(_ input: Obj<ListGroupsForUserRequest>, _ call: Call) async throws -> Obj<ListGroupsForUserResponse> {
    let user = try await core.user(input[.userName], call.account).value
    let page = try PageRequest(input, call, filters: [user.name]).cut(user.groups) { $0.asciiLowercased }
    var groups: [GroupRecord] = []
    for name in page.items { groups.append(try await core.group(name, call.account).value) }
    return Obj {
      $0[.groups] = groups.map { $0.shape(call.account) }
      page.close(&$0)
    }
  }

  func deleteGroup(_ input: Obj<DeleteGroupRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await core.change(call.account) { commit in
      let stored = try await core.group(input[.groupName], call.account)
      let group = stored.value
      guard group.members.isEmpty else {
        throw IAMErrors.deleteConflictException("Cannot delete entity, must remove users from group first.")
      }
      guard group.attached.isEmpty else {
        throw IAMErrors.deleteConflictException("Cannot delete entity, must detach all policies first.")
      }
      guard group.inline.isEmpty else {
        throw IAMErrors.deleteConflictException("Cannot delete entity, must delete policies first.")
      }
      commit.remove(stored)
    }
    return Obj()
  }

  func addUserToGroup(_ input: Obj<AddUserToGroupRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await membership(input[.groupName], input[.userName], call) { user, group in
      guard !user.groups.contains(group.name) else { return false }
      guard user.groups.count < 10 else { throw IAMErrors.limitExceededException("Cannot exceed quota for GroupsPerUser: 10") }
      user.groups.append(group.name)
      group.members.append(user.name)
      return true
    }
  }

  func removeUserFromGroup(_ input: Obj<RemoveUserFromGroupRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await membership(input[.groupName], input[.userName], call) { user, group in
      guard user.groups.contains(group.name) else { return false }
      user.groups.removeAll { $0 == group.name }
      group.members.removeAll { $0 == user.name }
      return true
    }
  }

  /// Both sides of a membership change in one commit, so that neither a user nor a group can be deleted under it.
  private func membership(
    _ groupName: String, _ userName: String, _ call: Call, _ edit: (inout UserRecord, inout GroupRecord) throws -> Bool
  ) async throws -> Obj<NoMembers> {
    try await core.change(call.account) { commit in
      let storedGroup = try await core.group(groupName, call.account)
      let storedUser = try await core.user(userName, call.account)
      var user = storedUser.value
      var group = storedGroup.value
      guard try edit(&user, &group) else { return }
      try commit.save(user, call.account, version: storedUser.version)
      try commit.save(group, call.account, version: storedGroup.version)
    }
    return Obj()
  }
}
