import RegionKit
import RegionStore
import WireModel

extension IAMOperations {
  func createAccessKey(_ input: Obj<CreateAccessKeyRequest>, _ call: Call) async throws -> Obj<CreateAccessKeyResponse> {
    var name: String?
    if case .named(let user) = try ImpliedUser(input[.userName], call) {
      name = try await core.user(user, call.account).value.name
    }
    let key = try await core.addAccessKey(user: name, account: call.account)
    let record = try await accessKey(key.accessKeyId, call)
    return Obj {
      $0[.accessKey] = Obj<AccessKey> {
        $0[.userName] = name ?? call.account.rawValue
        $0[.accessKeyId] = key.accessKeyId
        $0[.secretAccessKey] = key.secretAccessKey
        $0[.status] = .active
        $0[.createDate] = record.value.created
      }
    }
  }

  private func accessKey(_ id: String, _ call: Call) async throws -> Stored<AccessKeyRecord> {
    guard let found = try await core.store.get(AccessKeyRecord.self, in: IdentityCore.scope(call.account), id: id) else {
      throw IAMErrors.noSuchEntityException("The Access Key with id \(id) cannot be found.")
    }
    return found
  }

  /// The key, which must belong to the user that the request names or implies.
  private func accessKey(_ id: String, of userName: String?, _ call: Call) async throws -> Stored<AccessKeyRecord> {
    let implied = try ImpliedUser(userName, call)
    if case .named(let name) = implied { _ = try await core.user(name, call.account) }
    let found = try await accessKey(id, call)
    let isTheirs: Bool
    switch implied {
    case .named(let name): isTheirs = found.value.user?.asciiLowercased == name.asciiLowercased
    case .root: isTheirs = found.value.user == nil
    }
    guard isTheirs else { throw IAMErrors.noSuchEntityException("The Access Key with id \(id) cannot be found.") }
    return found
  }

  func listAccessKeys(_ input: Obj<ListAccessKeysRequest>, _ call: Call) async throws -> Obj<ListAccessKeysResponse> {
    var index = ""
    var name = call.account.rawValue
    if case .named(let user) = try ImpliedUser(input[.userName], call) {
      name = try await core.user(user, call.account).value.name
      index = name.asciiLowercased
    }
    let keys = try await core.store.list(
      AccessKeyRecord.self, in: IdentityCore.scope(call.account), StoreQuery(index: ("user", index)))
    let page = try PageRequest(input, call, filters: [name]).cut(keys.map(\.value)) { $0.id }
    return Obj {
      $0[.accessKeyMetadata] = page.items.map { key in
        Obj {
          $0[.userName] = name
          $0[.accessKeyId] = key.id
          $0[.status] = key.active ? .active : .inactive
          $0[.createDate] = key.created
        }
      }
      page.close(&$0)
    }
  }

  func updateAccessKey(_ input: Obj<UpdateAccessKeyRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    guard input[.status] == .active || input[.status] == .inactive else {
      throw IAMErrors.invalidInputException("Status must be Active or Inactive; Expired is set by IAM only.")
    }
    try await core.change(call.account) { commit in
      let stored = try await accessKey(input[.accessKeyId], of: input[.userName], call)
      var key = stored.value
      key.active = input[.status] == .active
      try commit.put(key, in: stored.scope, id: stored.id, expecting: .version(stored.version))
    }
    return Obj()
  }

  func deleteAccessKey(_ input: Obj<DeleteAccessKeyRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await core.change(call.account) { commit in
      let stored = try await accessKey(input[.accessKeyId], of: input[.userName], call)
      commit.delete(AccessKeyRecord.self, in: stored.scope, id: stored.id, expecting: .version(stored.version))
      commit.delete(LastUseRecord.self, in: stored.scope, id: stored.id)
      if let name = stored.value.user {
        let owner = try await core.user(name, call.account)
        var user = owner.value
        user.accessKeys.removeAll { $0 == stored.id }
        try commit.save(user, call.account, version: owner.version)
      }
    }
    return Obj()
  }

  func getAccessKeyLastUsed(
    _ input: Obj<GetAccessKeyLastUsedRequest>, _ call: Call
  ) async throws -> Obj<GetAccessKeyLastUsedResponse> {
    let key = try await accessKey(input[.accessKeyId], call).value
    let use = try await lastUse.lastUse(key.id, account: call.account)
    return Obj {
      $0[.userName] = key.user ?? call.account.rawValue
      $0[.accessKeyLastUsed] = Obj<AccessKeyLastUsed> {
        $0[.lastUsedDate] = use?.date
        $0[.serviceName] = use?.service ?? "N/A"
        $0[.region] = use?.region ?? "N/A"
      }
    }
  }
}
