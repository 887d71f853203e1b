import FoundationEssentials
import RegionKit
import RegionStore
import WireModel

extension S3Engine {
  func getObject(_ input: Obj<GetObjectRequest>, _ call: Call) async throws -> Obj<GetObjectOutput> {
    try Self.refuseCustomerKey(input.fields)
    return try await reading(
      input[.bucket], input[.key], versionId: input[.versionId], expectedOwner: input[.expectedBucketOwner], method: "GET", call
    ) { bucket, version in
      let answer = try await describe(version, bucket, input.fields, call)
      var output = Obj<GetObjectOutput>(fields: answer.fields)
      output[.body] = try await reader.open(version, scope: bucket.contentScope, range: answer.range)
      return output
    }
  }

  func headObject(_ input: Obj<HeadObjectRequest>, _ call: Call) async throws -> Obj<HeadObjectOutput> {
    try Self.refuseCustomerKey(input.fields)
    return try await reading(
      input[.bucket], input[.key], versionId: input[.versionId], expectedOwner: input[.expectedBucketOwner], method: "HEAD", call
    ) { bucket, version in
      Obj<HeadObjectOutput>(fields: try await describe(version, bucket, input.fields, call).fields)
    }
  }

  /// What GET and HEAD share: conditions, the range, and the members that become headers. Both answers name them alike.
  private func describe(
    _ version: KeyVersion, _ bucket: BucketRecord, _ input: [String: WireValue], _ call: Call
  ) async throws -> (fields: [String: WireValue], range: Range<Int64>) {
    let conditions = ReadConditions(
      ifMatch: input["IfMatch"]?.asString, ifNoneMatch: input["IfNoneMatch"]?.asString,
      ifModifiedSince: Date(wire: input["IfModifiedSince"]), ifUnmodifiedSince: Date(wire: input["IfUnmodifiedSince"]))
    switch conditions.verdict(eTag: version.eTag, lastModified: version.lastModified) {
    case .go: break
    case .notModified: throw S3Problem.notModified(Self.validators(version, bucket))
    case .failed(let condition): throw S3Problem.preconditionFailed(condition)
    }
    let selection = try await selection(
      of: version, in: bucket, range: input["Range"]?.asString, partNumber: input["PartNumber"]?.asInt.map(Int.init))
    var fields: [String: WireValue] = [
      "AcceptRanges": .string("bytes"),
      "LastModified": .timestamp(version.lastModified),
      "ContentLength": .int(Int64(selection.range.count)),
      "ETag": .string(quoted(version.eTag)),
      "ContentType": .string(version.metadata.contentType ?? "binary/octet-stream"),
      "Metadata": .object((version.metadata.user ?? [:]).mapValues { .string($0) }),
    ]
    func set(_ member: String, _ value: String?) { if let value { fields[member] = .string(value) } }
    set("CacheControl", version.metadata.cacheControl)
    set("ContentDisposition", version.metadata.contentDisposition)
    set("ContentEncoding", version.metadata.contentEncoding)
    set("ContentLanguage", version.metadata.contentLanguage)
    set("Expires", version.metadata.expires)
    set("WebsiteRedirectLocation", version.metadata.websiteRedirect)
    set("ServerSideEncryption", version.encryption)
    if bucket.versioning != nil { set("VersionId", version.shownVersionId) }
    if selection.isPartial { set("ContentRange", ByteRange.contentRange(selection.range, size: version.size)) }
    if let count = selection.partsCount { fields["PartsCount"] = .int(Int64(count)) }
    if let tags = version.tags, !tags.isEmpty { fields["TagCount"] = .int(Int64(tags.count)) }
    // A checksum covers the whole object, so it goes with the whole object only.
    if input["ChecksumMode"]?.asString?.uppercased() == "ENABLED", let checksum = version.checksum,
      selection.range.count == Int(version.size)
    {
      fields[checksum.algorithm.member] = .string(checksum.value)
      fields["ChecksumType"] = .string(checksum.kind.rawValue)
    }
    try Self.overrideHeaders(&fields, input, call)
    return (fields, selection.range)
  }

  /// `response-*` parameters of (presigned) requests. AWS refuses them on unsigned requests.
  private static func overrideHeaders(_ fields: inout [String: WireValue], _ input: [String: WireValue], _ call: Call) throws {
    let overrides = [
      ("ResponseCacheControl", "CacheControl"), ("ResponseContentDisposition", "ContentDisposition"),
      ("ResponseContentEncoding", "ContentEncoding"), ("ResponseContentLanguage", "ContentLanguage"),
      ("ResponseContentType", "ContentType"),
    ]
    for (parameter, member) in overrides {
      guard let value = input[parameter]?.asString else { continue }
      guard call.principal.kind != .anonymous else {
        throw S3Problem.invalidRequest("Request specific response headers cannot be used for anonymous GET requests.")
      }
      fields[member] = .string(value)
    }
    if let date = Date(wire: input["ResponseExpires"]) { fields["Expires"] = .string(httpDate(date)) }
  }

  /// What a 304 carries.
  private static func validators(_ version: KeyVersion, _ bucket: BucketRecord) -> [String: String] {
    var headers = ["ETag": quoted(version.eTag), "Last-Modified": httpDate(version.lastModified)]
    if bucket.versioning != nil { headers["x-amz-version-id"] = version.shownVersionId }
    return headers
  }

  func getObjectAttributes(_ input: Obj<GetObjectAttributesRequest>, _ call: Call) async throws -> Obj<GetObjectAttributesOutput> {
    try Self.refuseCustomerKey(input.fields)
    let wanted = Set(input[.objectAttributes].flatMap { $0.rawValue.split(separator: ",").map { $0.filter { $0 != " " } } })
    let known: Set<String> = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    guard !wanted.isEmpty, wanted.isSubset(of: known) else {
      throw S3Problem.invalidArgument(
        "Invalid attribute name specified.", name: "x-amz-object-attributes",
        value: wanted.subtracting(known).sorted().joined(separator: ","))
    }
    return try await reading(
      input[.bucket], input[.key], versionId: input[.versionId], expectedOwner: input[.expectedBucketOwner], method: "GET", call
    ) { bucket, version in
      var output = Obj<GetObjectAttributesOutput>()
      output[.lastModified] = version.lastModified
      if bucket.versioning != nil { output[.versionId] = version.shownVersionId }
      if wanted.contains("ETag") { output[.eTag] = version.eTag }
      if wanted.contains("StorageClass") { output[.storageClass] = .standard }
      if wanted.contains("ObjectSize") { output[.objectSize] = Int(version.size) }
      if wanted.contains("Checksum"), let checksum = version.checksum {
        var shown = Obj<Checksum>(fields: [checksum.algorithm.member: .string(checksum.value)])
        shown[.checksumType] = ChecksumType(rawValue: checksum.kind.rawValue)
        output[.checksum] = shown
      }
      if wanted.contains("ObjectParts"), case .manifest(let id) = version.content {
        guard let manifest = try await store.get(ManifestRecord.self, in: bucket.contentScope, id: id) else {
          throw BytesMissing(id: id)
        }
        output[.objectParts] = Self.attributes(
          manifest.value.parts, version, most: input[.maxParts], after: input[.partNumberMarker])
      }
      return output
    }
  }

  private static func attributes(
    _ parts: [ManifestPart], _ version: KeyVersion, most: Int?, after: Int?
  ) -> Obj<GetObjectAttributesParts> {
    let numbered = parts.enumerated().map { (number: $0.offset + 1, part: $0.element) }
    let rest = numbered.filter { $0.number > (after ?? 0) }
    let limit = min(1000, max(0, most ?? 1000))
    let page = rest.prefix(limit)
    // S3 lists the parts themselves only where each has a checksum of its own that makes up the object's.
    let listed = version.checksum?.kind == .composite || parts.contains { $0.checksum != nil }
    return Obj {
      $0[.totalPartsCount] = parts.count
      $0[.partNumberMarker] = after ?? 0
      $0[.maxParts] = limit
      $0[.isTruncated] = rest.count > page.count
      $0[.nextPartNumberMarker] = page.last?.number ?? 0
      if listed {
        $0[.parts] = page.map { entry in
          var shown = Obj<ObjectPart>()
          shown[.partNumber] = entry.number
          shown[.size] = Int(entry.part.size)
          if let algorithm = version.checksum?.algorithm, let value = entry.part.checksum {
            shown.fields[algorithm.member] = .string(value)
          }
          return shown
        }
      }
    }
  }
}
