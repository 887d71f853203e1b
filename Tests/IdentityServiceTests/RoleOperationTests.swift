import FoundationEssentials
import Ports
import RegionKit
import RoadsteadTesting
import WireModel
import XCTest

@testable import IdentityService

final class RoleOperationTests: XCTestCase {
  private let trust: WireValue = .string(TestRegion.trustEC2)

  func testRoleLifeCycle() async throws {
    let region = try await TestRegion()
    let made = try await region.iam(
      "CreateRole",
      ["RoleName": "Web", "AssumeRolePolicyDocument": trust, "Description": "d", "Tags": [["Key": "a", "Value": "1"]]])
    XCTAssertEqual(made["Role", "Arn"].text, "arn:aws:iam::123456789012:role/Web")
    XCTAssertTrue(made["Role", "RoleId"].text.hasPrefix("AROA"))
    XCTAssertEqual(made["Role", "MaxSessionDuration"].asInt, 3_600)
    // Policies in answers are percent-encoded.
    XCTAssertTrue(made["Role", "AssumeRolePolicyDocument"].text.hasPrefix("%7B%22Version%22%3A%222012-10-17%22"))
    await expect("EntityAlreadyExists", status: 409, containing: "Role with name web already exists.") {
      try await region.iam("CreateRole", ["RoleName": "web", "AssumeRolePolicyDocument": trust])
    }
    await expect("MalformedPolicyDocument", status: 400) {
      try await region.iam("CreateRole", ["RoleName": "x", "AssumeRolePolicyDocument": "{}"])
    }
    await expect("MalformedPolicyDocument", containing: "Has prohibited field Resource") {
      try await region.iam(
        "CreateRole",
        [
          "RoleName": "x",
          "AssumeRolePolicyDocument": .string(TestRegion.trustEC2.replacing("\"Action\"", with: "\"Resource\":\"*\",\"Action\"")),
        ])
    }
    await expect("MalformedPolicyDocument", containing: "Invalid principal in policy") {
      try await region.iam(
        "CreateRole",
        [
          "RoleName": "x",
          "AssumeRolePolicyDocument": .string(TestRegion.trust("{\"AWS\":\"arn:aws:iam::123456789012:user/nobody\"}")),
        ])
    }
    await expect("LimitExceeded", containing: "ACLSizePerRole") {
      let long = TestRegion.trust(
        "{\"AWS\":\"123456789012\"}", condition: "{\"StringEquals\":{\"a:b\":\"\(String(repeating: "x", count: 2_100))\"}}")
      return try await region.iam("CreateRole", ["RoleName": "x", "AssumeRolePolicyDocument": .string(long)])
    }
    await expect("ValidationError") {
      try await region.iam("CreateRole", ["RoleName": "x", "Path": "/aws-service-role/a/", "AssumeRolePolicyDocument": trust])
    }
    try await region.iam("UpdateRole", ["RoleName": "Web", "Description": "new", "MaxSessionDuration": 7_200])
    let described = try await region.iam("UpdateRoleDescription", ["RoleName": "Web", "Description": "newer"])
    XCTAssertEqual(described["Role", "Description"].text, "newer")
    try await region.iam(
      "UpdateAssumeRolePolicy",
      ["RoleName": "Web", "PolicyDocument": .string(TestRegion.trust("{\"Service\":\"lambda.amazonaws.com\"}"))])
    await expect("MalformedPolicyDocument") {
      try await region.iam("UpdateAssumeRolePolicy", ["RoleName": "Web", "PolicyDocument": "x"])
    }
    try await region.iam("TagRole", ["RoleName": "Web", "Tags": [["Key": "b", "Value": "2"]]])
    try await region.iam("UntagRole", ["RoleName": "Web", "TagKeys": ["a"]])
    let tags = try await region.iam("ListRoleTags", ["RoleName": "Web"])
    XCTAssertEqual(tags["Tags", "0", "Key"].text, "b")
    let read = try await region.iam("GetRole", ["RoleName": "Web"])
    XCTAssertEqual(read["Role", "MaxSessionDuration"].asInt, 7_200)
    XCTAssertTrue(read["Role", "AssumeRolePolicyDocument"].text.contains("lambda"))
    let listed = try await region.iam("ListRoles")
    XCTAssertEqual(listed["Roles"].asList?.count, 1)
    try await region.iam("DeleteRole", ["RoleName": "Web"])
    await expect("NoSuchEntity", status: 404, containing: "The role with name Web cannot be found.") {
      try await region.iam("GetRole", ["RoleName": "Web"])
    }
  }

  func testInstanceProfiles() async throws {
    let region = try await TestRegion()
    try await region.iam("CreateRole", ["RoleName": "web", "AssumeRolePolicyDocument": trust])
    let made = try await region.iam("CreateInstanceProfile", ["InstanceProfileName": "web", "Path": "/p/"])
    XCTAssertEqual(made["InstanceProfile", "Arn"].text, "arn:aws:iam::123456789012:instance-profile/p/web")
    XCTAssertTrue(made["InstanceProfile", "InstanceProfileId"].text.hasPrefix("AIPA"))
    XCTAssertEqual(made["InstanceProfile", "Roles"].asList?.count, 0)
    await expect("EntityAlreadyExists", containing: "Instance Profile WEB already exists.") {
      try await region.iam("CreateInstanceProfile", ["InstanceProfileName": "WEB"])
    }
    try await region.iam("AddRoleToInstanceProfile", ["InstanceProfileName": "web", "RoleName": "web"])
    await expect("LimitExceeded", status: 409, containing: "InstanceSessionsPerInstanceProfile: 1") {
      try await region.iam("AddRoleToInstanceProfile", ["InstanceProfileName": "web", "RoleName": "web"])
    }
    let read = try await region.iam("GetInstanceProfile", ["InstanceProfileName": "web"])
    XCTAssertEqual(read["InstanceProfile", "Roles", "0", "RoleName"].text, "web")
    let ofRole = try await region.iam("ListInstanceProfilesForRole", ["RoleName": "web"])
    XCTAssertEqual(ofRole["InstanceProfiles", "0", "InstanceProfileName"].text, "web")
    let all = try await region.iam("ListInstanceProfiles", ["PathPrefix": "/p/"])
    XCTAssertEqual(all["InstanceProfiles"].asList?.count, 1)
    await expect("DeleteConflict", containing: "must remove roles from instance profile first.") {
      try await region.iam("DeleteRole", ["RoleName": "web"])
    }
    await expect("DeleteConflict") { try await region.iam("DeleteInstanceProfile", ["InstanceProfileName": "web"]) }
    try await region.iam("RemoveRoleFromInstanceProfile", ["InstanceProfileName": "web", "RoleName": "web"])
    await expect("NoSuchEntity") {
      try await region.iam("RemoveRoleFromInstanceProfile", ["InstanceProfileName": "web", "RoleName": "web"])
    }
    try await region.iam(
      "TagInstanceProfile", ["InstanceProfileName": "web", "Tags": [["Key": "k", "Value": "v"], ["Key": "l", "Value": "w"]]])
    try await region.iam("UntagInstanceProfile", ["InstanceProfileName": "web", "TagKeys": ["l"]])
    let tags = try await region.iam("ListInstanceProfileTags", ["InstanceProfileName": "web"])
    XCTAssertEqual(tags["Tags"].asList?.count, 1)
    try await region.iam("DeleteInstanceProfile", ["InstanceProfileName": "web"])
    try await region.iam("DeleteRole", ["RoleName": "web"])
    await expect("NoSuchEntity", containing: "Instance Profile web cannot be found.") {
      try await region.iam("GetInstanceProfile", ["InstanceProfileName": "web"])
    }
  }

  func testServiceLinkedRoles() async throws {
    let region = try await TestRegion()
    let made = try await region.iam(
      "CreateServiceLinkedRole", ["AWSServiceName": "autoscaling.amazonaws.com", "CustomSuffix": "x"])
    XCTAssertEqual(
      made["Role", "Arn"].text,
      "arn:aws:iam::123456789012:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling_x")
    let arn = made["Role", "Arn"].text
    let trusted = try await region.service.canAssume(roleARN: arn, service: "autoscaling.amazonaws.com", account: region.account)
    XCTAssertTrue(trusted)
    let acting = try await region.service.servicePrincipal(
      roleARN: arn, service: "autoscaling.amazonaws.com", sessionName: "a", account: region.account)
    let launches = await region.may(acting, "ec2:RunInstances")
    let other = await region.may(acting, "iam:CreateUser")
    XCTAssertTrue(launches && !other)
    let name = made["Role", "RoleName"]
    await expect("UnmodifiableEntity") { try await region.iam("DeleteRole", ["RoleName": name]) }
    await expect("UnmodifiableEntity") {
      try await region.iam("AttachRolePolicy", ["RoleName": name, "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"])
    }
    await expect("UnmodifiableEntity") {
      try await region.iam("UpdateAssumeRolePolicy", ["RoleName": name, "PolicyDocument": trust])
    }
    await expect("InvalidInput") {
      try await region.iam("CreateServiceLinkedRole", ["AWSServiceName": "autoscaling.amazonaws.com", "CustomSuffix": "x"])
    }
    await expect("InvalidInput") { try await region.iam("CreateServiceLinkedRole", ["AWSServiceName": "unknown.amazonaws.com"]) }
    await expect("InvalidInput") {
      try await region.iam("CreateServiceLinkedRole", ["AWSServiceName": "ecs.amazonaws.com", "CustomSuffix": "x"])
    }
    let task = try await region.iam("DeleteServiceLinkedRole", ["RoleName": name])["DeletionTaskId"]
    let status = try await region.iam("GetServiceLinkedRoleDeletionStatus", ["DeletionTaskId": task])
    XCTAssertEqual(status["Status"].text, "SUCCEEDED")
    await expect("NoSuchEntity") { try await region.iam("GetRole", ["RoleName": name]) }
    await expect("NoSuchEntity") { try await region.iam("GetServiceLinkedRoleDeletionStatus", ["DeletionTaskId": "task/x"]) }
  }

  func testRoleLastUsed() async throws {
    let region = try await TestRegion()
    try await region.iam(
      "CreateRole", ["RoleName": "r", "AssumeRolePolicyDocument": .string(TestRegion.trust("{\"AWS\":\"123456789012\"}"))])
    let before = try await region.iam("GetRole", ["RoleName": "r"])
    XCTAssertEqual(before["Role", "RoleLastUsed"].asObject?.count, 0)
    try await region.sts("AssumeRole", ["RoleArn": "arn:aws:iam::123456789012:role/r", "RoleSessionName": "ss"])
    let after = try await region.iam("GetRole", ["RoleName": "r"])
    XCTAssertEqual(after["Role", "RoleLastUsed", "Region"].text, "us-east-1")
  }
}

final class PolicyOperationTests: XCTestCase {
  private let read: WireValue = .string(TestRegion.allow("s3:Get*"))

  func testManagedPoliciesAndVersions() async throws {
    let region = try await TestRegion()
    let made = try await region.iam(
      "CreatePolicy", ["PolicyName": "Read", "Path": "/t/", "PolicyDocument": read, "Description": "d"])
    let arn = made["Policy", "Arn"]
    XCTAssertEqual(arn.text, "arn:aws:iam::123456789012:policy/t/Read")
    XCTAssertTrue(made["Policy", "PolicyId"].text.hasPrefix("ANPA"))
    XCTAssertEqual(made["Policy", "DefaultVersionId"].text, "v1")
    await expect("EntityAlreadyExists", containing: "A policy called read already exists") {
      try await region.iam("CreatePolicy", ["PolicyName": "read", "PolicyDocument": read])
    }
    await expect("MalformedPolicyDocument", containing: "Unknown condition operator") {
      try await region.iam(
        "CreatePolicy",
        ["PolicyName": "x", "PolicyDocument": .string(document(statement(condition: "{\"StringIs\":{\"a:b\":\"c\"}}")))])
    }
    await expect("LimitExceeded", containing: "PolicySize: 6144") {
      try await region.iam(
        "CreatePolicy",
        [
          "PolicyName": "x",
          "PolicyDocument": .string(TestRegion.allow("s3:*", on: "arn:aws:s3:::" + String(repeating: "x", count: 6_144))),
        ])
    }
    for _ in 0..<4 { try await region.iam("CreatePolicyVersion", ["PolicyArn": arn, "PolicyDocument": read]) }
    await expect("LimitExceeded", containing: "up to 5 versions") {
      try await region.iam("CreatePolicyVersion", ["PolicyArn": arn, "PolicyDocument": read])
    }
    await expect("DeleteConflict", containing: "default version") {
      try await region.iam("DeletePolicyVersion", ["PolicyArn": arn, "VersionId": "v1"])
    }
    try await region.iam("SetDefaultPolicyVersion", ["PolicyArn": arn, "VersionId": "v3"])
    try await region.iam("DeletePolicyVersion", ["PolicyArn": arn, "VersionId": "v5"])
    let next = try await region.iam("CreatePolicyVersion", ["PolicyArn": arn, "PolicyDocument": read, "SetAsDefault": true])
    XCTAssertEqual(next["PolicyVersion", "VersionId"].text, "v6")
    let versions = try await region.iam("ListPolicyVersions", ["PolicyArn": arn])["Versions"].asList?.map { $0["VersionId"].text }
    XCTAssertEqual(versions, ["v6", "v4", "v3", "v2", "v1"])
    let version = try await region.iam("GetPolicyVersion", ["PolicyArn": arn, "VersionId": "v6"])
    XCTAssertTrue(version["PolicyVersion", "IsDefaultVersion"].isTrue)
    XCTAssertTrue(version["PolicyVersion", "Document"].text.contains("s3%3AGet%2A"))
    await expect("NoSuchEntity") { try await region.iam("GetPolicyVersion", ["PolicyArn": arn, "VersionId": "v5"]) }
    await expect("NoSuchEntity") { try await region.iam("SetDefaultPolicyVersion", ["PolicyArn": arn, "VersionId": "v5"]) }
    await expect("NoSuchEntity", containing: "was not found.") {
      try await region.iam("GetPolicy", ["PolicyArn": "arn:aws:iam::123456789012:policy/Read"])
    }
    await expect("InvalidInput") { try await region.iam("GetPolicy", ["PolicyArn": "arn:aws:s3:::bucket-or-so"]) }
    await expect("DeleteConflict", containing: "more than one version") {
      try await region.iam("DeletePolicy", ["PolicyArn": arn])
    }
    for id in ["v1", "v2", "v3", "v4"] {
      try await region.iam("DeletePolicyVersion", ["PolicyArn": arn, "VersionId": .string(id)])
    }
    try await region.iam("TagPolicy", ["PolicyArn": arn, "Tags": [["Key": "k", "Value": "v"], ["Key": "l", "Value": "w"]]])
    try await region.iam("UntagPolicy", ["PolicyArn": arn, "TagKeys": ["k"]])
    let tags = try await region.iam("ListPolicyTags", ["PolicyArn": arn])
    XCTAssertEqual(tags["Tags", "0", "Key"].text, "l")
    try await region.iam("DeletePolicy", ["PolicyArn": arn])
    await expect("NoSuchEntity") { try await region.iam("GetPolicy", ["PolicyArn": arn]) }
  }

  func testAttachments() async throws {
    let region = try await TestRegion()
    try await region.iam("CreateUser", ["UserName": "u"])
    try await region.iam("CreateGroup", ["GroupName": "g"])
    try await region.iam("CreateRole", ["RoleName": "r", "AssumeRolePolicyDocument": .string(TestRegion.trustEC2)])
    let arn = try await region.iam("CreatePolicy", ["PolicyName": "p", "PolicyDocument": read])["Policy", "Arn"]
    try await region.iam("AttachUserPolicy", ["UserName": "u", "PolicyArn": arn])
    try await region.iam("AttachUserPolicy", ["UserName": "u", "PolicyArn": arn])
    try await region.iam("AttachGroupPolicy", ["GroupName": "g", "PolicyArn": arn])
    try await region.iam("AttachRolePolicy", ["RoleName": "r", "PolicyArn": arn])
    let policy = try await region.iam("GetPolicy", ["PolicyArn": arn])
    XCTAssertEqual(policy["Policy", "AttachmentCount"].asInt, 3)
    let entities = try await region.iam("ListEntitiesForPolicy", ["PolicyArn": arn])
    XCTAssertEqual(entities["PolicyUsers", "0", "UserName"].text, "u")
    XCTAssertEqual(entities["PolicyGroups", "0", "GroupName"].text, "g")
    XCTAssertTrue(entities["PolicyRoles", "0", "RoleId"].text.hasPrefix("AROA"))
    let roles = try await region.iam("ListEntitiesForPolicy", ["PolicyArn": arn, "EntityFilter": "Role"])
    XCTAssertEqual(roles["PolicyUsers"].asList?.count, 0)
    await expect("DeleteConflict", containing: "Cannot delete a policy attached to entities.") {
      try await region.iam("DeletePolicy", ["PolicyArn": arn])
    }
    await expect("DeleteConflict") { try await region.iam("DeleteRole", ["RoleName": "r"]) }
    await expect("DeleteConflict") { try await region.iam("DeleteGroup", ["GroupName": "g"]) }
    let ofUser = try await region.iam("ListAttachedUserPolicies", ["UserName": "u"])
    let ofGroup = try await region.iam("ListAttachedGroupPolicies", ["GroupName": "g"])
    XCTAssertEqual(ofUser["AttachedPolicies", "0", "PolicyName"].text, "p")
    XCTAssertEqual(ofGroup["AttachedPolicies", "0", "PolicyArn"].text, arn.text)
    try await region.iam(
      "AttachRolePolicy", ["RoleName": "r", "PolicyArn": "arn:aws:iam::aws:policy/service-role/AWSCodeDeployRole"])
    let ofRole = try await region.iam("ListAttachedRolePolicies", ["RoleName": "r", "PathPrefix": "/service-role/"])
    XCTAssertEqual(ofRole["AttachedPolicies"].asList?.count, 1)
    XCTAssertEqual(ofRole["AttachedPolicies", "0", "PolicyName"].text, "AWSCodeDeployRole")
    try await region.iam("DetachUserPolicy", ["UserName": "u", "PolicyArn": arn])
    try await region.iam("DetachGroupPolicy", ["GroupName": "g", "PolicyArn": arn])
    try await region.iam("DetachRolePolicy", ["RoleName": "r", "PolicyArn": arn])
    await expect("NoSuchEntity") { try await region.iam("DetachRolePolicy", ["RoleName": "r", "PolicyArn": arn]) }
    try await region.iam("DeletePolicy", ["PolicyArn": arn])
    await expect("NoSuchEntity", containing: "does not exist or is not attachable") {
      try await region.iam("AttachUserPolicy", ["UserName": "u", "PolicyArn": arn])
    }
    await expect("NoSuchEntity") {
      try await region.iam("AttachUserPolicy", ["UserName": "u", "PolicyArn": "arn:aws:iam::aws:policy/NoSuchThing"])
    }
    for index in 0..<10 {
      let each = try await region.iam("CreatePolicy", ["PolicyName": .string("p\(index)"), "PolicyDocument": read])[
        "Policy", "Arn"]
      try await region.iam("AttachUserPolicy", ["UserName": "u", "PolicyArn": each])
    }
    await expect("LimitExceeded", containing: "PoliciesPerUser: 10") {
      try await region.iam("AttachUserPolicy", ["UserName": "u", "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"])
    }
  }

  func testInlinePolicies() async throws {
    let region = try await TestRegion()
    try await region.iam("CreateUser", ["UserName": "u"])
    try await region.iam("CreateGroup", ["GroupName": "g"])
    try await region.iam("CreateRole", ["RoleName": "r", "AssumeRolePolicyDocument": .string(TestRegion.trustEC2)])
    for (noun, name) in [("User", "u"), ("Group", "g"), ("Role", "r")] {
      let holder: [String: WireValue] = ["\(noun)Name": .string(name)]
      let policy = holder.merging(["PolicyName": "in", "PolicyDocument": read]) { $1 }
      try await region.iam("Put\(noun)Policy", policy)
      let got = try await region.iam("Get\(noun)Policy", holder.merging(["PolicyName": "in"]) { $1 })
      XCTAssertEqual(got["\(noun)Name"].text, name)
      XCTAssertTrue(got["PolicyDocument"].text.contains("s3%3AGet"))
      let names: WireValue
      switch noun {
      case "User": names = try await region.iam("ListUserPolicies", holder)
      case "Group": names = try await region.iam("ListGroupPolicies", holder)
      default: names = try await region.iam("ListRolePolicies", holder)
      }
      XCTAssertEqual(names["PolicyNames", "0"].text, "in")
      await expect("MalformedPolicyDocument") {
        try await region.iam("Put\(noun)Policy", policy.merging(["PolicyDocument": "{"]) { $1 })
      }
      await expect("DeleteConflict", containing: "must delete policies first.") { try await region.iam("Delete\(noun)", holder) }
      try await region.iam("Delete\(noun)Policy", holder.merging(["PolicyName": "in"]) { $1 })
      await expect("NoSuchEntity", containing: "policy with name in cannot be found.") {
        try await region.iam("Get\(noun)Policy", holder.merging(["PolicyName": "in"]) { $1 })
      }
    }
    // The same by name, so that a search for an operation finds its test: PutUserPolicy GetUserPolicy DeleteUserPolicy,
    // PutGroupPolicy GetGroupPolicy DeleteGroupPolicy, PutRolePolicy GetRolePolicy DeleteRolePolicy.
    let big = TestRegion.allow("s3:*", on: "arn:aws:s3:::" + String(repeating: "x", count: 1_500))
    try await region.iam("PutUserPolicy", ["UserName": "u", "PolicyName": "a", "PolicyDocument": .string(big)])
    await expect("LimitExceeded", containing: "2048") {
      try await region.iam("PutUserPolicy", ["UserName": "u", "PolicyName": "b", "PolicyDocument": .string(big)])
    }
  }

  func testAWSManagedPoliciesAreReal() async throws {
    let region = try await TestRegion()
    for policy in AWSManagedPolicy.all { XCTAssertNoThrow(try PolicyParser.parse(policy.document, as: .identity), policy.name) }
    XCTAssertEqual(Set(AWSManagedPolicy.all.map(\.id)).count, AWSManagedPolicy.all.count)
    let arn: WireValue = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    let alice = try await region.user("alice")
    try await region.iam("AttachUserPolicy", ["UserName": "alice", "PolicyArn": arn])
    let get = await region.may(alice, "s3:GetObject", on: "arn:aws:s3:::b/k")
    let put = await region.may(alice, "s3:PutObject", on: "arn:aws:s3:::b/k")
    XCTAssertTrue(get && !put)
    let shown = try await region.iam("GetPolicy", ["PolicyArn": arn])
    XCTAssertEqual(shown["Policy", "AttachmentCount"].asInt, 1)
    let version = try await region.iam("GetPolicyVersion", ["PolicyArn": arn, "VersionId": "v1"])
    XCTAssertTrue(version["PolicyVersion", "Document"].text.contains("s3%3AGet%2A"))
    await expect("AccessDenied", containing: "managed by AWS") { try await region.iam("DeletePolicy", ["PolicyArn": arn]) }
    await expect("AccessDenied") { try await region.iam("CreatePolicyVersion", ["PolicyArn": arn, "PolicyDocument": read]) }
    let attached = try await region.iam("ListPolicies", ["OnlyAttached": true])
    XCTAssertEqual(attached["Policies"].asList?.map { $0["PolicyName"].text }, ["AmazonS3ReadOnlyAccess"])
    try await region.iam("CreatePolicy", ["PolicyName": "mine", "PolicyDocument": read])
    let local = try await region.iam("ListPolicies", ["Scope": "Local"])
    XCTAssertEqual(local["Policies"].asList?.map { $0["PolicyName"].text }, ["mine"])
    let aws = try await region.iam("ListPolicies", ["Scope": "AWS", "MaxItems": 1_000])
    XCTAssertEqual(aws["Policies"].asList?.count, AWSManagedPolicy.all.count)
    let service =
      try await region.iam("ListPolicies", ["PathPrefix": "/service-role/"])["Policies"].asList?.map { $0["PolicyName"].text }
      ?? []
    XCTAssertTrue(service.contains("AWSCodeDeployRole") && service.contains("AmazonEC2RoleforAWSCodeDeploy"))
  }

  func testBoundaries() async throws {
    let region = try await TestRegion()
    let alice = try await region.user("alice", policy: TestRegion.allow("*"))
    let limit = try await region.iam(
      "CreatePolicy", ["PolicyName": "limit", "PolicyDocument": .string(TestRegion.allow("s3:*"))])[
        "Policy", "Arn"]
    try await region.iam("PutUserPermissionsBoundary", ["UserName": "alice", "PermissionsBoundary": limit])
    let inside = await region.may(alice, "s3:GetObject")
    let outside = await region.may(alice, "ec2:RunInstances")
    XCTAssertTrue(inside && !outside)
    let shown = try await region.iam("GetUser", ["UserName": "alice"])
    XCTAssertEqual(shown["User", "PermissionsBoundary", "PermissionsBoundaryArn"].text, limit.text)
    let use = try await region.iam("GetPolicy", ["PolicyArn": limit])
    XCTAssertEqual(use["Policy", "PermissionsBoundaryUsageCount"].asInt, 1)
    await expect("DeleteConflict") { try await region.iam("DeletePolicy", ["PolicyArn": limit]) }
    let byUsage = try await region.iam("ListEntitiesForPolicy", ["PolicyArn": limit, "PolicyUsageFilter": "PermissionsBoundary"])
    XCTAssertEqual(byUsage["PolicyUsers", "0", "UserName"].text, "alice")
    try await region.iam("DeleteUserPermissionsBoundary", ["UserName": "alice"])
    let free = await region.may(alice, "ec2:RunInstances")
    XCTAssertTrue(free)
    await expect("NoSuchEntity") { try await region.iam("DeleteUserPermissionsBoundary", ["UserName": "alice"]) }
    try await region.iam(
      "CreateRole", ["RoleName": "r", "AssumeRolePolicyDocument": .string(TestRegion.trustEC2), "PermissionsBoundary": limit])
    try await region.iam("DeleteRolePermissionsBoundary", ["RoleName": "r"])
    try await region.iam("PutRolePermissionsBoundary", ["RoleName": "r", "PermissionsBoundary": limit])
    await expect("NoSuchEntity") {
      try await region.iam(
        "PutRolePermissionsBoundary", ["RoleName": "r", "PermissionsBoundary": "arn:aws:iam::123456789012:policy/none"])
    }
    try await region.iam("DeleteRole", ["RoleName": "r"])
    try await region.iam("DeletePolicy", ["PolicyArn": limit])
  }

  func testAccountSummaryAndAliases() async throws {
    let region = try await TestRegion()
    try await region.iam("CreateUser", ["UserName": "u"])
    let summary = try await region.iam("GetAccountSummary")["SummaryMap"]
    XCTAssertEqual(summary["Users"].asInt, 1)
    XCTAssertEqual(summary["AccountAccessKeysPresent"].asInt, 1)
    XCTAssertEqual(summary["AccessKeysPerUserQuota"].asInt, 2)
    try await region.iam("CreateAccountAlias", ["AccountAlias": "my-team"])
    let made = try await region.service.createAccount(name: "b")
    let other = try await region.service.resolve(accessKeyId: made.accessKeyId, sessionToken: nil, now: region.clock.now())
      .principal
    await expect("EntityAlreadyExists") { try await region.iam("CreateAccountAlias", ["AccountAlias": "my-team"], as: other) }
    try await region.iam("CreateAccountAlias", ["AccountAlias": "our-team"])
    let aliases = try await region.iam("ListAccountAliases")
    XCTAssertEqual(aliases["AccountAliases"].asList?.map(\.text), ["our-team"])
    try await region.iam("CreateAccountAlias", ["AccountAlias": "my-team"], as: other)
    await expect("NoSuchEntity") { try await region.iam("DeleteAccountAlias", ["AccountAlias": "my-team"]) }
    try await region.iam("DeleteAccountAlias", ["AccountAlias": "our-team"])
    let none = try await region.iam("ListAccountAliases")
    XCTAssertEqual(none["AccountAliases"].asList?.count, 0)
  }

  func testSimulation() async throws {
    let region = try await TestRegion()
    _ = try await region.user(
      "alice",
      policy: document(
        statement("Allow", "s3:Get*"), statement("Deny", "s3:GetBucketPolicy"),
        statement("Allow", "ec2:StopInstances", condition: "{\"StringEquals\":{\"ec2:ResourceTag/env\":\"dev\"}}")))
    let answer = try await region.iam(
      "SimulatePrincipalPolicy",
      [
        "PolicySourceArn": "arn:aws:iam::123456789012:user/alice",
        "ActionNames": ["s3:GetObject", "s3:GetBucketPolicy", "s3:PutObject", "ec2:StopInstances"],
      ])
    XCTAssertEqual(
      answer["EvaluationResults"].asList?.map { $0["EvalDecision"].text },
      ["allowed", "explicitDeny", "implicitDeny", "implicitDeny"])
    XCTAssertEqual(answer["EvaluationResults", "3", "MissingContextValues", "0"].text, "ec2:resourcetag/env")
    let tagged = try await region.iam(
      "SimulatePrincipalPolicy",
      [
        "PolicySourceArn": "arn:aws:iam::123456789012:user/alice", "ActionNames": ["ec2:StopInstances"],
        "ContextEntries": [["ContextKeyName": "ec2:ResourceTag/env", "ContextKeyValues": ["dev"], "ContextKeyType": "string"]],
      ])
    XCTAssertEqual(tagged["EvaluationResults", "0", "EvalDecision"].text, "allowed")
    let custom = try await region.iam(
      "SimulateCustomPolicy",
      [
        "PolicyInputList": [read], "ActionNames": ["s3:GetObject"], "ResourceArns": ["arn:aws:s3:::a/1", "arn:aws:s3:::a/2"],
        "PermissionsBoundaryPolicyInputList": [.string(TestRegion.allow("s3:*", on: "arn:aws:s3:::a/1"))],
      ])
    XCTAssertEqual(custom["EvaluationResults"].asList?.map { $0["EvalDecision"].text }, ["allowed", "implicitDeny"])
    XCTAssertFalse(custom["EvaluationResults", "1", "PermissionsBoundaryDecisionDetail", "AllowedByPermissionsBoundary"].isTrue)
    await expect("InvalidInput") {
      try await region.iam("SimulateCustomPolicy", ["PolicyInputList": ["{"], "ActionNames": ["s3:GetObject"]])
    }
    await expect("InvalidInput") {
      try await region.iam("SimulateCustomPolicy", ["PolicyInputList": [read], "ActionNames": ["nonsense"]])
    }
    await expect("NoSuchEntity") {
      try await region.iam(
        "SimulatePrincipalPolicy", ["PolicySourceArn": "arn:aws:iam::123456789012:role/none", "ActionNames": ["s3:GetObject"]])
    }
  }
}
