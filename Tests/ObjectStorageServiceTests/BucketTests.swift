import FoundationEssentials
import RegionKit
import WireModel
import XCTest

@testable import ObjectStorageService

final class BucketTests: XCTestCase {
  private func input(_ bucket: String, location: String? = nil) -> [String: WireValue] {
    var input: [String: WireValue] = ["Bucket": .string(bucket)]
    if let location { input["CreateBucketConfiguration"] = .object(["LocationConstraint": .string(location)]) }
    return input
  }

  func testCreateHeadListDelete() async throws {
    let s3 = try S3Bench()
    let made = try await s3.run("CreateBucket", input("first"))
    XCTAssertEqual(made.text("Location"), "/first")
    XCTAssertEqual(made.text("BucketArn"), "arn:aws:s3:::first")
    let head = try await s3.run("HeadBucket", input("first"))
    XCTAssertEqual(head.text("BucketRegion"), "us-east-1")
    let listed = try await s3.run("ListBuckets", [:])
    XCTAssertEqual(listed.list("Buckets").compactMap { $0.text("Name") }, ["first"])
    XCTAssertEqual(listed.object("Owner").text("ID")?.count, 64)
    // Another account does not see it and cannot have its name.
    let others = try await s3.run("ListBuckets", [:], account: S3Bench.other)
    XCTAssertEqual(others.list("Buckets").count, 0)
    await assertError("BucketAlreadyExists", status: 409) {
      try await s3.run("CreateBucket", self.input("first"), account: S3Bench.other)
    }
    try await s3.run("DeleteBucket", input("first"))
    let error = await assertError("NoSuchBucket", status: 404) { try await s3.run("HeadBucket", self.input("first")) }
    XCTAssertEqual(error?.fields["BucketName"], "first")
    await assertError("NoSuchBucket") { try await s3.run("DeleteBucket", self.input("first")) }
    // The name is free again, for anybody.
    try await s3.run("CreateBucket", input("first"), account: S3Bench.other)
  }

  func testRegionsAndLocationConstraints() async throws {
    let s3 = try S3Bench()
    try await s3.run("CreateBucket", input("here"))
    let here = try await s3.run("GetBucketLocation", input("here"))
    XCTAssertNil(here.text("LocationConstraint"))
    try await s3.run("CreateBucket", input("far", location: "eu-west-1"))
    let far = try await s3.run("GetBucketLocation", input("far"))
    XCTAssertEqual(far.text("LocationConstraint"), "eu-west-1")
    try await s3.run("CreateBucket", input("old", location: "EU"))
    let old = try await s3.run("GetBucketLocation", input("old"))
    XCTAssertEqual(old.text("LocationConstraint"), "eu-west-1")
    try await s3.run("CreateBucket", input("made-up", location: "roadstead-1"), region: "roadstead-1")
    await assertError("InvalidLocationConstraint", status: 400) {
      try await s3.run("CreateBucket", self.input("xyz", location: "us-east-1"))
    }
    await assertError("IllegalLocationConstraintException", status: 400) {
      try await s3.run("CreateBucket", self.input("xyz"), region: "eu-west-1")
    }
    await assertError("IllegalLocationConstraintException") {
      try await s3.run("CreateBucket", self.input("xyz", location: "us-west-2"), region: "eu-west-1")
    }
    // Made again by its owner: an answer in us-east-1, an error elsewhere.
    try await s3.run("CreateBucket", input("here"))
    await assertError("BucketAlreadyOwnedByYou", status: 409) {
      try await s3.run("CreateBucket", self.input("far", location: "eu-west-1"), region: "eu-west-1")
    }
    // Buckets are reached whatever region signs.
    try await s3.run("HeadBucket", input("far"), region: "ap-south-1")
    let inIreland = try await s3.run("ListBuckets", ["BucketRegion": .string("eu-west-1")])
    XCTAssertEqual(inIreland.list("Buckets").compactMap { $0.text("Name") }, ["far", "old"])
  }

  func testNamesAndRefusals() async throws {
    let s3 = try S3Bench()
    await assertError("InvalidBucketName", status: 400) { try await s3.run("CreateBucket", self.input("Not_Good")) }
    await assertError("InvalidBucketName") { try await s3.run("HeadBucket", self.input("X")) }
    await assertError("InvalidBucketAclWithObjectOwnership", status: 400) {
      try await s3.run("CreateBucket", ["Bucket": .string("abc"), "ACL": .string("public-read")])
    }
    await assertError("NotImplemented", status: 501) {
      try await s3.run("CreateBucket", ["Bucket": .string("abc"), "ObjectLockEnabledForBucket": .bool(true)])
    }
    await assertError("NotImplemented") {
      try await s3.run("CreateBucket", ["Bucket": .string("abc"), "ObjectOwnership": .string("ObjectWriter")])
    }
    try await s3.make("mine")
    await assertError("AccessDenied", status: 403) {
      try await s3.run("HeadBucket", ["Bucket": .string("mine"), "ExpectedBucketOwner": .string("999999999999")])
    }
  }

  func testListBucketsInPages() async throws {
    let s3 = try S3Bench()
    let names = (0..<7).map { "bucket-\($0)" }
    for name in names.shuffled() { try await s3.make(name) }
    try await s3.make("other-1")
    var seen: [String] = []
    var token: String?
    repeat {
      var input: [String: WireValue] = ["MaxBuckets": .int(3), "Prefix": .string("bucket-")]
      if let token { input["ContinuationToken"] = .string(token) }
      let page = try await s3.run("ListBuckets", input)
      XCTAssertLessThanOrEqual(page.list("Buckets").count, 3)
      seen += page.list("Buckets").compactMap { $0.text("Name") }
      token = page.text("ContinuationToken")
    } while token != nil
    XCTAssertEqual(seen, names)
    await assertError("InvalidArgument") { try await s3.run("ListBuckets", ["ContinuationToken": .string("nonsense")]) }
    await assertError("InvalidArgument") { try await s3.run("ListBuckets", ["MaxBuckets": .int(0)]) }
  }

  func testDeleteBucketNeedsAnEmptyBucket() async throws {
    let s3 = try S3Bench()
    try await s3.make("full", versioning: "Enabled")
    try await s3.put("full", "k", bytes("x"))
    await assertError("BucketNotEmpty", status: 409) { try await s3.run("DeleteBucket", self.input("full")) }
    // Refused, it is open again.
    try await s3.put("full", "k2", bytes("y"))
    try await s3.run("DeleteObject", ["Bucket": .string("full"), "Key": .string("k")])
    try await s3.run("DeleteObject", ["Bucket": .string("full"), "Key": .string("k2")])
    await assertError("BucketNotEmpty") { try await s3.run("DeleteBucket", self.input("full")) }
    let versions = try await s3.run("ListObjectVersions", input("full"))
    for entry in versions.list("Versions") + versions.list("DeleteMarkers") {
      try await s3.run(
        "DeleteObject",
        ["Bucket": .string("full"), "Key": .string(entry.text("Key") ?? ""), "VersionId": .string(entry.text("VersionId") ?? "")])
    }
    // An upload under way ends with its bucket.
    let upload = try await s3.run("CreateMultipartUpload", ["Bucket": .string("full"), "Key": .string("big")])
    try await s3.run(
      "UploadPart",
      [
        "Bucket": .string("full"), "Key": .string("big"), "UploadId": .string(upload.text("UploadId") ?? ""), "PartNumber": .int(1),
        "Body": .stream(ByteStream(bytes("part"))),
      ])
    XCTAssertFalse(s3.content.ids.isEmpty)
    try await s3.run("DeleteBucket", input("full"))
    try await s3.runTasks()
    XCTAssertEqual(s3.content.ids, [])
  }

  func testABucketBeingDeletedTakesNoWritesAndIsRecovered() async throws {
    let s3 = try S3Bench()
    try await s3.make("half")
    let engine = S3Engine(store: s3.store, content: s3.content, clock: s3.clock, random: s3.context("x").random)
    try await engine.updateBucket("half", expectedOwner: nil) { $0.deleting = true }
    await assertError("OperationAborted", status: 409) { try await s3.put("half", "k", bytes("x")) }
    XCTAssertEqual(s3.content.ids, [])
    try await s3.service.recover()
    await assertError("NoSuchBucket") { try await s3.run("HeadBucket", self.input("half")) }

    try await s3.make("kept")
    try await s3.put("kept", "k", bytes("x"))
    try await engine.updateBucket("kept", expectedOwner: nil) { $0.deleting = true }
    try await s3.service.recover()
    try await s3.put("kept", "k", bytes("y"))
  }

  func testSettings() async throws {
    let s3 = try S3Bench()
    try await s3.make("set")
    let bucket = input("set")
    func with(_ more: [String: WireValue]) -> [String: WireValue] { bucket.merging(more) { $1 } }

    let never = try await s3.run("GetBucketVersioning", bucket)
    XCTAssertNil(never.text("Status"))
    try await s3.version("set", "Enabled")
    let enabled = try await s3.run("GetBucketVersioning", bucket)
    XCTAssertEqual(enabled.text("Status"), "Enabled")
    await assertError("IllegalVersioningConfigurationException") {
      try await s3.run("PutBucketVersioning", with(["VersioningConfiguration": .object([:])]))
    }
    await assertError("NotImplemented") {
      try await s3.run(
        "PutBucketVersioning", with(["VersioningConfiguration": .object(["Status": .string("Enabled"), "MFADelete": .string("Enabled")])]))
    }

    await assertError("NoSuchTagSet", status: 404) { try await s3.run("GetBucketTagging", bucket) }
    func tags(_ pairs: [(String, String)]) -> WireValue {
      .object(["TagSet": .list(pairs.map { .object(["Key": .string($0.0), "Value": .string($0.1)]) })])
    }
    try await s3.run("PutBucketTagging", with(["Tagging": tags([("a", "1"), ("b", "")])]))
    let tagged = try await s3.run("GetBucketTagging", bucket)
    XCTAssertEqual(tagged.list("TagSet").compactMap { $0.text("Key") }, ["a", "b"])
    await assertError("InvalidTag") { try await s3.run("PutBucketTagging", with(["Tagging": tags([("a", "1"), ("a", "2")])])) }
    await assertError("InvalidTag") { try await s3.run("PutBucketTagging", with(["Tagging": tags([("aws:x", "1")])])) }
    try await s3.run("DeleteBucketTagging", bucket)
    await assertError("NoSuchTagSet") { try await s3.run("GetBucketTagging", bucket) }

    let block = try await s3.run("GetPublicAccessBlock", bucket)
    XCTAssertEqual(block.object("PublicAccessBlockConfiguration").flag("BlockPublicPolicy"), true)
    try await s3.run("PutPublicAccessBlock", with(["PublicAccessBlockConfiguration": .object(["BlockPublicAcls": .bool(true)])]))
    let less = try await s3.run("GetPublicAccessBlock", bucket).object("PublicAccessBlockConfiguration")
    XCTAssertEqual([less.flag("BlockPublicAcls"), less.flag("RestrictPublicBuckets")], [true, false])
    try await s3.run("DeletePublicAccessBlock", bucket)
    await assertError("NoSuchPublicAccessBlockConfiguration", status: 404) { try await s3.run("GetPublicAccessBlock", bucket) }

    let ownership = try await s3.run("GetBucketOwnershipControls", bucket).object("OwnershipControls")
    XCTAssertEqual(ownership.list("Rules").first?.text("ObjectOwnership"), "BucketOwnerEnforced")
    await assertError("AccessControlListNotSupported", status: 400) {
      try await s3.run("PutBucketAcl", with(["ACL": .string("private")]))
    }
    func controls(_ name: String) -> WireValue { .object(["Rules": .list([.object(["ObjectOwnership": .string(name)])])]) }
    await assertError("NotImplemented") {
      try await s3.run("PutBucketOwnershipControls", with(["OwnershipControls": controls("ObjectWriter")]))
    }
    try await s3.run("PutBucketOwnershipControls", with(["OwnershipControls": controls("BucketOwnerPreferred")]))
    try await s3.run("PutBucketAcl", with(["ACL": .string("private")]))
    await assertError("NotImplemented") { try await s3.run("PutBucketAcl", with(["ACL": .string("public-read")])) }
    let acl = try await s3.run("GetBucketAcl", bucket)
    XCTAssertEqual(acl.list("Grants").first?.text("Permission"), "FULL_CONTROL")
    try await s3.run(
      "PutBucketAcl", with(["AccessControlPolicy": .object(["Grants": acl["Grants"] ?? .null, "Owner": acl["Owner"] ?? .null])]))
    try await s3.run("DeleteBucketOwnershipControls", bucket)
    await assertError("OwnershipControlsNotFoundError", status: 404) { try await s3.run("GetBucketOwnershipControls", bucket) }
  }

  func testConfigurationsThatDoNotExistSaySo() async throws {
    let s3 = try S3Bench()
    try await s3.make("plain")
    let expected = [
      "GetBucketCors": "NoSuchCORSConfiguration", "GetBucketWebsite": "NoSuchWebsiteConfiguration",
      "GetBucketLifecycleConfiguration": "NoSuchLifecycleConfiguration",
      "GetBucketReplication": "ReplicationConfigurationNotFoundError",
      "GetBucketEncryption": "ServerSideEncryptionConfigurationNotFoundError",
      "GetObjectLockConfiguration": "ObjectLockConfigurationNotFoundError", "GetBucketPolicy": "NoSuchBucketPolicy",
      "GetBucketPolicyStatus": "NoSuchBucketPolicy",
    ]
    for (operation, code) in expected {
      await assertError(code, status: 404) { try await s3.run(operation, self.input("plain")) }
      await assertError("NoSuchBucket") { try await s3.run(operation, self.input("nowhere")) }
    }
    for operation in ["GetBucketLogging", "GetBucketNotificationConfiguration", "GetBucketAccelerateConfiguration"] {
      let empty = try await s3.run(operation, input("plain"))
      XCTAssertTrue(empty.isEmpty, operation)
    }
    let payer = try await s3.run("GetBucketRequestPayment", input("plain"))
    XCTAssertEqual(payer.text("Payer"), "BucketOwner")
  }
}
