import FoundationEssentials
import RegionKit
import RoadsteadTesting
import WireModel
import XCTest

@testable import IdentityService

final class UserOperationTests: XCTestCase {
  func testUserLifeCycle() async throws {
    let region = try await TestRegion()
    let made = try await region.iam(
      "CreateUser", ["UserName": "Alice", "Path": "/team/", "Tags": [["Key": "env", "Value": "dev"]]])
    XCTAssertEqual(made["User", "Arn"].text, "arn:aws:iam::123456789012:user/team/Alice")
    XCTAssertTrue(made["User", "UserId"].text.hasPrefix("AIDA"))
    XCTAssertEqual(made["User", "UserId"].text.count, 21)
    await expect("EntityAlreadyExists", status: 409, containing: "User with name alice already exists.") {
      try await region.iam("CreateUser", ["UserName": "alice"])
    }
    let read = try await region.iam("GetUser", ["UserName": "alice"])
    XCTAssertEqual(read["User", "UserName"].text, "Alice")
    XCTAssertEqual(read["User", "Tags", "0", "Value"].text, "dev")
    await expect("NoSuchEntity", status: 404, containing: "The user with name bob cannot be found.") {
      try await region.iam("GetUser", ["UserName": "bob"])
    }
    try await region.iam(
      "TagUser", ["UserName": "Alice", "Tags": [["Key": "ENV", "Value": "prod"], ["Key": "x", "Value": "1"]]])
    try await region.iam("UntagUser", ["UserName": "Alice", "TagKeys": ["X"]])
    let tags = try await region.iam("ListUserTags", ["UserName": "Alice"])
    XCTAssertEqual(tags["Tags"].asList?.count, 1)
    XCTAssertEqual(tags["Tags", "0", "Value"].text, "prod")
    await expect("InvalidInput") {
      try await region.iam("TagUser", ["UserName": "Alice", "Tags": [["Key": "a", "Value": "1"], ["Key": "A", "Value": "2"]]])
    }
    await expect("InvalidInput") {
      try await region.iam("TagUser", ["UserName": "Alice", "Tags": [["Key": "aws:x", "Value": "1"]]])
    }
    try await region.iam("DeleteUser", ["UserName": "Alice"])
    await expect("NoSuchEntity") { try await region.iam("DeleteUser", ["UserName": "Alice"]) }
    let me = try await region.iam("GetUser")
    XCTAssertEqual(me["User", "Arn"].text, "arn:aws:iam::123456789012:root")
  }

  func testPaging() async throws {
    let region = try await TestRegion()
    for index in 0..<25 {
      try await region.iam("CreateUser", ["UserName": .string("u\(index)"), "Path": index % 2 == 0 ? "/a/" : "/b/"])
    }
    var names: [String] = []
    var marker: WireValue = .null
    var pages = 0
    repeat {
      var input: [String: WireValue] = ["MaxItems": 5, "PathPrefix": "/a/"]
      if !marker.isNull { input["Marker"] = marker }
      let page = try await region.iam("ListUsers", input)
      names += page["Users"].asList?.map { $0["UserName"].text } ?? []
      marker = page["Marker"]
      XCTAssertEqual(page["IsTruncated"].isTrue, !marker.isNull)
      pages += 1
    } while !marker.isNull
    XCTAssertEqual(pages, 3)
    XCTAssertEqual(Set(names), Set((0..<25).filter { $0 % 2 == 0 }.map { "u\($0)" }))
    XCTAssertEqual(names.count, 13)
    let token = try await region.iam("ListUsers", ["MaxItems": 5])["Marker"]
    await expect("ValidationError", containing: "Invalid Marker") {
      try await region.iam("ListUsers", ["Marker": token, "PathPrefix": "/a/"])
    }
    await expect("ValidationError", containing: "Invalid Marker") { try await region.iam("ListRoles", ["Marker": token]) }
  }

  func testDeleteUserNamesEachObstacle() async throws {
    let region = try await TestRegion()
    _ = try await region.user("alice", policy: TestRegion.allow("s3:*"))
    let key = try await region.iam("ListAccessKeys", ["UserName": "alice"])["AccessKeyMetadata", "0", "AccessKeyId"]
    try await region.iam("CreateLoginProfile", ["UserName": "alice", "Password": "longenough1"])
    try await region.iam("AttachUserPolicy", ["UserName": "alice", "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"])
    try await region.iam("CreateGroup", ["GroupName": "g"])
    try await region.iam("AddUserToGroup", ["UserName": "alice", "GroupName": "g"])
    func obstacle(_ text: String) async {
      await expect("DeleteConflict", status: 409, containing: text) { try await region.iam("DeleteUser", ["UserName": "alice"]) }
    }
    await obstacle("must delete login profile first.")
    try await region.iam("DeleteLoginProfile", ["UserName": "alice"])
    await obstacle("must delete access keys first.")
    try await region.iam("DeleteAccessKey", ["UserName": "alice", "AccessKeyId": key])
    await obstacle("must detach all policies first.")
    try await region.iam("DetachUserPolicy", ["UserName": "alice", "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"])
    await obstacle("must delete policies first.")
    try await region.iam("DeleteUserPolicy", ["UserName": "alice", "PolicyName": "p"])
    await obstacle("must remove users from group first.")
    await expect("DeleteConflict", containing: "must remove users from group first.") {
      try await region.iam("DeleteGroup", ["GroupName": "g"])
    }
    try await region.iam("RemoveUserFromGroup", ["UserName": "alice", "GroupName": "g"])
    try await region.iam("DeleteUser", ["UserName": "alice"])
    try await region.iam("DeleteGroup", ["GroupName": "g"])
    await expect("NoSuchEntity") { try await region.iam("GetGroup", ["GroupName": "g"]) }
  }

  func testGroups() async throws {
    let region = try await TestRegion()
    let made = try await region.iam("CreateGroup", ["GroupName": "devs", "Path": "/x/"])
    XCTAssertEqual(made["Group", "Arn"].text, "arn:aws:iam::123456789012:group/x/devs")
    await expect("EntityAlreadyExists") { try await region.iam("CreateGroup", ["GroupName": "DEVS"]) }
    await expect("NoSuchEntity") { try await region.iam("AddUserToGroup", ["GroupName": "devs", "UserName": "nobody"]) }
    for name in ["a", "b", "c"] {
      try await region.iam("CreateUser", ["UserName": .string(name)])
      try await region.iam("AddUserToGroup", ["GroupName": "devs", "UserName": .string(name)])
      try await region.iam("AddUserToGroup", ["GroupName": "devs", "UserName": .string(name)])
    }
    let first = try await region.iam("GetGroup", ["GroupName": "devs", "MaxItems": 2])
    XCTAssertEqual(first["Users"].asList?.count, 2)
    let second = try await region.iam("GetGroup", ["GroupName": "devs", "MaxItems": 2, "Marker": first["Marker"]])
    XCTAssertEqual(second["Users", "0", "UserName"].text, "c")
    let mine = try await region.iam("ListGroupsForUser", ["UserName": "a"])
    XCTAssertEqual(mine["Groups", "0", "GroupName"].text, "devs")
    let all = try await region.iam("ListGroups", ["PathPrefix": "/x"])
    XCTAssertEqual(all["Groups"].asList?.count, 1)
    for index in 0..<9 {
      try await region.iam("CreateGroup", ["GroupName": .string("g\(index)")])
      try await region.iam("AddUserToGroup", ["GroupName": .string("g\(index)"), "UserName": "a"])
    }
    try await region.iam("CreateGroup", ["GroupName": "onemore"])
    await expect("LimitExceeded", status: 409, containing: "GroupsPerUser: 10") {
      try await region.iam("AddUserToGroup", ["GroupName": "onemore", "UserName": "a"])
    }
  }

  func testAccessKeys() async throws {
    let region = try await TestRegion()
    let alice = try await region.user(
      "alice", policy: TestRegion.allow("iam:*AccessKey*", on: "arn:aws:iam::*:user/${aws:username}"))
    // Without UserName the caller's own are meant.
    let second = try await region.iam("CreateAccessKey", [:], as: alice)
    XCTAssertEqual(second["AccessKey", "UserName"].text, "alice")
    XCTAssertEqual(second["AccessKey", "SecretAccessKey"].text.count, 40)
    XCTAssertEqual(second["AccessKey", "Status"].text, "Active")
    await expect("LimitExceeded", containing: "AccessKeysPerUser: 2") { try await region.iam("CreateAccessKey", [:], as: alice) }
    let listed = try await region.iam("ListAccessKeys", [:], as: alice)
    XCTAssertEqual(listed["AccessKeyMetadata"].asList?.count, 2)
    try await region.iam("CreateUser", ["UserName": "bob"])
    await expect("AccessDenied") { try await region.iam("ListAccessKeys", ["UserName": "bob"], as: alice) }
    let key = second["AccessKey", "AccessKeyId"]
    await expect("NoSuchEntity") { try await region.iam("DeleteAccessKey", ["UserName": "bob", "AccessKeyId": key]) }
    await expect("NoSuchEntity") { try await region.iam("UpdateAccessKey", ["AccessKeyId": key, "Status": "Inactive"]) }
    await expect("InvalidInput") {
      try await region.iam("UpdateAccessKey", ["UserName": "alice", "AccessKeyId": key, "Status": "Expired"])
    }
    try await region.iam("UpdateAccessKey", ["UserName": "alice", "AccessKeyId": key, "Status": "Inactive"])
    let states = try await region.iam("ListAccessKeys", ["UserName": "alice"])["AccessKeyMetadata"].asList?.map {
      $0["Status"].text
    }
    XCTAssertEqual(states?.sorted(), ["Active", "Inactive"])
    // Root's own.
    let roots = try await region.iam("ListAccessKeys")
    XCTAssertEqual(roots["AccessKeyMetadata", "0", "AccessKeyId"].text, region.rootKey.id)
    _ = try await region.iam("CreateAccessKey")
    await expect("LimitExceeded") { try await region.iam("CreateAccessKey") }
  }

  func testAccessKeyLastUsed() async throws {
    let region = try await TestRegion()
    let alice = try await region.user("alice", policy: TestRegion.allow("s3:*"))
    let key: WireValue = .string(try XCTUnwrap(alice.accessKeyId))
    let never = try await region.iam("GetAccessKeyLastUsed", ["AccessKeyId": key])
    XCTAssertEqual(never["AccessKeyLastUsed", "ServiceName"].text, "N/A")
    XCTAssertTrue(never["AccessKeyLastUsed", "LastUsedDate"].isNull)
    _ = await region.may(alice, "s3:GetObject")
    region.clock.advance(by: 30)
    _ = await region.may(alice, "s3:GetObject")
    let used = try await region.iam("GetAccessKeyLastUsed", ["AccessKeyId": key])
    XCTAssertEqual(used["UserName"].text, "alice")
    XCTAssertEqual(used["AccessKeyLastUsed", "ServiceName"].text, "s3")
    XCTAssertEqual(used["AccessKeyLastUsed", "Region"].text, "us-east-1")
    guard case .timestamp(let date) = used["AccessKeyLastUsed", "LastUsedDate"] else { return XCTFail("no date") }
    XCTAssertEqual(date, region.clock.now())
    // Another process on the same store still knows it, to a quarter of an hour.
    let restarted = IdentityService(
      store: region.store, clock: region.clock, random: SeededRandomness(seed: 2), sealingKey: [UInt8](repeating: 7, count: 32))
    let call = region.call("iam", "GetAccessKeyLastUsed", as: region.root)
    let answer = try await restarted.iam.handlers["GetAccessKeyLastUsed"]!(["AccessKeyId": key], call)
    XCTAssertEqual(WireValue.object(answer)["AccessKeyLastUsed", "ServiceName"].text, "s3")
    await expect("NoSuchEntity") { try await region.iam("GetAccessKeyLastUsed", ["AccessKeyId": "AKIAQQQQQQQQQQQQQQQQ"]) }
  }

  func testLoginProfiles() async throws {
    let region = try await TestRegion()
    try await region.iam("CreateUser", ["UserName": "alice"])
    await expect("NoSuchEntity", containing: "Login Profile for User alice cannot be found.") {
      try await region.iam("GetLoginProfile", ["UserName": "alice"])
    }
    await expect("PasswordPolicyViolation") {
      try await region.iam("CreateLoginProfile", ["UserName": "alice", "Password": "short"])
    }
    try await region.iam("CreateLoginProfile", ["UserName": "alice", "Password": "correct horse", "PasswordResetRequired": true])
    await expect("EntityAlreadyExists") {
      try await region.iam("CreateLoginProfile", ["UserName": "alice", "Password": "correct horse"])
    }
    let read = try await region.iam("GetLoginProfile", ["UserName": "alice"])
    XCTAssertTrue(read["LoginProfile", "PasswordResetRequired"].isTrue)
    let right = try await region.service.verifyPassword(account: region.account, userName: "alice", password: "correct horse")
    let wrong = try await region.service.verifyPassword(account: region.account, userName: "alice", password: "Correct horse")
    XCTAssertEqual(right?.arn, "arn:aws:iam::123456789012:user/alice")
    XCTAssertNil(wrong)
    try await region.iam(
      "UpdateLoginProfile", ["UserName": "alice", "Password": "battery staple", "PasswordResetRequired": false])
    let old = try await region.service.verifyPassword(account: region.account, userName: "alice", password: "correct horse")
    let new = try await region.service.verifyPassword(account: region.account, userName: "alice", password: "battery staple")
    XCTAssertNil(old)
    XCTAssertNotNil(new)
    try await region.iam("DeleteLoginProfile", ["UserName": "alice"])
    await expect("NoSuchEntity") {
      try await region.iam("UpdateLoginProfile", ["UserName": "alice", "Password": "battery staple"])
    }
    await expect("ValidationError") { try await region.iam("CreateLoginProfile", ["Password": "battery staple"]) }
  }

  /// A 2,048-bit key made for this test; PEM and fingerprint computed by OpenSSL and ssh-keygen.
  func testSSHPublicKeys() async throws {
    let region = try await TestRegion()
    try await region.iam("CreateUser", ["UserName": "alice"])
    let made = try await region.iam(
      "UploadSSHPublicKey", ["UserName": "alice", "SSHPublicKeyBody": .string(TestKeys.ssh + " alice@laptop\n")])
    let id = made["SSHPublicKey", "SSHPublicKeyId"]
    XCTAssertTrue(id.text.hasPrefix("APKA"))
    XCTAssertEqual(made["SSHPublicKey", "Fingerprint"].text, TestKeys.fingerprint)
    await expect("DuplicateSSHPublicKey") {
      try await region.iam("UploadSSHPublicKey", ["UserName": "alice", "SSHPublicKeyBody": .string(TestKeys.pem)])
    }
    let pem = try await region.iam("GetSSHPublicKey", ["UserName": "alice", "SSHPublicKeyId": id, "Encoding": "PEM"])
    XCTAssertEqual(pem["SSHPublicKey", "SSHPublicKeyBody"].text, TestKeys.pem)
    let ssh = try await region.iam("GetSSHPublicKey", ["UserName": "alice", "SSHPublicKeyId": id, "Encoding": "SSH"])
    XCTAssertEqual(ssh["SSHPublicKey", "SSHPublicKeyBody"].text, TestKeys.ssh)
    await expect("UnrecognizedPublicKeyEncoding") {
      try await region.iam("GetSSHPublicKey", ["UserName": "alice", "SSHPublicKeyId": id, "Encoding": "DER"])
    }
    await expect("UnrecognizedPublicKeyEncoding") {
      try await region.iam("UploadSSHPublicKey", ["UserName": "alice", "SSHPublicKeyBody": "ssh-ed25519 AAAA"])
    }
    await expect("InvalidPublicKey", containing: "bits") {
      try await region.iam("UploadSSHPublicKey", ["UserName": "alice", "SSHPublicKeyBody": .string(TestKeys.small)])
    }
    try await region.iam("UpdateSSHPublicKey", ["UserName": "alice", "SSHPublicKeyId": id, "Status": "Inactive"])
    let listed = try await region.iam("ListSSHPublicKeys", ["UserName": "alice"])
    XCTAssertEqual(listed["SSHPublicKeys", "0", "Status"].text, "Inactive")
    try await region.iam("DeleteSSHPublicKey", ["UserName": "alice", "SSHPublicKeyId": id])
    await expect("NoSuchEntity") { try await region.iam("DeleteSSHPublicKey", ["UserName": "alice", "SSHPublicKeyId": id]) }
    // Damaged keys are refused, never crash.
    var random = SeededGenerator(seed: 11)
    for text in [TestKeys.ssh, TestKeys.pem] {
      for _ in 0..<1_000 {
        var bytes = Array(text.utf8)
        for _ in 0...random.below(3) { bytes[random.below(bytes.count)] = UInt8(random.below(128)) }
        if let key = RSAPublicKeyText(String(decoding: bytes.prefix(1 + random.below(bytes.count)), as: UTF8.self)) {
          _ = key.pem + key.ssh
        }
      }
    }
  }

  func testServiceSpecificCredentials() async throws {
    let region = try await TestRegion()
    try await region.iam("CreateUser", ["UserName": "al-at-x+1"])
    let input: [String: WireValue] = ["UserName": "al-at-x+1", "ServiceName": "codecommit.amazonaws.com"]
    let first = try await region.iam("CreateServiceSpecificCredential", input)["ServiceSpecificCredential"]
    let second = try await region.iam("CreateServiceSpecificCredential", input)["ServiceSpecificCredential"]
    XCTAssertEqual(first["ServiceUserName"].text, "al-at-x+1-at-123456789012")
    XCTAssertEqual(second["ServiceUserName"].text, "al-at-x+1+1-at-123456789012")
    await expect("LimitExceeded") { try await region.iam("CreateServiceSpecificCredential", input) }
    await expect("NotSupportedService", status: 404) {
      try await region.iam("CreateServiceSpecificCredential", ["UserName": "al-at-x+1", "ServiceName": "x.amazonaws.com"])
    }
    func works(_ credential: WireValue, _ password: String? = nil) async throws -> Bool {
      try await region.service.verifyServiceCredential(
        service: "codecommit.amazonaws.com", login: credential["ServiceUserName"].text,
        password: password ?? credential["ServicePassword"].text) != nil
    }
    let both = [try await works(first), try await works(second), try await works(first, "wrong")]
    XCTAssertEqual(both, [true, true, false])
    let id = first["ServiceSpecificCredentialId"]
    try await region.iam(
      "UpdateServiceSpecificCredential", ["UserName": "al-at-x+1", "ServiceSpecificCredentialId": id, "Status": "Inactive"])
    let inactive = try await works(first)
    XCTAssertFalse(inactive)
    try await region.iam(
      "UpdateServiceSpecificCredential", ["UserName": "al-at-x+1", "ServiceSpecificCredentialId": id, "Status": "Active"])
    let reset = try await region.iam(
      "ResetServiceSpecificCredential", ["UserName": "al-at-x+1", "ServiceSpecificCredentialId": id])[
        "ServiceSpecificCredential"]
    let after = [try await works(first), try await works(reset)]
    XCTAssertEqual(after, [false, true])
    let all = try await region.iam("ListServiceSpecificCredentials", ["AllUsers": true])
    XCTAssertEqual(all["ServiceSpecificCredentials"].asList?.count, 2)
    try await region.iam("DeleteServiceSpecificCredential", ["UserName": "al-at-x+1", "ServiceSpecificCredentialId": id])
    await expect("NoSuchEntity") {
      try await region.iam("DeleteServiceSpecificCredential", ["UserName": "al-at-x+1", "ServiceSpecificCredentialId": id])
    }
  }
}
