import Crypto
import FoundationEssentials
import RegionKit
import RegionStore
import WireModel

/// What every operation of IAM and STS works with. The service is the only writer of its collections, so after each of its
/// commits the caches of that account are dropped, and no other invalidation is needed.
final class IdentityCore: Sendable {
  let store: any RegionStore
  let clock: any RegionClock
  let random: any Randomness
  let secrets: SecretBox
  let cache = PrincipalCache()
  let documents = PolicyDocumentCache()
  /// PBKDF2 rounds for console passwords.
  let passwordRounds: Int

  init(
    store: any RegionStore, clock: any RegionClock, random: any Randomness, sealingKey: [UInt8], passwordRounds: Int
  ) {
    self.store = store
    self.clock = clock
    self.random = random
    self.passwordRounds = passwordRounds
    secrets = SecretBox(regionKey: sealingKey, random: random)
  }

  static func scope(_ account: AccountID) -> Scope { Scope(account: account, region: .global) }

  /// Reads, decides and commits; when the commit loses a race, does it all again. Nothing is written when `body` throws.
  func change<Value>(
    _ account: AccountID, _ body: (inout StoreCommit) async throws -> Value
  ) async throws -> Value {
    for _ in 0..<64 {
      var commit = StoreCommit()
      let value = try await body(&commit)
      if commit.writes.isEmpty { return value }
      do {
        try await store.commit(commit)
      } catch is StoreConflict {
        continue
      }
      cache.invalidate(account)
      return value
    }
    throw IAMErrors.concurrentModificationException(
      "The request was rejected because other requests keep changing the same entity. Wait a moment and try again.")
  }

  func find<Record: NamedRecord>(_ type: Record.Type, _ name: String, _ account: AccountID) async throws -> Stored<Record>? {
    try await store.get(type, in: Self.scope(account), id: Record.key(name))
  }

  func user(_ name: String, _ account: AccountID) async throws -> Stored<UserRecord> {
    guard let found = try await find(UserRecord.self, name, account) else {
      throw IAMErrors.noSuchEntityException("The user with name \(name) cannot be found.")
    }
    return found
  }
  func role(_ name: String, _ account: AccountID) async throws -> Stored<RoleRecord> {
    guard let found = try await find(RoleRecord.self, name, account) else {
      throw IAMErrors.noSuchEntityException("The role with name \(name) cannot be found.")
    }
    return found
  }
  func group(_ name: String, _ account: AccountID) async throws -> Stored<GroupRecord> {
    guard let found = try await find(GroupRecord.self, name, account) else {
      throw IAMErrors.noSuchEntityException("The group with name \(name) cannot be found.")
    }
    return found
  }
  func profile(_ name: String, _ account: AccountID) async throws -> Stored<InstanceProfileRecord> {
    guard let found = try await find(InstanceProfileRecord.self, name, account) else {
      throw IAMErrors.noSuchEntityException("Instance Profile \(name) cannot be found.")
    }
    return found
  }

  /// A role that no service owns: service-linked roles are changed only by their service.
  func changeableRole(_ name: String, _ account: AccountID) async throws -> Stored<RoleRecord> {
    let role = try await role(name, account)
    if let service = role.value.linkedService {
      throw IAMErrors.unmodifiableEntityException(
        "Cannot perform the operation on the protected role '\(role.value.name)' - this role is only modifiable by \(service).")
    }
    return role
  }

  /// A unique id: four letters that say what it is, and seventeen of the base 32 alphabet.
  func uniqueId(_ prefix: String) -> String { prefix + random.base32(17) }
}

extension StoreCommit {
  /// Writes a named record back, expecting the version that was read; nil: it must not exist yet.
  mutating func save<Record: NamedRecord>(_ record: Record, _ account: AccountID, version: Int64?) throws {
    try put(
      record, in: IdentityCore.scope(account), id: Record.key(record.name),
      expecting: version.map(Expectation.version) ?? .absent)
  }
  mutating func remove<Record: NamedRecord>(_ stored: Stored<Record>) {
    delete(Record.self, in: stored.scope, id: stored.id, expecting: .version(stored.version))
  }
}

extension PolicyHolder {
  static var useKind: PolicyUseRecord.Kind {
    switch noun {
    case "user": .user
    case "role": .role
    default: .group
    }
  }
  var use: PolicyUseRecord.Use { PolicyUseRecord.Use(kind: Self.useKind, name: name, id: id, path: path) }
}
