import FoundationEssentials
import RegionKit
import RegionStore
import WireModel

extension S3Engine {
  func createBucket(_ input: Obj<CreateBucketRequest>, _ call: Call) async throws -> Obj<CreateBucketOutput> {
    let name = input[.bucket]
    guard BucketName.isValid(name) else { throw S3Problem.invalidBucketName(name) }
    guard call.principal.kind != .anonymous else { throw S3Problem.accessDenied() }
    let ownership = try Self.ownership(input)
    let region = try Self.region(of: input[.createBucketConfiguration], call.region)
    let tags = try input[.createBucketConfiguration]?[.tags].map { try TagRules.read($0, most: 50) }
    let record = BucketRecord(
      name: name, id: freshId(), owner: call.account, region: region, created: wholeSeconds, tags: tags,
      publicAccessBlock: .all, ownership: ownership)
    var commit = StoreCommit()
    try commit.put(record, in: BucketRecord.scope, id: name, expecting: .absent)
    do {
      try await store.commit(commit)
    } catch is StoreConflict {
      guard let existing = try await storedBucket(name)?.value else { throw S3Problem.operationAborted("bucket \(name)") }
      guard existing.owner == call.account else {
        throw S3Errors.bucketAlreadyExists(
          "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a "
            + "different name and try again.", fields: ["BucketName": name])
      }
      // In us-east-1 a bucket made again by its owner is answered as if it were new; nothing of it changes.
      guard region.rawValue == "us-east-1", existing.region == region else {
        throw S3Errors.bucketAlreadyOwnedByYou(
          "Your previous request to create the named bucket succeeded and you already own it.", fields: ["BucketName": name])
      }
    }
    return Obj {
      $0[.location] = region.rawValue == "us-east-1" ? "/\(name)" : "\(Self.scheme(call))://\(call.endpointHost)/\(name)/"
      $0[.bucketArn] = record.arn
    }
  }

  /// Where the bucket shall be, by S3's rules for LocationConstraint and the region that signed the call.
  static func region(of configuration: Obj<CreateBucketConfiguration>?, _ endpoint: RegionName) throws -> RegionName {
    if configuration?[.location] != nil || configuration?.fields["Bucket"] != nil {
      throw S3Problem.notImplemented("CreateBucketConfiguration.Location", "Directory buckets are not available.")
    }
    let asked = configuration?[.locationConstraint]?.rawValue ?? ""
    func illegal(_ what: String) -> AWSError {
      AWSError(
        "IllegalLocationConstraintException",
        "The \(what) location constraint is incompatible for the region specific endpoint this request was sent to.", status: 400)
    }
    if endpoint.rawValue == "us-east-1" || endpoint == .global {
      if asked.isEmpty { return RegionName("us-east-1") }
      let bytes = Array(asked.utf8)
      let wellFormed =
        bytes.count <= 64 && bytes.allSatisfy { ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7a) || ($0 >= 0x30 && $0 <= 0x39) || $0 == 0x2d }
      guard wellFormed, asked != "us-east-1", asked != RegionName.global.rawValue else {
        throw AWSError(
          "InvalidLocationConstraint", "The specified location-constraint is not valid", status: 400,
          fields: ["LocationConstraint": asked])
      }
      return RegionName(asked == "EU" ? "eu-west-1" : asked)
    }
    if asked.isEmpty { throw illegal("unspecified") }
    let region = asked == "EU" ? "eu-west-1" : asked
    guard region == endpoint.rawValue else { throw illegal(asked) }
    return endpoint
  }

  private static func ownership(_ input: Obj<CreateBucketRequest>) throws -> String {
    let ownership = input[.objectOwnership] ?? .bucketOwnerEnforced
    guard ownership == .bucketOwnerEnforced || ownership == .bucketOwnerPreferred else { throw ownershipRefusal(ownership) }
    let grants = ["GrantFullControl", "GrantRead", "GrantReadACP", "GrantWrite", "GrantWriteACP"]
    let hasGrants = grants.contains { input.fields[$0]?.asString != nil }
    if hasGrants || input[.aCL].map({ $0 != .private }) ?? false {
      if ownership == .bucketOwnerEnforced {
        throw AWSError(
          "InvalidBucketAclWithObjectOwnership", "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
          status: 400)
      }
      throw S3Problem.notImplemented("x-amz-acl", "Access is granted by IAM and bucket policies; the only ACL is the owner's full control.")
    }
    if input[.objectLockEnabledForBucket] == true {
      throw S3Problem.notImplemented("x-amz-bucket-object-lock-enabled", "Object Lock is not available.")
    }
    if let namespace = input.fields["BucketNamespace"]?.asString, namespace != "global" {
      throw S3Problem.notImplemented("x-amz-bucket-namespace: \(namespace)", "Bucket names are global here.")
    }
    return ownership.rawValue
  }

  static func ownershipRefusal(_ ownership: ObjectOwnership) -> AWSError {
    S3Problem.notImplemented(
      "ObjectOwnership \(ownership.rawValue)", "Choose BucketOwnerEnforced or BucketOwnerPreferred: the bucket's owner owns its objects.")
  }

  func headBucket(_ input: Obj<HeadBucketRequest>, _ call: Call) async throws -> Obj<HeadBucketOutput> {
    let bucket = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]).value
    return Obj {
      $0[.bucketRegion] = bucket.region.rawValue
      $0[.bucketArn] = bucket.arn
      $0[.accessPointAlias] = false
    }
  }

  func getBucketLocation(_ input: Obj<GetBucketLocationRequest>, _ call: Call) async throws -> Obj<GetBucketLocationOutput> {
    let bucket = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]).value
    // us-east-1 is shown as no constraint at all.
    return Obj {
      if bucket.region.rawValue != "us-east-1" { $0[.locationConstraint] = BucketLocationConstraint(rawValue: bucket.region.rawValue) }
    }
  }

  func listBuckets(_ input: Obj<ListBucketsRequest>, _ call: Call) async throws -> Obj<ListBucketsOutput> {
    let prefix = input[.prefix] ?? ""
    let region = input[.bucketRegion]
    let binding = "s3:ListBuckets \(call.account) \(prefix) \(region ?? "")"
    if let most = input[.maxBuckets], !(1...10_000).contains(most) {
      throw S3Problem.invalidArgument(
        "Argument max-buckets must be an integer between 1 and 10000", name: "max-buckets", value: String(most))
    }
    let limit = input[.maxBuckets] ?? 10_000
    var after: String?
    if let token = input[.continuationToken] {
      guard let decoded = PageToken(token, binding: binding) else {
        throw S3Problem.invalidArgument("The continuation token provided is incorrect", name: "continuation-token", value: token)
      }
      after = decoded.after
    }
    var found: [BucketRecord] = []
    var more = false
    while true {
      let rows = try await store.list(
        BucketRecord.self, in: BucketRecord.scope,
        StoreQuery(prefix: prefix, after: after, limit: limit + 1 - found.count, index: ("owner", call.account.rawValue)))
      if rows.isEmpty { break }
      after = rows.last?.id
      found += rows.map(\.value).filter { region == nil || $0.region.rawValue == region }
      if found.count > limit {
        more = true
        found.removeLast(found.count - limit)
        break
      }
    }
    return Obj {
      $0[.owner] = Obj { $0[.iD] = canonicalUserID(call.account) }
      $0[.prefix] = input[.prefix]
      $0[.buckets] = found.map { bucket in
        Obj {
          $0[.name] = bucket.name
          $0[.creationDate] = bucket.created
          $0[.bucketArn] = bucket.arn
          $0[.bucketRegion] = bucket.region.rawValue
        }
      }
      if more { $0[.continuationToken] = found.last.map { PageToken(after: $0.name).encoded(binding: binding) } }
    }
  }

  func deleteBucket(_ input: Obj<DeleteBucketRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    let name = input[.bucket]
    for _ in 0..<Self.attempts {
      let bucket = try await bucket(name, expectedOwner: input[.expectedBucketOwner])
      do {
        try await finishDeletion(of: bucket)
        return Obj()
      } catch is StoreConflict { continue }
    }
    throw S3Problem.operationAborted("bucket \(name)")
  }

  /// Closes the bucket for writes, looks whether it is empty, and removes it or opens it again. A crash in between leaves it
  /// closed; `recover` goes on from there.
  func finishDeletion(of bucket: Stored<BucketRecord>) async throws {
    let name = bucket.value.name
    var version = bucket.version
    if bucket.value.deleting != true {
      var closing = bucket.value
      closing.deleting = true
      var commit = StoreCommit()
      try commit.put(closing, in: BucketRecord.scope, id: name, expecting: .version(version))
      try await store.commit(commit)
      version += 1
    }
    let scope = bucket.value.contentScope
    let one = StoreQuery(prefix: bucket.value.idPrefix(), limit: 1)
    let hasObjects = try await !store.list(ObjectRecord.self, in: scope, one).isEmpty
    let hasVersions = try await !store.list(VersionRecord.self, in: scope, one).isEmpty
    var commit = StoreCommit()
    guard !hasObjects, !hasVersions else {
      var open = bucket.value
      open.deleting = nil
      try commit.put(open, in: BucketRecord.scope, id: name, expecting: .version(version))
      try await store.commit(commit)
      throw AWSError(
        "BucketNotEmpty",
        "The bucket you tried to delete is not empty"
          + (bucket.value.versioning == nil ? "" : ". You must delete all versions in the bucket."), status: 409,
        fields: ["BucketName": name])
    }
    // Uploads under way end with their bucket.
    for upload in try await store.list(UploadRecord.self, in: scope, StoreQuery(prefix: bucket.value.idPrefix())) {
      try await removeUpload(upload, scope, in: &commit)
    }
    commit.delete(BucketRecord.self, in: BucketRecord.scope, id: name, expecting: .version(version))
    try await store.commit(commit)
  }
}
