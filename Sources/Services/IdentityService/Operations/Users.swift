import FoundationEssentials
import RegionKit
import RegionStore
import WireModel

extension IAMOperations {
  func createUser(_ input: Obj<CreateUserRequest>, _ call: Call) async throws -> Obj<CreateUserResponse> {
    let name = input[.userName]
    let tags = try tags(input[.tags])
    let user = try await core.change(call.account) { commit in
      guard try await core.find(UserRecord.self, name, call.account) == nil else {
        throw IAMErrors.entityAlreadyExistsException("User with name \(name) already exists.")
      }
      var user = UserRecord(name: name, path: path(input[.path]), id: core.uniqueId("AIDA"), created: call.now)
      user.tags = tags
      if let boundary = input[.permissionsBoundary] {
        user.boundary = boundary
        try await use(boundary, by: user.use, as: \.boundary, call.account, &commit)
      }
      try commit.save(user, call.account, version: nil)
      return user
    }
    return Obj { $0[.user] = user.shape(call.account, full: true) }
  }

  func getUser(_ input: Obj<GetUserRequest>, _ call: Call) async throws -> Obj<GetUserResponse> {
    switch try ImpliedUser(input[.userName], call) {
    case .named(let name):
      let user = try await core.user(name, call.account).value
      return Obj { $0[.user] = user.shape(call.account, full: true) }
    case .root:
      let account = try await core.store.get(AccountRecord.self, in: IdentityCore.scope(call.account), id: AccountRecord.id)?
        .value
      return Obj {
        $0[.user] = Obj<User> {
          $0[.path] = "/"
          $0[.userName] = account?.name ?? call.account.rawValue
          $0[.userId] = call.account.rawValue
          $0[.arn] = "arn:aws:iam::\(call.account):root"
          $0[.createDate] = account?.created ?? Date(timeIntervalSince1970: 0)
        }
      }
    }
  }

  func listUsers(_ input: Obj<ListUsersRequest>, _ call: Call) async throws -> Obj<ListUsersResponse> {
    let prefix = input[.pathPrefix] ?? "/"
    let page = try await PageRequest(input, call, filters: [prefix])
      .records(UserRecord.self, core, call.account) { $0.path.hasPrefix(prefix) }
    return Obj {
      $0[.users] = page.items.map { $0.shape(call.account, full: false) }
      page.close(&$0)
    }
  }

  func deleteUser(_ input: Obj<DeleteUserRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await core.change(call.account) { commit in
      let stored = try await core.user(input[.userName], call.account)
      let user = stored.value
      let obstacles: [(Bool, String)] = [
        (user.login == nil, "must delete login profile first."), (user.accessKeys.isEmpty, "must delete access keys first."),
        (user.attached.isEmpty, "must detach all policies first."), (user.inline.isEmpty, "must delete policies first."),
        (user.groups.isEmpty, "must remove users from group first."),
        (user.sshKeys.isEmpty, "must delete SSH public keys first."),
        (user.serviceCredentials.isEmpty, "must delete service-specific credentials first."),
      ]
      if let obstacle = obstacles.first(where: { !$0.0 }) {
        throw IAMErrors.deleteConflictException("Cannot delete entity, \(obstacle.1)")
      }
      if let boundary = user.boundary { try await release(boundary, of: user.use, as: \.boundary, call.account, &commit) }
      commit.remove(stored)
    }
    return Obj()
  }

  func tagUser(_ input: Obj<TagUserRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await changeUser(input[.userName], call) { $0.tags = try tags(input[.tags], added: $0.tags) }
  }
  func untagUser(_ input: Obj<UntagUserRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await changeUser(input[.userName], call) { $0.tags = without(input[.tagKeys], $0.tags) }
  }
  func listUserTags(_ input: Obj<ListUserTagsRequest>, _ call: Call) async throws -> Obj<ListUserTagsResponse> {
    let user = try await core.user(input[.userName], call.account).value
    return try Obj { try tagPage(user, input, call, &$0) }
  }

  /// Reads a user, lets `edit` change it and writes it back.
  func changeUser(_ name: String, _ call: Call, _ edit: (inout UserRecord) throws -> Void) async throws -> Obj<NoMembers> {
    try await core.change(call.account) { commit in
      let stored = try await core.user(name, call.account)
      var user = stored.value
      try edit(&user)
      try commit.save(user, call.account, version: stored.version)
    }
    return Obj()
  }

  func putUserPermissionsBoundary(
    _ input: Obj<PutUserPermissionsBoundaryRequest>, _ call: Call
  ) async throws -> Obj<NoMembers> {
    try await setBoundary(input[.permissionsBoundary], call) { try await core.user(input[.userName], call.account) }
  }
  func deleteUserPermissionsBoundary(
    _ input: Obj<DeleteUserPermissionsBoundaryRequest>, _ call: Call
  ) async throws -> Obj<NoMembers> {
    try await setBoundary(nil, call) { try await core.user(input[.userName], call.account) }
  }

  /// Sets or takes away the boundary of a user or role.
  func setBoundary<Holder: BoundedHolder>(
    _ arn: String?, _ call: Call, _ find: () async throws -> Stored<Holder>
  ) async throws -> Obj<NoMembers> {
    try await core.change(call.account) { commit in
      let stored = try await find()
      var holder = stored.value
      if holder.boundary == arn {
        guard arn != nil else {
          throw IAMErrors.noSuchEntityException("\(Holder.noun.capitalizedFirst) \(holder.name) has no permissions boundary.")
        }
        return
      }
      if let old = holder.boundary { try await release(old, of: holder.use, as: \.boundary, call.account, &commit) }
      if let arn { try await use(arn, by: holder.use, as: \.boundary, call.account, &commit) }
      holder.boundary = arn
      try commit.save(holder, call.account, version: stored.version)
    }
    return Obj()
  }
}

extension String {
  var capitalizedFirst: String { prefix(1).uppercased() + dropFirst() }
}
