import FoundationEssentials
import Ports
import RegionKit
import RegionStore
import RoadsteadTesting
import Synchronization
import WireModel
import XCTest

@testable import IdentityService

/// Counts reads, and can refuse writes.
private final class CountingStore: RegionStore {
  let inner: any RegionStore
  let reads = Atomic<Int>(0)
  let refusesWrites = Atomic<Bool>(false)
  init(_ inner: any RegionStore) { self.inner = inner }

  func get<Record: StoredRecord>(_ type: Record.Type, in scope: Scope, id: String) async throws -> Stored<Record>? {
    reads.add(1, ordering: .relaxed)
    return try await inner.get(type, in: scope, id: id)
  }
  func list<Record: StoredRecord>(_ type: Record.Type, in scope: Scope, _ query: StoreQuery) async throws -> [Stored<Record>] {
    reads.add(1, ordering: .relaxed)
    return try await inner.list(type, in: scope, query)
  }
  func listAll<Record: StoredRecord>(_ type: Record.Type) async throws -> [Stored<Record>] {
    reads.add(1, ordering: .relaxed)
    return try await inner.listAll(type)
  }
  func commit(_ commit: StoreCommit) async throws {
    if refusesWrites.load(ordering: .relaxed) { throw AWSError.internalFailure("the disk is full") }
    try await inner.commit(commit)
  }
}

final class FastPathTests: XCTestCase {
  /// Signing in and asking for permission read the store once; then the cache answers, for keys and for session tokens.
  func testCachedCallsReadNothing() async throws {
    let store = CountingStore(MemoryStore())
    let region = try await TestRegion(store: store)
    let alice = try await region.user("alice", policy: TestRegion.allow("s3:*"))
    try await region.iam("AttachUserPolicy", ["UserName": "alice", "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"])
    let session = try await region.sts("GetSessionToken", [:], as: alice)["Credentials"]
    let key = try XCTUnwrap(alice.accessKeyId)
    func once() async throws {
      let signed = try await region.service.resolve(accessKeyId: key, sessionToken: nil, now: region.clock.now())
      try await region.service.authorize(AuthorizationRequest("s3:PutObject"), principal: signed.principal, facts: region.facts)
      try await region.sts("GetCallerIdentity", [:], as: signed.principal)
      let temporary = try await region.service.resolve(
        accessKeyId: session["AccessKeyId"].text, sessionToken: session["SessionToken"].text, now: region.clock.now())
      try await region.service.authorize(
        AuthorizationRequest("ec2:DescribeInstances"), principal: temporary.principal, facts: region.facts)
    }
    try await once()
    let before = store.reads.load(ordering: .relaxed)
    for _ in 0..<100 { try await once() }
    XCTAssertEqual(store.reads.load(ordering: .relaxed), before)
  }

  /// A call is not refused because the note of a key's last use cannot be written.
  func testBookkeepingNeverRefusesACall() async throws {
    let store = CountingStore(MemoryStore())
    let region = try await TestRegion(store: store)
    let alice = try await region.user("alice", policy: TestRegion.allow("s3:*"))
    store.refusesWrites.store(true, ordering: .relaxed)
    try await region.service.authorize(AuthorizationRequest("s3:GetObject"), principal: alice, facts: region.facts)
    await expect("InternalFailure") { try await region.iam("CreateUser", ["UserName": "bob"]) }
    store.refusesWrites.store(false, ordering: .relaxed)
    // Nothing half-done: the name is free.
    try await region.iam("CreateUser", ["UserName": "bob"])
  }

  /// The first lines of lab 1, as the CLI sends them, and what the three services then see.
  func testLabOneSetup() async throws {
    let region = try await TestRegion()
    try await region.iam(
      "CreateRole",
      [
        "RoleName": "CodeDeployServiceRole",
        "AssumeRolePolicyDocument": .string(TestRegion.trust("{\"Service\":\"codedeploy.amazonaws.com\"}")),
      ])
    try await region.iam(
      "AttachRolePolicy",
      [
        "RoleName": "CodeDeployServiceRole", "PolicyArn": "arn:aws:iam::aws:policy/service-role/AWSCodeDeployRole",
      ])
    try await region.iam("CreateRole", ["RoleName": "web", "AssumeRolePolicyDocument": .string(TestRegion.trustEC2)])
    try await region.iam(
      "PutRolePolicy",
      [
        "RoleName": "web", "PolicyName": "read-bundles",
        "PolicyDocument": .string(
          document(
            statement("Allow", "s3:Get*", "arn:aws:s3:::lab-bundles/*"),
            statement("Allow", "s3:List*", "arn:aws:s3:::lab-bundles"))),
      ])
    try await region.iam("CreateInstanceProfile", ["InstanceProfileName": "web"])
    try await region.iam("AddRoleToInstanceProfile", ["InstanceProfileName": "web", "RoleName": "web"])
    let role = "arn:aws:iam::123456789012:role/CodeDeployServiceRole"
    let deployer = try await region.service.servicePrincipal(
      roleARN: role, service: "codedeploy.amazonaws.com", sessionName: "d-ABCDEFGHI", account: region.account)
    let describes = await region.may(deployer, "ec2:DescribeInstances")
    let reads = await region.may(deployer, "s3:GetObject", on: "arn:aws:s3:::lab-bundles/app.zip")
    XCTAssertTrue(describes && !reads)
    let found = try await region.service.instanceProfile("web", account: region.account)
    let credentials = try await region.service.instanceCredentials(
      profileARN: try XCTUnwrap(found).arn, instanceId: "i-0123456789abcdef0", account: region.account, lifetime: 21_600)
    let instance = try await region.service.resolve(
      accessKeyId: credentials.accessKeyId, sessionToken: credentials.sessionToken, now: region.clock.now()
    ).principal
    let fetches = await region.may(instance, "s3:GetObject", on: "arn:aws:s3:::lab-bundles/app.zip")
    let other = await region.may(instance, "s3:GetObject", on: "arn:aws:s3:::other/app.zip")
    XCTAssertTrue(fetches && !other)
    XCTAssertEqual(credentials.expiration.timeIntervalSince(region.clock.now()), 21_600)
  }
}
