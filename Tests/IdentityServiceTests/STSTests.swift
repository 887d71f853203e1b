import FoundationEssentials
import Ports
import RegionKit
import RoadsteadTesting
import WireModel
import XCTest

@testable import IdentityService

final class STSTests: XCTestCase {
  private func makeRole(
    _ region: TestRegion, _ name: String = "deployer", trust: String, extra: [String: WireValue] = [:]
  ) async throws -> String {
    let input: [String: WireValue] = ["RoleName": .string(name), "AssumeRolePolicyDocument": .string(trust)]
    return try await region.iam("CreateRole", input.merging(extra) { $1 })["Role", "Arn"].text
  }

  func testGetCallerIdentity() async throws {
    let region = try await TestRegion()
    let root = try await region.sts("GetCallerIdentity")
    XCTAssertEqual(root["Arn"].text, "arn:aws:iam::123456789012:root")
    XCTAssertEqual(root["Account"].text, "123456789012")
    XCTAssertEqual(root["UserId"].text, "123456789012")
    // Open to a user whom every policy denies.
    let alice = try await region.user("alice", policy: TestRegion.deny("*"))
    let me = try await region.sts("GetCallerIdentity", [:], as: alice)
    XCTAssertEqual(me["Arn"].text, "arn:aws:iam::123456789012:user/alice")
    XCTAssertTrue(me["UserId"].text.hasPrefix("AIDA"))
    let nobody = Principal(kind: .anonymous, account: region.account, arn: "anonymous", userId: "anonymous")
    await expect("MissingAuthenticationToken", status: 403) { try await region.sts("GetCallerIdentity", [:], as: nobody) }
  }

  func testAssumeRoleNeedsTrustAndPermission() async throws {
    let region = try await TestRegion()
    let alice = try await region.user("alice")
    let arn = try await makeRole(region, trust: TestRegion.trust("{\"AWS\":\"123456789012\"}"))
    let input: [String: WireValue] = ["RoleArn": .string(arn), "RoleSessionName": "sess"]
    await expect("AccessDenied", status: 403, containing: "because no identity-based policy allows the sts:AssumeRole action") {
      try await region.sts("AssumeRole", input, as: alice)
    }
    try await region.iam(
      "PutUserPolicy",
      ["UserName": "alice", "PolicyName": "p", "PolicyDocument": .string(TestRegion.allow("sts:AssumeRole", on: arn))])
    let answer = try await region.sts("AssumeRole", input, as: alice)
    XCTAssertEqual(answer["AssumedRoleUser", "Arn"].text, "arn:aws:sts::123456789012:assumed-role/deployer/sess")
    let session = try await region.principal(answer)
    let me = try await region.sts("GetCallerIdentity", [:], as: session)
    XCTAssertEqual(me["Arn"].text, "arn:aws:sts::123456789012:assumed-role/deployer/sess")
    XCTAssertTrue(me["UserId"].text.hasPrefix("AROA") && me["UserId"].text.hasSuffix(":sess"))
    // Trust taken away: denied whatever the identity policy says.
    try await region.iam("UpdateAssumeRolePolicy", ["RoleName": "deployer", "PolicyDocument": .string(TestRegion.trustEC2)])
    await expect("AccessDenied", containing: "because no role trust policy allows") {
      try await region.sts("AssumeRole", input, as: alice)
    }
    // A role that does not exist answers the same way.
    await expect("AccessDenied", containing: "because no role trust policy allows") {
      try await region.sts(
        "AssumeRole", ["RoleArn": "arn:aws:iam::123456789012:role/none", "RoleSessionName": "sess"], as: alice)
    }
  }

  func testExternalIdAndDuration() async throws {
    let region = try await TestRegion()
    let trust = TestRegion.trust("{\"AWS\":\"123456789012\"}", condition: "{\"StringEquals\":{\"sts:ExternalId\":\"secret-1\"}}")
    let arn = try await makeRole(region, trust: trust, extra: ["MaxSessionDuration": 7_200])
    func assume(_ extra: [String: WireValue]) async throws -> WireValue {
      let input: [String: WireValue] = ["RoleArn": .string(arn), "RoleSessionName": "sess"]
      return try await region.sts("AssumeRole", input.merging(extra) { $1 })
    }
    await expect("AccessDenied") { try await assume([:]) }
    await expect("AccessDenied") { try await assume(["ExternalId": "wrong"]) }
    let answer = try await assume(["ExternalId": "secret-1", "DurationSeconds": 7_200])
    guard case .timestamp(let expires) = answer["Credentials", "Expiration"] else { return XCTFail("no expiration") }
    XCTAssertEqual(expires.timeIntervalSince(region.clock.now()), 7_200)
    await expect("ValidationError", containing: "MaxSessionDuration") {
      try await assume(["ExternalId": "secret-1", "DurationSeconds": 7_201])
    }
    // From a role to a role: an hour at most.
    let session = try await region.principal(answer)
    try await region.iam(
      "PutRolePolicy", ["RoleName": "deployer", "PolicyName": "p", "PolicyDocument": .string(TestRegion.allow("sts:*"))])
    let chained: [String: WireValue] = [
      "RoleArn": .string(arn), "RoleSessionName": "sess", "ExternalId": "secret-1", "DurationSeconds": 7_200,
    ]
    await expect("ValidationError", containing: "role chaining") { try await region.sts("AssumeRole", chained, as: session) }
    await expect("UnsupportedOperation", containing: "SerialNumber") {
      try await assume(["ExternalId": "secret-1", "SerialNumber": "arn:aws:iam::123456789012:mfa/x"])
    }
  }

  func testSessionPoliciesAndTags() async throws {
    let region = try await TestRegion()
    let trust = """
      {"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"123456789012"},
       "Action":["sts:AssumeRole","sts:TagSession"]}}
      """
    let arn = try await makeRole(region, trust: trust)
    try await region.iam(
      "PutRolePolicy",
      [
        "RoleName": "deployer", "PolicyName": "p",
        "PolicyDocument": .string(TestRegion.allow("s3:*", on: "arn:aws:s3:::${aws:PrincipalTag/team}/*")),
      ])
    func assume(_ extra: [String: WireValue]) async throws -> Principal {
      let input: [String: WireValue] = ["RoleArn": .string(arn), "RoleSessionName": "sess"]
      return try await region.principal(try await region.sts("AssumeRole", input.merging(extra) { $1 }))
    }
    let tags: WireValue = [["Key": "team", "Value": "blue"]]
    let blue = try await assume(["Tags": tags])
    let own = await region.may(blue, "s3:PutObject", on: "arn:aws:s3:::blue/x")
    let others = await region.may(blue, "s3:PutObject", on: "arn:aws:s3:::red/x")
    XCTAssertTrue(own && !others)
    let narrow = try await assume(["Tags": tags, "Policy": .string(TestRegion.allow("s3:Get*"))])
    let get = await region.may(narrow, "s3:GetObject", on: "arn:aws:s3:::blue/x")
    let put = await region.may(narrow, "s3:PutObject", on: "arn:aws:s3:::blue/x")
    XCTAssertTrue(get && !put)
    let managed = try await assume([
      "Tags": tags, "PolicyArns": [["arn": "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]],
      "Policy": .string(TestRegion.allow("s3:Put*")),
    ])
    let union = await region.may(managed, "s3:PutObject", on: "arn:aws:s3:::blue/x")
    let list = await region.may(managed, "s3:ListBucket", on: "arn:aws:s3:::blue/x")
    let remove = await region.may(managed, "s3:DeleteObject", on: "arn:aws:s3:::blue/x")
    XCTAssertTrue(union && list && !remove)
    await expect("MalformedPolicyDocument") { try await assume(["Policy": "{"]) }
    await expect("PackedPolicyTooLarge") {
      try await assume(["Policy": .string(TestRegion.allow("s3:*") + String(repeating: " ", count: 2_048))])
    }
    await expect("ValidationError") { try await assume(["PolicyArns": [["arn": "arn:aws:iam::aws:policy/NoSuchPolicyAtAll"]]]) }
    await expect("ValidationError", containing: "Duplicate tag keys") {
      try await assume(["Tags": [["Key": "a", "Value": "1"], ["Key": "A", "Value": "2"]]])
    }
    // Without sts:TagSession in the trust policy, tags are refused.
    try await region.iam(
      "UpdateAssumeRolePolicy",
      ["RoleName": "deployer", "PolicyDocument": .string(TestRegion.trust("{\"AWS\":\"123456789012\"}"))])
    await expect("AccessDenied", containing: "sts:TagSession") { try await assume(["Tags": tags]) }
  }

  func testAcrossAccounts() async throws {
    let region = try await TestRegion()
    let made = try await region.service.createAccount(name: "b", id: AccountID("222222222222"))
    let other = try await region.service.resolve(accessKeyId: made.accessKeyId, sessionToken: nil, now: region.clock.now())
      .principal
    let arn = try await makeRole(region, trust: TestRegion.trust("{\"AWS\":\"arn:aws:iam::222222222222:root\"}"))
    let answer = try await region.sts("AssumeRole", ["RoleArn": .string(arn), "RoleSessionName": "guest"], as: other)
    let session = try await region.principal(answer)
    XCTAssertEqual(session.account, region.account)
    let closed = try await makeRole(region, "closed", trust: TestRegion.trust("{\"AWS\":\"123456789012\"}"))
    await expect("AccessDenied") {
      try await region.sts("AssumeRole", ["RoleArn": .string(closed), "RoleSessionName": "guest"], as: other)
    }
  }

  func testSessionAndFederationTokens() async throws {
    let region = try await TestRegion()
    let alice = try await region.user("alice", policy: TestRegion.allow("*"))
    let session = try await region.principal(try await region.sts("GetSessionToken", ["DurationSeconds": 900], as: alice))
    let works = await region.may(session, "s3:GetObject")
    XCTAssertTrue(works)
    await expect("InvalidClientTokenId", status: 403) { try await region.iam("ListUsers", [:], as: session) }
    await expect("AccessDenied", containing: "session credentials") { try await region.sts("GetSessionToken", [:], as: session) }
    let identity = try await region.sts("GetCallerIdentity", [:], as: session)
    XCTAssertEqual(identity["Arn"].text, alice.arn)

    let answer = try await region.sts(
      "GetFederationToken", ["Name": "bob", "Policy": .string(TestRegion.allow("s3:Get*"))], as: alice)
    XCTAssertEqual(answer["FederatedUser", "Arn"].text, "arn:aws:sts::123456789012:federated-user/bob")
    XCTAssertEqual(answer["FederatedUser", "FederatedUserId"].text, "123456789012:bob")
    let bob = try await region.principal(answer)
    let get = await region.may(bob, "s3:GetObject")
    let put = await region.may(bob, "s3:PutObject")
    XCTAssertTrue(get && !put)
    let bare = try await region.principal(try await region.sts("GetFederationToken", ["Name": "bare"], as: alice))
    let nothing = await region.may(bare, "s3:GetObject")
    XCTAssertFalse(nothing)
    // No more than its issuer may.
    try await region.iam(
      "PutUserPolicy", ["UserName": "alice", "PolicyName": "p", "PolicyDocument": .string(TestRegion.allow("ec2:*"))])
    let lost = await region.may(bob, "s3:GetObject")
    XCTAssertFalse(lost)
    await expect("AccessDenied") { try await region.sts("GetFederationToken", ["Name": "eve"], as: alice) }
  }

  func testGetAccessKeyInfo() async throws {
    let region = try await TestRegion()
    let known = try await region.sts("GetAccessKeyInfo", ["AccessKeyId": .string(region.rootKey.id)])
    XCTAssertEqual(known["Account"].text, "123456789012")
    await expect("ValidationError") { try await region.sts("GetAccessKeyInfo", ["AccessKeyId": "AKIAIOSFODNN7EXAMPLE"]) }
    let alice = try await region.user("alice")
    await expect("AccessDenied") {
      try await region.sts("GetAccessKeyInfo", ["AccessKeyId": .string(region.rootKey.id)], as: alice)
    }
  }

  func testRolePort() async throws {
    let region = try await TestRegion()
    let trust = TestRegion.trust("{\"Service\":[\"ec2.amazonaws.com\",\"codedeploy.amazonaws.com\"]}")
    let arn = try await makeRole(region, "web", trust: trust, extra: ["Path": "/apps/"])
    XCTAssertEqual(arn, "arn:aws:iam::123456789012:role/apps/web")
    let service = region.service
    let codedeploy = try await service.canAssume(roleARN: arn, service: "codedeploy.amazonaws.com", account: region.account)
    let lambda = try await service.canAssume(roleARN: arn, service: "lambda.amazonaws.com", account: region.account)
    let unknown = try await service.canAssume(roleARN: arn + "x", service: "codedeploy.amazonaws.com", account: region.account)
    let wrongPath = try await service.canAssume(
      roleARN: "arn:aws:iam::123456789012:role/web", service: "codedeploy.amazonaws.com", account: region.account)
    XCTAssertTrue(codedeploy && !lambda && !unknown && !wrongPath)
    let here = try await service.canAssume(roleARN: arn, service: "codedeploy.eu-west-1.amazonaws.com", account: region.account)
    XCTAssertTrue(here)
    let regional = try await makeRole(
      region, "regional", trust: TestRegion.trust("{\"Service\":\"codedeploy.eu-west-1.amazonaws.com\"}"))
    let inRegion = try await service.canAssume(
      roleARN: regional, service: "codedeploy.eu-west-1.amazonaws.com", account: region.account)
    let elsewhere = try await service.canAssume(
      roleARN: regional, service: "codedeploy.us-east-1.amazonaws.com", account: region.account)
    XCTAssertTrue(inRegion && !elsewhere)
    let none = try await service.instanceProfile("web", account: region.account)
    XCTAssertNil(none)
    let profile = try await region.iam("CreateInstanceProfile", ["InstanceProfileName": "web"])["InstanceProfile", "Arn"].text
    await expect("NoSuchEntity", containing: "holds no role") {
      try await service.instanceCredentials(profileARN: profile, instanceId: "i-1", account: region.account, lifetime: 3_600)
    }
    try await region.iam("AddRoleToInstanceProfile", ["InstanceProfileName": "web", "RoleName": "web"])
    let byName = try await service.instanceProfile("web", account: region.account)
    let byARN = try await service.instanceProfile(profile, account: region.account)
    XCTAssertEqual(byName, byARN)
    XCTAssertEqual(byName?.roleARN, arn)
    let credentials = try await service.instanceCredentials(
      profileARN: profile, instanceId: "i-0abc", account: region.account, lifetime: 3_600)
    let instance = try await service.resolve(
      accessKeyId: credentials.accessKeyId, sessionToken: credentials.sessionToken, now: region.clock.now())
    XCTAssertEqual(instance.secretAccessKey, credentials.secretAccessKey)
    XCTAssertEqual(instance.principal.arn, "arn:aws:sts::123456789012:assumed-role/web/i-0abc")
    try await region.iam(
      "AttachRolePolicy", ["RoleName": "web", "PolicyArn": "arn:aws:iam::aws:policy/service-role/AmazonEC2RoleforAWSCodeDeploy"])
    let fetch = await region.may(instance.principal, "s3:GetObject", on: "arn:aws:s3:::bundles/app.zip")
    let write = await region.may(instance.principal, "s3:PutObject", on: "arn:aws:s3:::bundles/app.zip")
    XCTAssertTrue(fetch && !write)
    let acting = try await service.servicePrincipal(
      roleARN: arn, service: "codedeploy.amazonaws.com", sessionName: "d-1", account: region.account)
    XCTAssertEqual(acting.arn, "arn:aws:sts::123456789012:assumed-role/web/d-1")
    await expect("AccessDenied") {
      try await service.servicePrincipal(roleARN: arn, service: "lambda.amazonaws.com", sessionName: "x", account: region.account)
    }
  }
}
