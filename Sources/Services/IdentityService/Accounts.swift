public import FoundationEssentials
public import RegionKit
import RegionStore
import WireModel

/// An account of this region.
public struct AccountSummary: Sendable, Codable, Equatable {
  public let id: AccountID
  public let name: String
  public let created: Date
}

extension IdentityService {
  /// Makes an account and a key of its root. `id` nil: a random one. The secret is shown only here.
  /// Throws `EntityAlreadyExists` when the account id is taken, `ValidationError` when id or name is not well formed.
  public func createAccount(
    name: String, id: AccountID? = nil
  ) async throws -> (account: AccountID, accessKeyId: String, secretAccessKey: String) {
    guard (1...50).contains(name.count), name.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f }) else {
      throw IdentityErrors.validation("An account name has 1 to 50 characters and no control characters.")
    }
    if let id {
      guard id.isWellFormed, id != AccountAliasRecord.scope.account else {
        throw IdentityErrors.validation("\(id) is not an account id: twelve digits, not all zero.")
      }
    }
    let now = core.clock.now()
    for _ in 0..<16 {
      let account = id ?? AccountID("\(1 + core.random.below(9))" + core.random.text(11, from: "0123456789"))
      let record = AccountRecord(name: name, created: now)
      let secret = AccessKeyID.secret(core.random)
      let keyId = AccessKeyID.make("AKIA", account: account, random: core.random)
      var commit = StoreCommit()
      try commit.put(record, in: IdentityCore.scope(account), id: AccountRecord.id, expecting: .absent)
      try commit.put(
        AccessKeyRecord(id: keyId, user: nil, active: true, created: now, sealedSecret: try core.seal(secret, key: keyId)),
        in: IdentityCore.scope(account), id: keyId, expecting: .absent)
      do {
        try await core.store.commit(commit)
        core.cache.invalidate(account)
        return (account, keyId, secret)
      } catch let conflict as StoreConflict where id != nil && conflict.key.collection == AccountRecord.collection {
        throw IAMErrors.entityAlreadyExistsException("Account \(account) already exists.")
      } catch is StoreConflict {
        continue
      }
    }
    throw AWSError.internalFailure("No free account id was found.")
  }

  /// Every account of the region, ordered by id.
  public func accounts() async throws -> [AccountSummary] {
    try await core.store.listAll(AccountRecord.self)
      .map { AccountSummary(id: $0.scope.account, name: $0.value.name, created: $0.value.created) }
      .sorted { $0.id.rawValue < $1.id.rawValue }
  }

  /// One more key of an account's root, for when the first is lost. Throws `NoSuchEntity` for an unknown account and
  /// `LimitExceeded` when two exist.
  public func createRootKey(account: AccountID) async throws -> (accessKeyId: String, secretAccessKey: String) {
    guard try await core.store.get(AccountRecord.self, in: IdentityCore.scope(account), id: AccountRecord.id) != nil else {
      throw IAMErrors.noSuchEntityException("Account \(account) does not exist in this region.")
    }
    return try await core.addAccessKey(user: nil, account: account)
  }
}

extension IdentityCore {
  func seal(_ secret: String, key id: String) throws -> [UInt8] {
    try secrets.seal(Array(secret.utf8), for: .accessKey, binding: id)
  }

  /// Makes an access key for a user, or for the account's root. At most two each.
  func addAccessKey(user name: String?, account: AccountID) async throws -> (accessKeyId: String, secretAccessKey: String) {
    try await change(account) { commit in
      let now = clock.now()
      let id = AccessKeyID.make("AKIA", account: account, random: random)
      let secret = AccessKeyID.secret(random)
      if let name {
        let stored = try await user(name, account)
        var user = stored.value
        guard user.accessKeys.count < 2 else {
          throw IAMErrors.limitExceededException("Cannot exceed quota for AccessKeysPerUser: 2")
        }
        user.accessKeys.append(id)
        try commit.save(user, account, version: stored.version)
      } else {
        // Written again so that two keys made at once cannot both be the second.
        guard let record = try await store.get(AccountRecord.self, in: Self.scope(account), id: AccountRecord.id) else {
          throw IAMErrors.noSuchEntityException("Account \(account) does not exist in this region.")
        }
        guard try await rootKeys(account).count < 2 else {
          throw IAMErrors.limitExceededException("Cannot exceed quota for AccessKeysPerUser: 2")
        }
        try commit.put(record.value, in: Self.scope(account), id: AccountRecord.id, expecting: .version(record.version))
      }
      try commit.put(
        AccessKeyRecord(id: id, user: name, active: true, created: now, sealedSecret: try seal(secret, key: id)),
        in: Self.scope(account), id: id, expecting: .absent)
      return (id, secret)
    }
  }

  func rootKeys(_ account: AccountID) async throws -> [Stored<AccessKeyRecord>] {
    try await store.list(AccessKeyRecord.self, in: Self.scope(account), StoreQuery(index: ("user", "")))
  }
}
