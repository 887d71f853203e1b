import FoundationEssentials
import RegionKit
import RegionStore
import WireModel

extension S3Engine {
  private func notFound(_ code: String, _ message: String, _ bucket: String) -> AWSError {
    AWSError(code, message, status: 404, fields: ["BucketName": bucket])
  }

  // MARK: Versioning

  func getBucketVersioning(_ input: Obj<GetBucketVersioningRequest>, _ call: Call) async throws -> Obj<GetBucketVersioningOutput> {
    let bucket = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]).value
    return Obj { $0[.status] = bucket.versioning.map { BucketVersioningStatus(rawValue: $0.rawValue) } }
  }

  func putBucketVersioning(_ input: Obj<PutBucketVersioningRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    let configuration = input[.versioningConfiguration]
    if configuration[.mFADelete].map({ $0 != .disabled }) ?? false || input[.mFA] != nil {
      throw S3Problem.notImplemented("MfaDelete", "MFA delete is not available.")
    }
    guard let status = configuration[.status], let versioning = BucketRecord.Versioning(rawValue: status.rawValue) else {
      throw AWSError(
        "IllegalVersioningConfigurationException", "The Versioning element must be specified with Status Enabled or Suspended.",
        status: 400)
    }
    try await updateBucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]) { $0.versioning = versioning }
    return Obj()
  }

  // MARK: Tags

  func getBucketTagging(_ input: Obj<GetBucketTaggingRequest>, _ call: Call) async throws -> Obj<GetBucketTaggingOutput> {
    let bucket = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]).value
    guard let tags = bucket.tags, !tags.isEmpty else {
      throw notFound("NoSuchTagSet", "The TagSet does not exist", bucket.name)
    }
    return Obj { $0[.tagSet] = TagRules.show(tags) }
  }

  func putBucketTagging(_ input: Obj<PutBucketTaggingRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    let tags = try TagRules.read(input[.tagging][.tagSet], most: 50)
    try await updateBucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]) { $0.tags = tags }
    return Obj()
  }

  func deleteBucketTagging(_ input: Obj<DeleteBucketTaggingRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await updateBucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]) { $0.tags = nil }
    return Obj()
  }

  // MARK: Policy

  func getBucketPolicy(_ input: Obj<GetBucketPolicyRequest>, _ call: Call) async throws -> Obj<GetBucketPolicyOutput> {
    let bucket = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]).value
    guard let policy = bucket.policy else {
      throw notFound("NoSuchBucketPolicy", "The bucket policy does not exist", bucket.name)
    }
    return Obj { $0[.policy] = policy }
  }

  func getBucketPolicyStatus(_ input: Obj<GetBucketPolicyStatusRequest>, _ call: Call) async throws -> Obj<GetBucketPolicyStatusOutput> {
    let bucket = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]).value
    guard let policy = bucket.policy else {
      throw notFound("NoSuchBucketPolicy", "The bucket policy does not exist", bucket.name)
    }
    let isPublic = try BucketPolicy(policy).isPublic
    return Obj { $0[.policyStatus] = Obj { $0[.isPublic] = isPublic } }
  }

  func putBucketPolicy(_ input: Obj<PutBucketPolicyRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    let text = input[.policy]
    try await updateBucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]) { bucket in
      let policy = try BucketPolicy(text, for: bucket)
      if policy.isPublic, bucket.publicAccessBlock?.blockPublicPolicy == true {
        throw S3Problem.accessDenied(
          "User: \(call.principal.arn) is not authorized to perform: s3:PutBucketPolicy on resource: \"\(bucket.arn)\" because public "
            + "policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access.")
      }
      bucket.policy = text
    }
    return Obj()
  }

  func deleteBucketPolicy(_ input: Obj<DeleteBucketPolicyRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await updateBucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]) { $0.policy = nil }
    return Obj()
  }

  // MARK: Public access block

  func getPublicAccessBlock(_ input: Obj<GetPublicAccessBlockRequest>, _ call: Call) async throws -> Obj<GetPublicAccessBlockOutput> {
    let bucket = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]).value
    guard let block = bucket.publicAccessBlock else {
      throw notFound(
        "NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found", bucket.name)
    }
    return Obj {
      $0[.publicAccessBlockConfiguration] = Obj {
        $0[.blockPublicAcls] = block.blockPublicAcls
        $0[.ignorePublicAcls] = block.ignorePublicAcls
        $0[.blockPublicPolicy] = block.blockPublicPolicy
        $0[.restrictPublicBuckets] = block.restrictPublicBuckets
      }
    }
  }

  func putPublicAccessBlock(_ input: Obj<PutPublicAccessBlockRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    let asked = input[.publicAccessBlockConfiguration]
    let block = PublicAccessBlock(
      blockPublicAcls: asked[.blockPublicAcls] ?? false, ignorePublicAcls: asked[.ignorePublicAcls] ?? false,
      blockPublicPolicy: asked[.blockPublicPolicy] ?? false, restrictPublicBuckets: asked[.restrictPublicBuckets] ?? false)
    try await updateBucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]) { $0.publicAccessBlock = block }
    return Obj()
  }

  func deletePublicAccessBlock(_ input: Obj<DeletePublicAccessBlockRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await updateBucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]) { $0.publicAccessBlock = nil }
    return Obj()
  }

  // MARK: Ownership and ACLs

  func getBucketOwnershipControls(
    _ input: Obj<GetBucketOwnershipControlsRequest>, _ call: Call
  ) async throws -> Obj<GetBucketOwnershipControlsOutput> {
    let bucket = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]).value
    guard let ownership = bucket.ownership else {
      throw notFound("OwnershipControlsNotFoundError", "The bucket ownership controls were not found", bucket.name)
    }
    return Obj {
      $0[.ownershipControls] = Obj { $0[.rules] = [Obj { $0[.objectOwnership] = ObjectOwnership(rawValue: ownership) }] }
    }
  }

  func putBucketOwnershipControls(_ input: Obj<PutBucketOwnershipControlsRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    let rules = input[.ownershipControls][.rules]
    guard rules.count == 1, let ownership = rules.first?[.objectOwnership] else {
      throw S3Problem.malformedXML("OwnershipControls has exactly one Rule.")
    }
    guard ownership == .bucketOwnerEnforced || ownership == .bucketOwnerPreferred else { throw Self.ownershipRefusal(ownership) }
    try await updateBucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]) { $0.ownership = ownership.rawValue }
    return Obj()
  }

  func deleteBucketOwnershipControls(_ input: Obj<DeleteBucketOwnershipControlsRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await updateBucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]) { $0.ownership = nil }
    return Obj()
  }

  private func ownerGrant(_ bucket: BucketRecord) -> [Obj<Grant>] {
    [
      Obj {
        $0[.grantee] = Obj {
          $0[.iD] = canonicalUserID(bucket.owner)
          $0[.type] = .canonicalUser
        }
        $0[.permission] = .fullControl
      }
    ]
  }

  func getBucketAcl(_ input: Obj<GetBucketAclRequest>, _ call: Call) async throws -> Obj<GetBucketAclOutput> {
    let bucket = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]).value
    return Obj {
      $0[.owner] = owner(bucket)
      $0[.grants] = ownerGrant(bucket)
    }
  }

  func getObjectAcl(_ input: Obj<GetObjectAclRequest>, _ call: Call) async throws -> Obj<GetObjectAclOutput> {
    let bucket = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]).value
    _ = try await object(bucket, input[.key], versionId: input[.versionId], method: "GET", call)
    return Obj {
      $0[.owner] = owner(bucket)
      $0[.grants] = ownerGrant(bucket)
    }
  }

  func putBucketAcl(_ input: Obj<PutBucketAclRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    let bucket = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]).value
    guard bucket.ownership == ObjectOwnership.bucketOwnerPreferred.rawValue else {
      throw Self.aclRefusal(bucket, input[.aCL]?.rawValue ?? "grants")
    }
    try checkSaysOwnerOnly(input.fields, input[.accessControlPolicy], bucket)
    return Obj()
  }

  func putObjectAcl(_ input: Obj<PutObjectAclRequest>, _ call: Call) async throws -> Obj<PutObjectAclOutput> {
    let bucket = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]).value
    _ = try await object(bucket, input[.key], versionId: input[.versionId], method: "PUT", call)
    guard bucket.ownership == ObjectOwnership.bucketOwnerPreferred.rawValue || input[.aCL] == .bucketOwnerFullControl else {
      throw Self.aclRefusal(bucket, input[.aCL]?.rawValue ?? "grants")
    }
    try checkSaysOwnerOnly(input.fields, input[.accessControlPolicy], bucket)
    return Obj()
  }

  /// The one ACL there is may be put again: canned `private` or `bucket-owner-full-control`, or its written form.
  private func checkSaysOwnerOnly(
    _ fields: [String: WireValue], _ policy: Obj<AccessControlPolicy>?, _ bucket: BucketRecord
  ) throws {
    let headers = ["GrantFullControl", "GrantRead", "GrantReadACP", "GrantWrite", "GrantWriteACP"]
    if let header = headers.first(where: { fields[$0]?.asString != nil }) { throw Self.aclRefusal(bucket, header) }
    if let acl = fields["ACL"]?.asString {
      guard acl == "private" || acl == "bucket-owner-full-control" else { throw Self.aclRefusal(bucket, acl) }
      return
    }
    guard let policy else {
      throw AWSError("MissingSecurityHeader", "Your request was missing a required header", status: 400)
    }
    let own = canonicalUserID(bucket.owner)
    let grants = policy[.grants] ?? []
    let isOwners = grants.allSatisfy { $0[.grantee]?[.iD] == own && $0[.permission] == .fullControl } && grants.count == 1
    guard isOwners, policy[.owner]?[.iD] ?? own == own else { throw Self.aclRefusal(bucket, "grants to others than the owner") }
  }
}
