import FoundationEssentials
import RegionKit
import WireModel
import XCTest

@testable import ObjectStorageService

final class AuthorizationTests: XCTestCase {
  /// Every listed operation asks for the permission that the Service Authorization Reference names, on the right resource.
  func testEveryOperationAsks() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    try await s3.put("bkt", "k", bytes("x"))
    for operation in s3.module.handlers.keys.sorted() {
      let input: [String: WireValue] = ["Bucket": .string("bkt"), "Key": .string("k"), "CopySource": .string("bkt/k")]
      var given = input
      if !operation.contains("Copy") { given["CopySource"] = nil }
      let requests = try await s3.module.authorization(for: operation, input: given, call: s3.context(operation))
      if operation == "DeleteObjects" {
        XCTAssertTrue(requests.isEmpty, "asks key by key in its handler")
        continue
      }
      XCTAssertFalse(requests.isEmpty, operation)
      XCTAssertTrue(requests.allSatisfy { $0.action.hasPrefix("s3:") })
      if let action = ActionTable.bucket[operation] {
        XCTAssertEqual(requests.map(\.action), [action])
        XCTAssertEqual(requests.map(\.resource), ["arn:aws:s3:::bkt"], operation)
      } else if operation != "ListBuckets" {
        XCTAssertEqual(Set(requests.map(\.resource)), ["arn:aws:s3:::bkt/k"], operation)
      }
      if operation != "CreateBucket", operation != "ListBuckets" { XCTAssertEqual(requests.first?.resourceAccount, S3Bench.account) }
    }
    let unknown = ["PutBucketWebsite", "RestoreObject", "SelectObjectContent"]
    for operation in unknown { XCTAssertNil(s3.module.handlers[operation]) }
  }

  func testActionsAndConditionKeys() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    try await s3.put("bkt", "k", bytes("x"), ["Tagging": .string("team=red")])
    func ask(_ operation: String, _ input: [String: WireValue]) async throws -> [AuthorizationRequest] {
      try await s3.module.authorization(
        for: operation, input: ["Bucket": WireValue.string("bkt")].merging(input) { $1 }, call: s3.context(operation))
    }
    let list = try await ask("ListObjectsV2", ["Prefix": .string("a/"), "Delimiter": .string("/"), "MaxKeys": .int(7)])
    XCTAssertEqual(list.first?.action, "s3:ListBucket")
    XCTAssertEqual(list.first?.context["s3:prefix"], ["a/"])
    XCTAssertEqual(list.first?.context["s3:delimiter"], ["/"])
    XCTAssertEqual(list.first?.context["s3:max-keys"], ["7"])
    let version = try await ask("GetObject", ["Key": .string("k"), "VersionId": .string("null")])
    XCTAssertEqual(version.first?.action, "s3:GetObjectVersion")
    XCTAssertEqual(version.first?.context["s3:VersionId"], ["null"])
    XCTAssertEqual(version.first?.context["s3:ExistingObjectTag/team"], ["red"])
    let put = try await ask("PutObject", ["Key": .string("k"), "Tagging": .string("a=1"), "ACL": .string("private")])
    XCTAssertEqual(put.map(\.action), ["s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectAcl"])
    XCTAssertEqual(put.first?.context["s3:RequestObjectTag/a"], ["1"])
    XCTAssertEqual(put.first?.context["s3:x-amz-acl"], ["private"])
    let copy = try await ask("CopyObject", ["Key": .string("c"), "CopySource": .string("bkt/k")])
    XCTAssertEqual(copy.map { "\($0.action) \($0.resource)" }, ["s3:PutObject arn:aws:s3:::bkt/c", "s3:GetObject arn:aws:s3:::bkt/k"])
    await assertError("NoSuchBucket") {
      _ = try await s3.module.authorization(
        for: "GetObject", input: ["Bucket": .string("none"), "Key": .string("k")], call: s3.context("GetObject"))
    }
  }

  func testAMissingKeyIsHiddenFromWhoMayNotList() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    await assertError("NoSuchKey") { _ = try await s3.get("bkt", "k") }
    s3.authorizer.deny("s3:ListBucket")
    await assertError("AccessDenied", status: 403) { _ = try await s3.get("bkt", "k") }
  }

  private let everybody =
    #"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bkt/*"}]}"#

  func testPoliciesAreStoredCheckedAndHandedOver() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    func put(_ policy: String) async throws {
      try await s3.run("PutBucketPolicy", ["Bucket": .string("bkt"), "Policy": .string(policy)])
    }
    let own =
      #"{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::210987654321:root"},"Action":["s3:Get*"],"Resource":["arn:aws:s3:::bkt","arn:aws:s3:::bkt/*"]}}"#
    try await put(own)
    let stored = try await s3.run("GetBucketPolicy", ["Bucket": .string("bkt")])
    XCTAssertEqual(stored.text("Policy"), own)
    let requests = try await s3.module.authorization(
      for: "GetObject", input: ["Bucket": .string("bkt"), "Key": .string("k")], call: s3.context("GetObject", account: S3Bench.other))
    XCTAssertEqual(requests.first?.resourcePolicy, own)
    let status = try await s3.run("GetBucketPolicyStatus", ["Bucket": .string("bkt")])
    XCTAssertEqual(status.object("PolicyStatus").flag("IsPublic"), false)
    let broken = [
      "", "[]", "{", "{}", #"{"Statement":[]}"#, #"{"Version":"2013-01-01","Statement":[]}"#,
      own.replacing("Allow", with: "Maybe"), own.replacing("s3:Get*", with: "ec2:Get*"),
      own.replacing("arn:aws:s3:::bkt/*", with: "arn:aws:s3:::other/*"),
      own.replacing(#""Principal":{"AWS":"arn:aws:iam::210987654321:root"},"#, with: ""),
      own.replacing("arn:aws:iam::210987654321:root", with: "somebody"),
      own.replacing(#""Action":["s3:Get*"],"#, with: ""),
    ]
    for policy in broken { await assertError("MalformedPolicy", status: 400) { try await put(policy) } }
    // New buckets block public policies; without the block they are stored.
    await assertError("AccessDenied", status: 403) { try await put(self.everybody) }
    try await s3.run("DeletePublicAccessBlock", ["Bucket": .string("bkt")])
    try await put(everybody)
    let isPublic = try await s3.run("GetBucketPolicyStatus", ["Bucket": .string("bkt")])
    XCTAssertEqual(isPublic.object("PolicyStatus").flag("IsPublic"), true)
    try await s3.run("DeleteBucketPolicy", ["Bucket": .string("bkt")])
    await assertError("NoSuchBucketPolicy") { try await s3.run("GetBucketPolicy", ["Bucket": .string("bkt")]) }
  }

  func testAPolicyCannotLockItsOwnerOut() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    let deny = #"{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::bkt"}]}"#
    try await s3.run("PutBucketPolicy", ["Bucket": .string("bkt"), "Policy": .string(deny)])
    func policy(_ operation: String, _ kind: Principal.Kind, _ account: AccountID) async throws -> String? {
      let call = s3.context(operation, account: account, kind: kind)
      return try await s3.module.authorization(for: operation, input: ["Bucket": .string("bkt")], call: call).first?.resourcePolicy
    }
    for operation in ["GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"] {
      let root = try await policy(operation, .root, S3Bench.account)
      XCTAssertNil(root)
      let user = try await policy(operation, .user, S3Bench.account)
      XCTAssertEqual(user, deny)
      let stranger = try await policy(operation, .root, S3Bench.other)
      XCTAssertEqual(stranger, deny)
    }
    let other = try await policy("GetBucketTagging", .root, S3Bench.account)
    XCTAssertEqual(other, deny)
  }

  func testRestrictPublicBuckets() async throws {
    let s3 = try S3Bench()
    try await s3.make("bkt")
    try await s3.run("DeletePublicAccessBlock", ["Bucket": .string("bkt")])
    try await s3.run("PutBucketPolicy", ["Bucket": .string("bkt"), "Policy": .string(everybody)])
    func policy(_ kind: Principal.Kind, _ account: AccountID) async throws -> String? {
      try await s3.module.authorization(
        for: "GetObject", input: ["Bucket": .string("bkt"), "Key": .string("k")],
        call: s3.context("GetObject", account: account, kind: kind)
      ).first?.resourcePolicy
    }
    let open = try await policy(.anonymous, S3Bench.other)
    XCTAssertEqual(open, everybody)
    try await s3.run(
      "PutPublicAccessBlock", ["Bucket": .string("bkt"), "PublicAccessBlockConfiguration": .object(["RestrictPublicBuckets": .bool(true)])])
    let anonymous = try await policy(.anonymous, S3Bench.account)
    XCTAssertNil(anonymous)
    let stranger = try await policy(.user, S3Bench.other)
    XCTAssertNil(stranger)
    let owner = try await policy(.user, S3Bench.account)
    XCTAssertEqual(owner, everybody)
  }

  /// "The meaning of public" of the S3 User Guide.
  func testWhatIsPublic() throws {
    func isPublic(_ principal: String, _ condition: String = "", effect: String = "Allow") throws -> Bool {
      try BucketPolicy(
        #"{"Statement":[{"Effect":"\#(effect)","Principal":\#(principal),"Action":"s3:*","Resource":"*"\#(condition)}]}"#
      ).isPublic
    }
    XCTAssertTrue(try isPublic(#""*""#))
    XCTAssertTrue(try isPublic(#"{"AWS":"*"}"#))
    XCTAssertTrue(try isPublic(#"{"AWS":["123456789012","*"]}"#))
    XCTAssertFalse(try isPublic(#""*""#, effect: "Deny"))
    XCTAssertFalse(try isPublic(#"{"AWS":"123456789012"}"#))
    XCTAssertFalse(try isPublic(#""*""#, #","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}"#))
    XCTAssertFalse(try isPublic(#""*""#, #","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#))
    XCTAssertTrue(try isPublic(#""*""#, #","Condition":{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}"#))
    XCTAssertTrue(try isPublic(#""*""#, #","Condition":{"StringLike":{"aws:SourceArn":"*"}}"#))
    XCTAssertTrue(try isPublic(#""*""#, #","Condition":{"Bool":{"aws:SecureTransport":"true"}}"#))
  }

  /// The bucket's owner owns every object; what would give another account ownership is refused.
  func testWritesOfOtherAccounts() async throws {
    let s3 = try S3Bench()
    for (bucket, ownership) in [("enforced", "BucketOwnerEnforced"), ("preferred", "BucketOwnerPreferred")] {
      try await s3.run("CreateBucket", ["Bucket": .string(bucket), "ObjectOwnership": .string(ownership)])
    }
    func put(_ bucket: String, _ acl: String?) async throws {
      var input: [String: WireValue] = ["Bucket": .string(bucket), "Key": .string("k"), "Body": .stream(ByteStream([1]))]
      input["ACL"] = acl.map { .string($0) }
      try await s3.run("PutObject", input, account: S3Bench.other)
    }
    try await put("enforced", nil)
    try await put("enforced", "bucket-owner-full-control")
    await assertError("AccessControlListNotSupported") { try await put("enforced", "private") }
    try await put("preferred", "bucket-owner-full-control")
    await assertError("NotImplemented", status: 501) { try await put("preferred", nil) }
    await assertError("NotImplemented", status: 501) { try await put("preferred", "public-read") }
  }
}
