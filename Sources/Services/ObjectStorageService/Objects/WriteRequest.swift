import FoundationEssentials
import RegionKit
import WireModel

/// What PutObject, CopyObject and CreateMultipartUpload have in common: headers about the object, and headers that ask for things
/// this region does not do, which are refused by name and never ignored.
extension S3Engine {
  /// Throws MetadataTooLarge.
  static func metadata(_ fields: [String: WireValue]) throws -> ObjectMetadata {
    func text(_ member: String) -> String? { fields[member]?.asString.flatMap { $0.isEmpty ? nil : $0 } }
    var metadata = ObjectMetadata()
    metadata.contentType = text("ContentType")
    metadata.contentEncoding = text("ContentEncoding").flatMap(withoutChunking)
    metadata.contentLanguage = text("ContentLanguage")
    metadata.contentDisposition = text("ContentDisposition")
    metadata.cacheControl = text("CacheControl")
    metadata.expires = text("Expires")
    metadata.websiteRedirect = text("WebsiteRedirectLocation")
    if let redirect = metadata.websiteRedirect,
      !redirect.hasPrefix("/"), !redirect.hasPrefix("http://"), !redirect.hasPrefix("https://")
    {
      throw AWSError(
        "InvalidRedirectLocation", "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
        status: 400)
    }
    if let map = fields["Metadata"]?.asObject, !map.isEmpty {
      var user: [String: String] = [:]
      for (name, value) in map { user[name.lowercased()] = value.asString ?? "" }
      let size = user.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
      guard size <= 2048 else {
        throw AWSError(
          "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size", status: 400,
          fields: ["Size": String(size), "MaxSizeAllowed": "2048"])
      }
      metadata.user = user
    }
    return metadata
  }

  /// `aws-chunked` says how the body travelled, not what it is.
  private static func withoutChunking(_ encoding: String) -> String? {
    let kept = encoding.split(separator: ",").map { $0.filter { $0 != " " } }.filter { $0.lowercased() != "aws-chunked" }
    return kept.isEmpty ? nil : kept.joined(separator: ",")
  }

  static func tags(_ header: String?) throws -> [ObjectTag]? {
    guard let header, !header.isEmpty else { return nil }
    let tags = try TagRules.parse(header: header)
    return tags.isEmpty ? nil : tags
  }

  /// Headers whose function does not exist here.
  static func refuseUnsupported(_ fields: [String: WireValue]) throws {
    try refuseCustomerKey(fields)
    let encryption = [
      ("SSEKMSKeyId", "x-amz-server-side-encryption-aws-kms-key-id"),
      ("SSEKMSEncryptionContext", "x-amz-server-side-encryption-context"),
      ("BucketKeyEnabled", "x-amz-server-side-encryption-bucket-key-enabled"),
    ]
    for (member, header) in encryption where isSet(fields[member]) {
      throw S3Problem.notImplemented(header, "There is no KMS here; encryption at rest is AES256 with the region's key.")
    }
    if let storage = fields["StorageClass"]?.asString, storage != "STANDARD" {
      throw AWSError(
        "InvalidStorageClass", "The storage class you specified is not valid. This region has STANDARD only, not \(storage).",
        status: 400, fields: ["StorageClassRequested": storage])
    }
    let lock = ["ObjectLockMode", "ObjectLockRetainUntilDate", "ObjectLockLegalHoldStatus"]
    if lock.contains(where: { isSet(fields[$0]) }) {
      throw S3Problem.invalidRequest("Bucket is missing Object Lock Configuration")
    }
    if isSet(fields["WriteOffsetBytes"]) {
      throw S3Problem.notImplemented("x-amz-write-offset-bytes", "Appending exists in directory buckets only.")
    }
  }

  /// Whether the object shall lie encrypted: as the request says, else as the bucket's default. Throws NotImplemented for KMS.
  func encryption(_ fields: [String: WireValue], _ bucket: BucketRecord) throws -> String? {
    guard let asked = fields["ServerSideEncryption"]?.asString else { return bucket.encryption }
    try checkEncryption(asked)
    return asked
  }

  func checkEncryption(_ algorithm: String) throws {
    guard algorithm == "AES256" else {
      throw S3Problem.notImplemented(
        "x-amz-server-side-encryption: \(algorithm)", "There is no KMS here; AES256 encrypts with the region's key.")
    }
    guard sealing != nil else {
      throw S3Problem.notImplemented("x-amz-server-side-encryption", "This region was started without a key for it.")
    }
  }

  static func refuseCustomerKey(_ fields: [String: WireValue]) throws {
    for prefix in ["SSECustomer", "CopySourceSSECustomer"] where isSet(fields[prefix + "Algorithm"]) || isSet(fields[prefix + "Key"]) {
      throw S3Problem.notImplemented(
        "x-amz-server-side-encryption-customer-algorithm", "Encryption with the caller's own key is not available.")
    }
  }

  private static func isSet(_ value: WireValue?) -> Bool {
    switch value {
    case nil, .null?, .bool(false)?: false
    default: true
    }
  }

  /// Canned ACLs and grants on objects. The bucket owner owns every object; a canned ACL that says just that is accepted.
  static func checkACL(_ fields: [String: WireValue], _ bucket: BucketRecord, _ call: Call) throws {
    let grants = ["GrantFullControl", "GrantRead", "GrantReadACP", "GrantWrite", "GrantWriteACP"]
    let acl = fields["ACL"]?.asString
    let hasGrants = grants.contains { fields[$0]?.asString != nil }
    if acl != nil || hasGrants {
      let harmless = !hasGrants && (acl == "bucket-owner-full-control" || acl == "private" && call.account == bucket.owner)
      if !harmless { throw aclRefusal(bucket, acl ?? "grants") }
    }
    if bucket.ownership == ObjectOwnership.bucketOwnerPreferred.rawValue, call.account != bucket.owner,
      acl != "bucket-owner-full-control"
    {
      throw S3Problem.notImplemented(
        "x-amz-acl", "Objects owned by another account than the bucket's are not available; send bucket-owner-full-control.")
    }
  }

  static func aclRefusal(_ bucket: BucketRecord, _ what: String) -> AWSError {
    if bucket.ownership == ObjectOwnership.bucketOwnerPreferred.rawValue {
      return S3Problem.notImplemented(
        "x-amz-acl: \(what)", "Access is granted by IAM and bucket policies; the only ACL is the owner's full control.")
    }
    return AWSError("AccessControlListNotSupported", "The bucket does not allow ACLs", status: 400)
  }
}
