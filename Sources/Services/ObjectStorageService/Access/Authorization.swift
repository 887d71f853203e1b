import RegionKit
import RegionStore
import WireModel

/// Which permissions an S3 call needs. The bucket's policy takes part in every decision on the bucket or its keys.
extension S3Engine {
  func authorization(for operation: String, input: [String: WireValue], call: Call) async throws -> [AuthorizationRequest] {
    if operation == "ListBuckets" { return [AuthorizationRequest("s3:ListAllMyBuckets", on: "*", context: [:])] }
    // DeleteObjects asks for each key on its own: one key that may not be deleted does not spoil the others.
    if operation == "DeleteObjects" { return [] }
    guard let name = input["Bucket"]?.asString else { throw S3Problem.invalidBucketName("") }
    if operation == "CreateBucket" {
      guard BucketName.isValid(name) else { throw S3Problem.invalidBucketName(name) }
      return [AuthorizationRequest("s3:CreateBucket", on: "arn:aws:s3:::\(name)", context: Self.createContext(input, call))]
    }
    let bucket = try await bucket(name).value
    if let action = ActionTable.bucket[operation] {
      return [request(action, bucket, key: nil, context: Self.listContext(input), call)]
    }
    guard let actions = ActionTable.object[operation] else {
      throw AWSError.internalFailure("No permission is known for s3:\(operation).")
    }
    guard let key = input["Key"]?.asString else {
      throw AWSError("InvalidURI", "Couldn't parse the specified URI: it names no key.", status: 400)
    }
    try Self.check(key: key)
    let versionId = input["VersionId"]?.asString
    var context = Self.objectContext(input)
    if ActionTable.readsTags.contains(operation) {
      context.merge(try await existingTags(bucket, key, versionId, call)) { _, new in new }
    }
    var requests = (versionId == nil ? actions.plain : actions.versioned).map {
      request($0, bucket, key: key, context: context, call)
    }
    if ["PutObject", "CopyObject", "CreateMultipartUpload"].contains(operation) {
      if input["Tagging"]?.asString != nil { requests.append(request("s3:PutObjectTagging", bucket, key: key, context: context, call)) }
      if input["ACL"]?.asString != nil { requests.append(request("s3:PutObjectAcl", bucket, key: key, context: context, call)) }
    }
    if let source = input["CopySource"]?.asString {
      let parsed = try CopySource(source)
      requests.append(try await sourceRequest(parsed, call))
    }
    return requests
  }

  private func sourceRequest(_ source: CopySource, _ call: Call) async throws -> AuthorizationRequest {
    let bucket = try await bucket(source.bucket).value
    let tags = try await existingTags(bucket, source.key, source.versionId, call)
    return request(
      source.versionId == nil ? "s3:GetObject" : "s3:GetObjectVersion", bucket, key: source.key, context: tags, call)
  }

  /// One question about a bucket or key, with the bucket's policy as far as it holds for this caller.
  func request(
    _ action: String, _ bucket: BucketRecord, key: String?, context: [String: [String]] = [:], _ call: Call
  ) -> AuthorizationRequest {
    var context = context
    context["s3:ResourceAccount"] = [bucket.owner.rawValue]
    // A policy that denies everybody must not lock its owner out: the owner's root may always read, replace and remove it.
    let repairs = ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"].contains(action)
    let isOwner = call.principal.kind == .root && call.principal.account == bucket.owner
    return AuthorizationRequest(
      action, on: key.map(bucket.arn(key:)) ?? bucket.arn, context: context,
      resourcePolicy: repairs && isOwner ? nil : effectivePolicy(bucket, for: call.principal), resourceAccount: bucket.owner)
  }

  /// RestrictPublicBuckets: a public policy then speaks only to the owner's account and to services.
  private func effectivePolicy(_ bucket: BucketRecord, for principal: Principal) -> String? {
    guard let policy = bucket.policy else { return nil }
    let isOwn = principal.kind != .anonymous && principal.account == bucket.owner
    if bucket.publicAccessBlock?.restrictPublicBuckets == true, !isOwn, principal.kind != .service,
      (try? BucketPolicy(policy).isPublic) ?? true
    {
      return nil
    }
    return policy
  }

  /// Read only where it can matter: root without a policy that looks at tags is decided without them.
  private func existingTags(_ bucket: BucketRecord, _ key: String, _ versionId: String?, _ call: Call) async throws
    -> [String: [String]]
  {
    let inPolicy = bucket.policy?.lowercased().contains("existingobjecttag") ?? false
    guard inPolicy || call.principal.kind != .root else { return [:] }
    guard let version = try await find(bucket, key, versionId: versionId) else { return [:] }
    return Dictionary(
      (version.tags ?? []).map { ("s3:ExistingObjectTag/\($0.key)", [$0.value]) }, uniquingKeysWith: { a, _ in a })
  }

  // MARK: Condition keys

  private static func createContext(_ input: [String: WireValue], _ call: Call) -> [String: [String]] {
    let location = input["CreateBucketConfiguration"]?.asObject?["LocationConstraint"]?.asString
    var context: [String: [String]] = ["s3:LocationConstraint": [location ?? call.region.rawValue]]
    copy("ACL", "s3:x-amz-acl", input, &context)
    return context
  }

  private static func listContext(_ input: [String: WireValue]) -> [String: [String]] {
    var context: [String: [String]] = [:]
    copy("Prefix", "s3:prefix", input, &context)
    copy("Delimiter", "s3:delimiter", input, &context)
    copy("ACL", "s3:x-amz-acl", input, &context)
    for member in ["MaxKeys", "MaxUploads"] {
      if let most = input[member]?.asInt { context["s3:max-keys"] = [String(most)] }
    }
    return context
  }

  private static func objectContext(_ input: [String: WireValue]) -> [String: [String]] {
    var context: [String: [String]] = [:]
    copy("ACL", "s3:x-amz-acl", input, &context)
    copy("CopySource", "s3:x-amz-copy-source", input, &context)
    copy("MetadataDirective", "s3:x-amz-metadata-directive", input, &context)
    copy("StorageClass", "s3:x-amz-storage-class", input, &context)
    copy("ServerSideEncryption", "s3:x-amz-server-side-encryption", input, &context)
    copy("VersionId", "s3:VersionId", input, &context)
    copy("IfMatch", "s3:if-match", input, &context)
    copy("IfNoneMatch", "s3:if-none-match", input, &context)
    var tags: [(String, String)] = []
    if let header = input["Tagging"]?.asString, let parsed = try? TagRules.parse(header: header) {
      tags = parsed.map { ($0.key, $0.value) }
    } else if let set = input["Tagging"]?.asObject?["TagSet"]?.asList {
      tags = set.compactMap { tag in
        guard let fields = tag.asObject, let key = fields["Key"]?.asString else { return nil }
        return (key, fields["Value"]?.asString ?? "")
      }
    }
    for (key, value) in tags { context["s3:RequestObjectTag/\(key)"] = [value] }
    if !tags.isEmpty { context["s3:RequestObjectTagKeys"] = tags.map(\.0) }
    return context
  }

  private static func copy(
    _ member: String, _ name: String, _ input: [String: WireValue], _ context: inout [String: [String]]
  ) {
    if let value = input[member]?.asString { context[name] = [value] }
  }
}
