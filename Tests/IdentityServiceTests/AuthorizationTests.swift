import FoundationEssentials
import RegionKit
import RegionStore
import RoadsteadTesting
import WireModel
import XCTest

@testable import IdentityService

final class AuthorizationTests: XCTestCase {
  /// Every listed operation asks for exactly its own action, on the entity it is about.
  func testEveryOperationAsksForItsOwnAction() async throws {
    let region = try await TestRegion()
    try await region.iam("CreateUser", ["UserName": "u", "Path": "/up/", "Tags": [["Key": "team", "Value": "blue"]]])
    try await region.iam("CreateGroup", ["GroupName": "g", "Path": "/gp/"])
    try await region.iam(
      "CreateRole", ["RoleName": "r", "Path": "/rp/", "AssumeRolePolicyDocument": .string(TestRegion.trustEC2)])
    try await region.iam("CreateInstanceProfile", ["InstanceProfileName": "i", "Path": "/ip/"])
    let policy = "arn:aws:iam::123456789012:policy/x"
    for operation in region.service.iam.handlers.keys.sorted() {
      let shape = region.service.iam.model.operations[operation].flatMap { region.service.iam.model.inputShape($0) }
      let members = Set(shape?.members.map(\.name) ?? [])
      var input: [String: WireValue] = [:]
      for (member, value) in [
        ("UserName", "u"), ("GroupName", "g"), ("RoleName", "r"), ("InstanceProfileName", "i"), ("PolicyArn", policy),
        ("PolicySourceArn", policy), ("PolicyName", "pn"), ("AWSServiceName", "ecs.amazonaws.com"),
      ] where members.contains(member) { input[member] = .string(value) }
      let asked = try await region.service.iam.authorization(
        for: operation, input: input, call: region.call("iam", operation, as: region.root))
      XCTAssertEqual(asked.first?.action, "iam:\(operation)")
      XCTAssertEqual(asked.count, operation == "AddRoleToInstanceProfile" ? 2 : 1, operation)
      let start = "arn:aws:iam::123456789012:"
      let wanted: String? =
        switch operation {
        case "ListUsers": start + "user/"
        case "ListGroups": start + "group/"
        case "ListRoles": start + "role/"
        case "ListInstanceProfiles": start + "instance-profile/"
        case "ListPolicies": start + "policy/"
        case "CreatePolicy": start + "policy/pn"
        case _ where members.contains("GroupName"): start + "group/gp/g"
        case _ where members.contains("InstanceProfileName"): start + "instance-profile/ip/i"
        case _ where members.contains("RoleName"): start + "role/rp/r"
        case _ where members.contains("UserName"): start + "user/up/u"
        case "CreateServiceLinkedRole": start + "role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"
        case _ where members.contains("PolicyArn") || members.contains("PolicySourceArn"): policy
        default: "*"
        }
      XCTAssertEqual(asked.first?.resource, wanted, operation)
      if operation == "TagUser" { XCTAssertEqual(asked.first?.context["aws:ResourceTag/team"], ["blue"]) }
    }
    XCTAssertEqual(region.service.iam.handlers.count, 100)
    XCTAssertEqual(
      region.service.sts.handlers.keys.sorted(),
      ["AssumeRole", "GetAccessKeyInfo", "GetCallerIdentity", "GetFederationToken", "GetSessionToken"])
  }

  func testDenialNamesEverything() async throws {
    let region = try await TestRegion()
    let alice = try await region.user("alice")
    let message = await expect("AccessDenied", status: 403) {
      try await region.iam("CreateRole", ["RoleName": "r", "AssumeRolePolicyDocument": .string(TestRegion.trustEC2)], as: alice)
    }
    XCTAssertEqual(
      message,
      "User: arn:aws:iam::123456789012:user/alice is not authorized to perform: iam:CreateRole on resource: "
        + "arn:aws:iam::123456789012:role/r because no identity-based policy allows the iam:CreateRole action")
  }

  func testConditionsOnIAMItself() async throws {
    let region = try await TestRegion()
    let readOnly = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    let boundary = try await region.iam(
      "CreatePolicy", ["PolicyName": "edge", "PolicyDocument": .string(TestRegion.allow("s3:*"))])[
        "Policy", "Arn"
      ].text
    let alice = try await region.user(
      "alice",
      policy: document(
        statement("Allow", "iam:AttachUserPolicy", condition: "{\"ArnEquals\":{\"iam:PolicyARN\":\"\(readOnly)\"}}"),
        statement("Allow", "iam:CreateUser", condition: "{\"StringEquals\":{\"iam:PermissionsBoundary\":\"\(boundary)\"}}"),
        statement(
          "Allow", "iam:CreateRole",
          condition:
            "{\"StringEquals\":{\"aws:RequestTag/team\":\"blue\"},\"ForAllValues:StringEquals\":{\"aws:TagKeys\":\"team\"}}")))
    try await region.iam("AttachUserPolicy", ["UserName": "alice", "PolicyArn": .string(readOnly)], as: alice)
    await expect("AccessDenied") {
      try await region.iam(
        "AttachUserPolicy", ["UserName": "alice", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"], as: alice)
    }
    await expect("AccessDenied") { try await region.iam("CreateUser", ["UserName": "bob"], as: alice) }
    try await region.iam("CreateUser", ["UserName": "bob", "PermissionsBoundary": .string(boundary)], as: alice)
    let role: [String: WireValue] = ["RoleName": "r", "AssumeRolePolicyDocument": .string(TestRegion.trustEC2)]
    await expect("AccessDenied") { try await region.iam("CreateRole", role, as: alice) }
    await expect("AccessDenied") {
      try await region.iam(
        "CreateRole", role.merging(["Tags": [["Key": "team", "Value": "blue"], ["Key": "x", "Value": "y"]]]) { $1 }, as: alice)
    }
    try await region.iam("CreateRole", role.merging(["Tags": [["Key": "team", "Value": "blue"]]]) { $1 }, as: alice)
  }

  func testInstanceProfilesNeedPassRole() async throws {
    let region = try await TestRegion()
    try await region.iam("CreateRole", ["RoleName": "r", "AssumeRolePolicyDocument": .string(TestRegion.trustEC2)])
    try await region.iam("CreateInstanceProfile", ["InstanceProfileName": "i"])
    let alice = try await region.user("alice", policy: TestRegion.allow("iam:AddRoleToInstanceProfile"))
    let input: [String: WireValue] = ["InstanceProfileName": "i", "RoleName": "r"]
    await expect("AccessDenied", containing: "iam:PassRole") {
      try await region.iam("AddRoleToInstanceProfile", input, as: alice)
    }
    let pass = document(
      statement("Allow", "iam:AddRoleToInstanceProfile"),
      statement(
        "Allow", "iam:PassRole", "arn:aws:iam::123456789012:role/r",
        condition: "{\"StringEquals\":{\"iam:PassedToService\":\"ec2.amazonaws.com\"}}"))
    try await region.iam("PutUserPolicy", ["UserName": "alice", "PolicyName": "p", "PolicyDocument": .string(pass)])
    try await region.iam("AddRoleToInstanceProfile", input, as: alice)
  }

  /// A policy that somehow cannot be read denies, and says so.
  func testUnreadableStoredPolicyDenies() async throws {
    let region = try await TestRegion()
    let alice = try await region.user("alice", policy: TestRegion.allow("s3:*"))
    let stored = try await region.store.get(UserRecord.self, in: IdentityCore.scope(region.account), id: "alice")
    var user = try XCTUnwrap(stored).value
    user.inline["broken"] = document(statement(condition: "{\"FutureOperator\":{\"a:b\":\"c\"}}"))
    let changed = user
    try await region.service.core.change(region.account) { commit in
      try commit.put(changed, in: IdentityCore.scope(region.account), id: "alice")
    }
    await expect("AccessDenied", containing: "cannot be read") {
      try await region.service.authorize(AuthorizationRequest("s3:GetObject"), principal: alice, facts: region.facts)
    }
    await expect("AccessDenied", containing: "a resource-based policy that applies cannot be read") {
      try await region.service.authorize(
        AuthorizationRequest("s3:GetObject", resourcePolicy: "{}"), principal: region.root, facts: region.facts)
    }
  }

  // MARK: Races

  func testManyCreatesOfOneNameMakeOne() async throws {
    let region = try await TestRegion(store: try SQLiteStore(inMemory: VirtualClock()))
    let made = await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<20 {
        group.addTask {
          do {
            try await region.iam("CreateRole", ["RoleName": "one", "AssumeRolePolicyDocument": .string(TestRegion.trustEC2)])
            return true
          } catch { return (error as? AWSError)?.code != "EntityAlreadyExists" }
        }
      }
      return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
    }
    XCTAssertEqual(made, 1)
  }

  func testQuotasHoldAgainstConcurrentCallers() async throws {
    let region = try await TestRegion(store: try SQLiteStore(inMemory: VirtualClock()))
    try await region.iam("CreateUser", ["UserName": "u"])
    try await region.iam("CreateInstanceProfile", ["InstanceProfileName": "i"])
    for index in 0..<8 {
      try await region.iam(
        "CreateRole", ["RoleName": .string("r\(index)"), "AssumeRolePolicyDocument": .string(TestRegion.trustEC2)])
    }
    await withTaskGroup(of: Void.self) { group in
      for index in 0..<8 {
        group.addTask { _ = try? await region.iam("CreateAccessKey", ["UserName": "u"]) }
        group.addTask { _ = try? await region.iam("CreateAccessKey") }
        group.addTask {
          _ = try? await region.iam("AddRoleToInstanceProfile", ["InstanceProfileName": "i", "RoleName": .string("r\(index)")])
        }
      }
    }
    let keys = try await region.iam("ListAccessKeys", ["UserName": "u"])["AccessKeyMetadata"].asList?.count
    let roots = try await region.iam("ListAccessKeys")["AccessKeyMetadata"].asList?.count
    XCTAssertEqual(keys, 2)
    XCTAssertEqual(roots, 2)
    var holders = 0
    for index in 0..<8 {
      holders +=
        try await region.iam("ListInstanceProfilesForRole", ["RoleName": .string("r\(index)")])["InstanceProfiles"].asList?.count
        ?? 0
    }
    XCTAssertEqual(holders, 1)
  }

  /// A policy is never deleted under an attachment made at the same moment, nor a group under a new member.
  func testDeletionAndUseExcludeEachOther() async throws {
    for seed in 0..<25 {
      let region = try await TestRegion(seed: UInt64(seed), store: try SQLiteStore(inMemory: VirtualClock()))
      try await region.iam("CreateUser", ["UserName": "u"])
      try await region.iam("CreateGroup", ["GroupName": "g"])
      let arn = try await region.iam("CreatePolicy", ["PolicyName": "p", "PolicyDocument": .string(TestRegion.allow("s3:*"))])[
        "Policy", "Arn"]
      await withTaskGroup(of: Void.self) { group in
        group.addTask { _ = try? await region.iam("AttachUserPolicy", ["UserName": "u", "PolicyArn": arn]) }
        group.addTask { _ = try? await region.iam("DeletePolicy", ["PolicyArn": arn]) }
        group.addTask { _ = try? await region.iam("AddUserToGroup", ["UserName": "u", "GroupName": "g"]) }
        group.addTask { _ = try? await region.iam("DeleteGroup", ["GroupName": "g"]) }
      }
      let attached = try await region.iam("ListAttachedUserPolicies", ["UserName": "u"])["AttachedPolicies"].asList?.count
      let policies = try await region.iam("ListPolicies", ["Scope": "Local"])["Policies"].asList?.count
      XCTAssertEqual(attached, policies)
      let groups = try await region.iam("ListGroupsForUser", ["UserName": "u"])["Groups"].asList?.count
      let all = try await region.iam("ListGroups")["Groups"].asList?.count
      XCTAssertEqual(groups, all)
    }
  }
}
