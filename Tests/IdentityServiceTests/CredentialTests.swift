import FoundationEssentials
import Ports
import RegionKit
import RegionStore
import RoadsteadTesting
import WireModel
import XCTest

@testable import IdentityService

final class CredentialTests: XCTestCase {
  func testKeyIdsCarryTheirAccount() {
    let random = SeededRandomness(seed: 3)
    var seen: Set<String> = []
    for account in ["000000000001", "123456789012", "999999999999", "100000000000"] {
      for _ in 0..<200 {
        let id = AccessKeyID.make("AKIA", account: AccountID(account), random: random)
        XCTAssertEqual(id.count, 20)
        XCTAssertEqual(AccessKeyID.account(of: id)?.rawValue, account)
        XCTAssertTrue(seen.insert(id).inserted)
      }
    }
    for bad in ["", "AKIA", "AKIAIOSFODNN7EXAMPL1", "BKIAQQQQQQQQQQQQQQQQ", "AKIAAAAAAAAAAAAAAAAA", "AKIA7777777777777777"] {
      XCTAssertNil(AccessKeyID.account(of: bad), bad)
    }
    XCTAssertEqual(AccessKeyID.secret(random).count, 40)
  }

  func testRootKeyResolvesAndUnknownOnesDoNot() async throws {
    let region = try await TestRegion()
    let identity = try await region.service.resolve(accessKeyId: region.rootKey.id, sessionToken: nil, now: region.clock.now())
    XCTAssertEqual(identity.secretAccessKey, region.rootKey.secret)
    XCTAssertEqual(identity.principal.arn, "arn:aws:iam::123456789012:root")
    XCTAssertEqual(identity.principal.userId, "123456789012")
    let stranger = AccessKeyID.make("AKIA", account: region.account, random: SeededRandomness(seed: 77))
    await expectProblem(.unknownKey) {
      try await region.service.resolve(accessKeyId: stranger, sessionToken: nil, now: region.clock.now())
    }
    await expectProblem(.unknownKey) {
      try await region.service.resolve(accessKeyId: "nonsense", sessionToken: nil, now: region.clock.now())
    }
  }

  private func expectProblem(
    _ problem: CredentialProblem, line: UInt = #line, _ body: () async throws -> SigningIdentity
  ) async {
    do {
      let identity = try await body()
      XCTFail("resolved \(identity.principal.arn)", line: line)
    } catch { XCTAssertEqual(error as? CredentialProblem, problem, "\(error)", line: line) }
  }

  func testSecretsAreSealedInTheStore() async throws {
    let region = try await TestRegion()
    let record = try await region.store.get(
      AccessKeyRecord.self, in: Scope(account: region.account, region: .global), id: region.rootKey.id)
    let sealed = try XCTUnwrap(record?.value.sealedSecret)
    XCTAssertFalse(String(decoding: sealed, as: UTF8.self).contains(region.rootKey.secret))
    // Another region key cannot open it, and says so instead of calling the key unknown.
    let other = IdentityService(
      store: region.store, clock: region.clock, random: SeededRandomness(seed: 1), sealingKey: [UInt8](repeating: 8, count: 32))
    await expect("InternalFailure", status: 500) {
      try await other.resolve(accessKeyId: region.rootKey.id, sessionToken: nil, now: region.clock.now())
    }
  }

  func testCachedKeysFollowChangesAtOnce() async throws {
    let region = try await TestRegion()
    let alice = try await region.user("alice")
    let key = try XCTUnwrap(alice.accessKeyId)
    func resolve() async throws -> SigningIdentity {
      try await region.service.resolve(accessKeyId: key, sessionToken: nil, now: region.clock.now())
    }
    _ = try await resolve()
    try await region.iam("UpdateAccessKey", ["UserName": "alice", "AccessKeyId": .string(key), "Status": "Inactive"])
    await expectProblem(.inactiveKey) { try await resolve() }
    try await region.iam("UpdateAccessKey", ["UserName": "alice", "AccessKeyId": .string(key), "Status": "Active"])
    _ = try await resolve()
    try await region.iam("DeleteAccessKey", ["UserName": "alice", "AccessKeyId": .string(key)])
    await expectProblem(.unknownKey) { try await resolve() }
  }

  func testCachedPoliciesFollowChangesAtOnce() async throws {
    let region = try await TestRegion()
    let alice = try await region.user("alice", policy: TestRegion.allow("s3:*"))
    let before = await region.may(alice, "s3:GetObject")
    XCTAssertTrue(before)
    try await region.iam("DeleteUserPolicy", ["UserName": "alice", "PolicyName": "p"])
    let without = await region.may(alice, "s3:GetObject")
    XCTAssertFalse(without)
    // Through a group and a managed policy whose default version changes.
    try await region.iam("CreateGroup", ["GroupName": "devs"])
    let policy = try await region.iam("CreatePolicy", ["PolicyName": "m", "PolicyDocument": .string(TestRegion.allow("s3:*"))])[
      "Policy", "Arn"]
    try await region.iam("AttachGroupPolicy", ["GroupName": "devs", "PolicyArn": policy])
    try await region.iam("AddUserToGroup", ["GroupName": "devs", "UserName": "alice"])
    let inGroup = await region.may(alice, "s3:GetObject")
    XCTAssertTrue(inGroup)
    try await region.iam(
      "CreatePolicyVersion", ["PolicyArn": policy, "PolicyDocument": .string(TestRegion.allow("ec2:*")), "SetAsDefault": true])
    let changed = await region.may(alice, "s3:GetObject")
    XCTAssertFalse(changed)
    try await region.iam("SetDefaultPolicyVersion", ["PolicyArn": policy, "VersionId": "v1"])
    let restored = await region.may(alice, "s3:GetObject")
    XCTAssertTrue(restored)
    try await region.iam("RemoveUserFromGroup", ["GroupName": "devs", "UserName": "alice"])
    let left = await region.may(alice, "s3:GetObject")
    XCTAssertFalse(left)
  }

  func testDamagedSessionTokensAreRefused() async throws {
    let region = try await TestRegion()
    let alice = try await region.user("alice")
    let answer = try await region.sts("GetSessionToken", [:], as: alice)
    let id = answer["Credentials", "AccessKeyId"].text
    let token = answer["Credentials", "SessionToken"].text
    let session = try await region.principal(answer)
    XCTAssertEqual(session.arn, alice.arn)
    XCTAssertEqual(session.issuedAt, region.clock.now())
    var random = SeededGenerator(seed: 5)
    for _ in 0..<500 {
      var bytes = Array(Data(base64Encoded: token)!)
      bytes[random.below(bytes.count)] ^= UInt8(1 + random.below(255))
      let damaged = Data(bytes).base64EncodedString()
      await expectProblem(.invalidToken) {
        try await region.service.resolve(accessKeyId: id, sessionToken: damaged, now: region.clock.now())
      }
    }
    await expectProblem(.invalidToken) {
      try await region.service.resolve(accessKeyId: id, sessionToken: nil, now: region.clock.now())
    }
    let another = try await region.sts("GetSessionToken", [:], as: alice)["Credentials", "AccessKeyId"].text
    await expectProblem(.invalidToken) {
      try await region.service.resolve(accessKeyId: another, sessionToken: token, now: region.clock.now())
    }
    let later = region.clock.now().addingTimeInterval(43_201)
    await expectProblem(.expiredToken) { try await region.service.resolve(accessKeyId: id, sessionToken: token, now: later) }
  }

  func testDeletedAndRemadePrincipalsDoNotInherit() async throws {
    let region = try await TestRegion()
    try await region.iam(
      "CreateRole", ["RoleName": "r", "AssumeRolePolicyDocument": .string(TestRegion.trust("{\"AWS\":\"123456789012\"}"))])
    try await region.iam(
      "PutRolePolicy", ["RoleName": "r", "PolicyName": "p", "PolicyDocument": .string(TestRegion.allow("s3:*"))])
    let answer = try await region.sts("AssumeRole", ["RoleArn": "arn:aws:iam::123456789012:role/r", "RoleSessionName": "ss"])
    let session = try await region.principal(answer)
    let before = await region.may(session, "s3:GetObject")
    XCTAssertTrue(before)
    try await region.iam("DeleteRolePolicy", ["RoleName": "r", "PolicyName": "p"])
    try await region.iam("DeleteRole", ["RoleName": "r"])
    let gone = await region.may(session, "s3:GetObject")
    XCTAssertFalse(gone)
    try await region.iam("CreateRole", ["RoleName": "r", "AssumeRolePolicyDocument": .string(TestRegion.trustEC2)])
    try await region.iam(
      "PutRolePolicy", ["RoleName": "r", "PolicyName": "p", "PolicyDocument": .string(TestRegion.allow("s3:*"))])
    let impostor = await region.may(session, "s3:GetObject")
    XCTAssertFalse(impostor)
  }

  func testAccounts() async throws {
    let region = try await TestRegion()
    let made = try await region.service.createAccount(name: "team-b")
    XCTAssertTrue(made.account.isWellFormed)
    let names = try await region.service.accounts().map(\.name).sorted()
    XCTAssertEqual(names, ["main", "team-b"])
    await expect("EntityAlreadyExists") { try await region.service.createAccount(name: "x", id: region.account) }
    await expect("ValidationError") { try await region.service.createAccount(name: "", id: nil) }
    await expect("ValidationError") { try await region.service.createAccount(name: "x", id: AccountID("12")) }
    let other = try await region.service.resolve(accessKeyId: made.accessKeyId, sessionToken: nil, now: region.clock.now())
      .principal
    // Each account has its own users.
    try await region.iam("CreateUser", ["UserName": "same"])
    try await region.iam("CreateUser", ["UserName": "same"], as: other)
    let foreign = await region.may(other, "iam:GetUser", on: "arn:aws:iam::123456789012:user/same")
    XCTAssertFalse(foreign)
    _ = try await region.service.createRootKey(account: made.account)
    await expect("LimitExceeded") { try await region.service.createRootKey(account: made.account) }
    await expect("NoSuchEntity") { try await region.service.createRootKey(account: AccountID("111111111111")) }
  }
}
