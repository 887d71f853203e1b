import RegionKit
import RegionStore
import WireModel

/// Who uses a managed policy is kept beside it, so that DeletePolicy and an attachment made at the same moment cannot both
/// succeed.
extension IAMOperations {
  func useRecord(_ arn: String, _ account: AccountID) async throws -> Stored<PolicyUseRecord>? {
    try await core.store.get(PolicyUseRecord.self, in: IdentityCore.scope(account), id: arn)
  }

  /// Throws `NoSuchEntity` unless the ARN is one of AWS's policies or one of the account's; returns the name.
  func requirePolicy(_ arn: String, _ account: AccountID) async throws -> String {
    if let aws = AWSManagedPolicy.byARN[arn] { return aws.name }
    guard let parsed = ARN(arn), parsed.service == "iam", parsed.resource.hasPrefix("policy/") else {
      throw IdentityErrors.validation("ARN \(arn) is not valid.")
    }
    guard let policy = try await core.policy(arn, account) else {
      if parsed.account == "aws" {
        throw IAMErrors.noSuchEntityException(
          "Policy \(arn) does not exist or is not attachable. This region knows \(AWSManagedPolicy.all.count) of AWS's managed "
            + "policies: see ListPolicies with Scope AWS.")
      }
      throw IAMErrors.noSuchEntityException("Policy \(arn) does not exist or is not attachable.")
    }
    return policy.value.name
  }

  /// Notes a use in the commit. `kind` says whether it is attached or a boundary.
  func use(
    _ arn: String, by use: PolicyUseRecord.Use, as kind: WritableKeyPath<PolicyUseRecord, [PolicyUseRecord.Use]>,
    _ account: AccountID, _ commit: inout StoreCommit
  ) async throws {
    let name = try await requirePolicy(arn, account)
    let stored = try await useRecord(arn, account)
    var record = stored?.value ?? PolicyUseRecord()
    record[keyPath: kind].append(use)
    try commit.put(
      record, in: IdentityCore.scope(account), id: arn, expecting: stored.map { .version($0.version) } ?? .absent)
    if AWSManagedPolicy.byARN[arn] == nil {
      commit.require(PolicyRecord.self, in: IdentityCore.scope(account), id: PolicyRecord.key(name), .present)
    }
  }

  func release(
    _ arn: String, of use: PolicyUseRecord.Use, as kind: WritableKeyPath<PolicyUseRecord, [PolicyUseRecord.Use]>,
    _ account: AccountID, _ commit: inout StoreCommit
  ) async throws {
    guard let stored = try await useRecord(arn, account) else { return }
    var record = stored.value
    record[keyPath: kind].removeAll { $0.kind == use.kind && $0.id == use.id }
    // Kept even when empty: DeletePolicy relies on its version.
    try commit.put(record, in: IdentityCore.scope(account), id: arn, expecting: .version(stored.version))
  }
}
