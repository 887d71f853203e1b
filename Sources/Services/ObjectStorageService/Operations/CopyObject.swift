import FoundationEssentials
import RegionKit
import RegionStore
import WireModel

/// The conditions and the source of CopyObject and UploadPartCopy.
struct CopyRequest: Sendable {
  var source: CopySource
  var conditions: ReadConditions
  var expectedOwner: String?

  init(fields: [String: WireValue]) throws {
    source = try CopySource(fields["CopySource"]?.asString ?? "")
    conditions = ReadConditions(
      ifMatch: fields["CopySourceIfMatch"]?.asString, ifNoneMatch: fields["CopySourceIfNoneMatch"]?.asString,
      ifModifiedSince: Date(wire: fields["CopySourceIfModifiedSince"]),
      ifUnmodifiedSince: Date(wire: fields["CopySourceIfUnmodifiedSince"]))
    expectedOwner = fields["ExpectedSourceBucketOwner"]?.asString
  }

  /// A copy answers 412 where a GET answers 304.
  func check(_ version: KeyVersion) throws {
    switch conditions.verdict(eTag: version.eTag, lastModified: version.lastModified) {
    case .go: break
    case .notModified:
      throw S3Problem.preconditionFailed(
        conditions.ifNoneMatch != nil ? "x-amz-copy-source-If-None-Match" : "x-amz-copy-source-If-Modified-Since")
    case .failed(let condition): throw S3Problem.preconditionFailed("x-amz-copy-source-" + condition)
    }
  }
}

extension S3Engine {
  /// The source of a copy with its bucket. A delete marker named by its id is refused as S3 refuses it.
  func copySource<Value>(
    _ copy: CopyRequest, _ call: Call, _ body: (BucketRecord, KeyVersion) async throws -> Value
  ) async throws -> Value {
    do {
      return try await reading(
        copy.source.bucket, copy.source.key, versionId: copy.source.versionId, expectedOwner: copy.expectedOwner, method: "GET", call
      ) { bucket, version in
        try copy.check(version)
        return try await body(bucket, version)
      }
    } catch let error as AWSError where error.code == "MethodNotAllowed" {
      throw S3Problem.invalidRequest(
        "The source of a copy request may not specifically refer to a delete marker by version id.")
    }
  }

  func copyObject(_ input: Obj<CopyObjectRequest>, _ call: Call) async throws -> Obj<CopyObjectOutput> {
    let key = input[.key]
    try Self.check(key: key)
    try Self.refuseUnsupported(input.fields)
    let copy = try CopyRequest(fields: input.fields)
    let target = try await writableBucket(input[.bucket], expectedOwner: input[.expectedBucketOwner])
    try Self.checkACL(input.fields, target.value, call)
    let replacesMetadata = try Self.directive(input[.metadataDirective]?.rawValue, "x-amz-metadata-directive")
    let replacesTags = try Self.directive(input[.taggingDirective]?.rawValue, "x-amz-tagging-directive")
    let newMetadata = try Self.metadata(input.fields)
    let newTags = try Self.tags(input[.tagging])
    let conditions = try WriteConditions(ifMatch: input[.ifMatch], ifNoneMatch: input[.ifNoneMatch])
    let wanted = try input[.checksumAlgorithm].map { try ChecksumRequest.algorithm($0.rawValue) }

    let encryption = try encryption(input.fields, target.value)
    let (received, source) = try await copySource(copy, call) { bucket, version in
      if bucket.id == target.value.id, version.key.utf8.elementsEqual(key.utf8), copy.source.versionId == nil, !replacesMetadata,
        newMetadata.websiteRedirect == nil, input[.serverSideEncryption] == nil
      {
        throw S3Problem.invalidRequest(
          "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, "
            + "storage class, website redirect location or encryption attributes.")
      }
      guard version.size <= Ingest.limit else {
        throw S3Problem.invalidRequest(
          "The specified copy source is larger than the maximum allowable size for a copy source: \(Ingest.limit)")
      }
      var request = try ChecksumRequest(fields: [:])
      request.algorithm = wanted ?? version.checksum?.algorithm
      let stream = try await reader.open(version, scope: bucket.contentScope, range: 0..<version.size)
      return (try await receive(stream, request, encryption: encryption), (bucket: bucket, version: version))
    }
    var metadata = replacesMetadata ? newMetadata : source.version.metadata
    // The redirect is not copied: it is given with each request.
    metadata.websiteRedirect = newMetadata.websiteRedirect
    let done = try await commit(
      received, bucketName: input[.bucket], key: key, expectedOwner: input[.expectedBucketOwner], metadata: metadata,
      tags: replacesTags ? newTags : source.version.tags, check: { try conditions.check($0, key: key) })
    var result = Obj<CopyObjectResult>()
    result[.eTag] = quoted(done.version.eTag)
    result[.lastModified] = done.version.lastModified
    if let stored = done.version.checksum {
      result.fields[stored.algorithm.member] = .string(stored.value)
      result[.checksumType] = ChecksumType(rawValue: stored.kind.rawValue)
    }
    return Obj {
      $0[.copyObjectResult] = result
      $0[.serverSideEncryption] = done.version.encryption.map { ServerSideEncryption(rawValue: $0) }
      if done.bucket.versioning == .enabled { $0[.versionId] = done.version.shownVersionId }
      if source.bucket.versioning != nil { $0[.copySourceVersionId] = source.version.shownVersionId }
    }
  }

  private static func directive(_ text: String?, _ header: String) throws -> Bool {
    switch text {
    case nil, "COPY"?: return false
    case "REPLACE"?: return true
    case let other?: throw S3Problem.invalidArgument("Unknown metadata directive.", name: header, value: other)
    }
  }
}
