import FoundationEssentials
import RegionKit
import RegionStore
import WireModel

extension S3Engine {
  func uploadId(_ bucket: BucketRecord, _ key: String, _ uploadId: String) -> String {
    bucket.objectId(key) + KeyCode.end + uploadId
  }

  /// The upload with its record version. Throws NoSuchUpload.
  func upload(_ bucket: BucketRecord, _ key: String, _ id: String) async throws -> Stored<UploadRecord> {
    let wellFormed = id.utf8.count == 64 && id.utf8.allSatisfy { $0 > 0x2f && $0 < 0x7b }
    guard wellFormed, let found = try await store.get(UploadRecord.self, in: bucket.contentScope, id: uploadId(bucket, key, id))
    else { throw S3Problem.noSuchUpload(id) }
    return found
  }

  func createMultipartUpload(_ input: Obj<CreateMultipartUploadRequest>, _ call: Call) async throws -> Obj<CreateMultipartUploadOutput> {
    let key = input[.key]
    try Self.check(key: key)
    try Self.refuseUnsupported(input.fields)
    let metadata = try Self.metadata(input.fields)
    let tags = try Self.tags(input[.tagging])
    let algorithm = try input[.checksumAlgorithm].map { try ChecksumRequest.algorithm($0.rawValue) }
    let kind = try Self.checksumKind(input[.checksumType]?.rawValue, algorithm)
    for _ in 0..<Self.attempts {
      let bucket = try await writableBucket(input[.bucket], expectedOwner: input[.expectedBucketOwner])
      try Self.checkACL(input.fields, bucket.value, call)
      let id = VersionToken.uploadId(order: VersionToken.order(at: clock.now(), after: nil), random: random)
      let record = UploadRecord(
        key: key, uploadId: id, initiated: wholeSeconds, initiator: call.principal.arn, initiatorName: call.principal.userId,
        metadata: metadata, tags: tags, algorithm: algorithm, kind: kind, encryption: try encryption(input.fields, bucket.value))
      var commit = StoreCommit()
      commit.require(BucketRecord.self, in: BucketRecord.scope, id: bucket.value.name, .version(bucket.version))
      try commit.put(record, in: bucket.value.contentScope, id: uploadId(bucket.value, key, id), expecting: .absent)
      do {
        try await store.commit(commit)
      } catch is StoreConflict { continue }
      return Obj {
        $0[.bucket] = bucket.value.name
        $0[.key] = key
        $0[.uploadId] = id
        $0[.serverSideEncryption] = record.encryption.map { ServerSideEncryption(rawValue: $0) }
        if let algorithm {
          $0[.checksumAlgorithm] = ChecksumAlgorithm(rawValue: algorithm.rawValue)
          $0[.checksumType] = ChecksumType(rawValue: record.effectiveKind.rawValue)
        }
      }
    }
    throw S3Problem.operationAborted("bucket \(input[.bucket])")
  }

  /// CRC64NVME exists over the whole object only, digests over the parts only.
  static func checksumKind(_ text: String?, _ algorithm: ChecksumFunction?) throws -> ChecksumKind? {
    guard let text else { return nil }
    guard let kind = ChecksumKind(rawValue: text) else {
      throw S3Problem.invalidRequest("Value for x-amz-checksum-type header is invalid.")
    }
    guard let algorithm else {
      throw S3Problem.invalidRequest(
        "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
    }
    let possible = kind == .fullObject ? algorithm.table != nil : algorithm != .crc64nvme
    guard possible else {
      throw S3Problem.invalidRequest(
        "The \(kind.rawValue) checksum type cannot be used with the \(algorithm.rawValue.lowercased()) checksum algorithm.")
    }
    return kind
  }

  // MARK: Parts

  func uploadPart(_ input: Obj<UploadPartRequest>, _ call: Call) async throws -> Obj<UploadPartOutput> {
    try Self.check(key: input[.key])
    try Self.refuseCustomerKey(input.fields)
    let number = try Self.partNumber(input[.partNumber])
    let bucket = try await writableBucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]).value
    let upload = try await upload(bucket, input[.key], input[.uploadId]).value
    let request = try ChecksumRequest(fields: input.fields)
    let part = try await storePart(input[.body] ?? ByteStream([]), request, bucket, upload, number)
    var output = Obj<UploadPartOutput>()
    output[.eTag] = quoted(part.eTag)
    output[.serverSideEncryption] = upload.encryption.map { ServerSideEncryption(rawValue: $0) }
    let shown = request.algorithm ?? upload.algorithm ?? .crc64nvme
    if let value = part.checksums[shown.rawValue] { output.fields[shown.member] = .string(value) }
    return output
  }

  func uploadPartCopy(_ input: Obj<UploadPartCopyRequest>, _ call: Call) async throws -> Obj<UploadPartCopyOutput> {
    try Self.check(key: input[.key])
    try Self.refuseCustomerKey(input.fields)
    let number = try Self.partNumber(input[.partNumber])
    let copy = try CopyRequest(fields: input.fields)
    let bucket = try await writableBucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]).value
    let upload = try await upload(bucket, input[.key], input[.uploadId]).value
    let (part, source) = try await copySource(copy, call) { sourceBucket, version in
      let range = try Self.copyRange(input[.copySourceRange], size: version.size)
      guard Int64(range.count) <= Ingest.limit else { throw S3Problem.entityTooLarge(size: Int64(range.count), limit: Ingest.limit) }
      let stream = try await reader.open(version, scope: sourceBucket.contentScope, range: range)
      let part = try await storePart(stream, try ChecksumRequest(fields: [:]), bucket, upload, number)
      return (part, sourceBucket.versioning == nil ? nil : version.shownVersionId)
    }
    var result = Obj<CopyPartResult>()
    result[.eTag] = quoted(part.eTag)
    result[.lastModified] = part.lastModified
    if let algorithm = upload.algorithm, let value = part.checksums[algorithm.rawValue] {
      result.fields[algorithm.member] = .string(value)
    }
    return Obj {
      $0[.copyPartResult] = result
      $0[.serverSideEncryption] = upload.encryption.map { ServerSideEncryption(rawValue: $0) }
      $0[.copySourceVersionId] = source
    }
  }

  private static func partNumber(_ number: Int) throws -> Int {
    guard (1...PartRecord.maximumNumber).contains(number) else {
      throw S3Problem.invalidArgument(
        "Part number must be an integer between 1 and 10000, inclusive", name: "partNumber", value: String(number))
    }
    return number
  }

  private static func copyRange(_ header: String?, size: Int64) throws -> Range<Int64> {
    guard let header else { return 0..<size }
    guard let ends = ByteRange.parse(header), let first = ends.0, let last = ends.1, first <= last else {
      throw S3Problem.invalidArgument(
        "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of "
          + "the first and last bytes to copy", name: "x-amz-copy-source-range", value: header)
    }
    guard last < size else {
      throw S3Problem.invalidArgument(
        "Range specified is not valid for source object of size: \(size)", name: "x-amz-copy-source-range", value: header)
    }
    return first..<(last + 1)
  }

  /// Takes a part in, verifies it, and records it in the place of an earlier part of the same number.
  private func storePart(
    _ stream: ByteStream, _ given: ChecksumRequest, _ bucket: BucketRecord, _ upload: UploadRecord, _ number: Int
  ) async throws -> PartRecord {
    var request = given
    if let wanted = upload.algorithm, let sent = given.algorithm, sent != wanted {
      throw S3Problem.invalidRequest(
        "Checksum Type mismatch occurred, expected checksum Type: \(wanted.rawValue.lowercased()), "
          + "actual checksum Type: \(sent.rawValue.lowercased())")
    }
    request.algorithm = given.algorithm ?? upload.effectiveAlgorithm
    let received = try await receive(stream, request, also: [upload.effectiveAlgorithm], inlineLimit: 0, encryption: upload.encryption)
    let scope = bucket.contentScope
    let id = PartRecord.id(upload.uploadId, number)
    let record = PartRecord(
      number: number, size: received.body.size, eTag: received.body.eTag, lastModified: wholeSeconds, file: received.body.file ?? "",
      checksums: Dictionary(uniqueKeysWithValues: received.body.checksums.map { ($0.key.rawValue, $0.value) }))
    do {
      for _ in 0..<Self.attempts {
        let current = try await self.upload(bucket, upload.key, upload.uploadId)
        let before = try await store.get(PartRecord.self, in: scope, id: id)
        var commit = StoreCommit()
        commit.require(
          UploadRecord.self, in: scope, id: uploadId(bucket, upload.key, upload.uploadId), .version(current.version))
        try commit.put(record, in: scope, id: id, expecting: before.map { .version($0.version) } ?? .absent)
        if let before { release(.file(before.value.file), scope, in: &commit) }
        do {
          try await store.commit(commit)
          return record
        } catch is StoreConflict { continue }
      }
      throw S3Problem.operationAborted("part \(number) of upload \(upload.uploadId)")
    } catch {
      await ingest.discard(received.body, after: error)
      throw error
    }
  }

  // MARK: The end of an upload

  func abortMultipartUpload(_ input: Obj<AbortMultipartUploadRequest>, _ call: Call) async throws -> Obj<AbortMultipartUploadOutput> {
    for _ in 0..<Self.attempts {
      let bucket = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]).value
      let upload = try await upload(bucket, input[.key], input[.uploadId])
      if let initiated = input[.ifMatchInitiatedTime], initiated != upload.value.initiated {
        throw S3Problem.preconditionFailed("x-amz-if-match-initiated-time")
      }
      var commit = StoreCommit()
      try await removeUpload(upload, bucket.contentScope, in: &commit)
      do {
        try await store.commit(commit)
        return Obj()
      } catch is StoreConflict { continue }
    }
    throw S3Problem.operationAborted("upload \(input[.uploadId])")
  }

  /// The rows of an upload go, and its bytes with them. A part that is being stored right now finds its upload gone and removes
  /// itself.
  func removeUpload(_ upload: Stored<UploadRecord>, _ scope: Scope, in commit: inout StoreCommit) async throws {
    commit.delete(UploadRecord.self, in: scope, id: upload.id, expecting: .version(upload.version))
    for part in try await store.list(PartRecord.self, in: scope, StoreQuery(prefix: upload.value.uploadId + " ")) {
      commit.delete(PartRecord.self, in: scope, id: part.id, expecting: .version(part.version))
      release(.file(part.value.file), scope, in: &commit)
    }
  }

  // MARK: Listings

  func listMultipartUploads(_ input: Obj<ListMultipartUploadsRequest>, _ call: Call) async throws -> Obj<ListMultipartUploadsOutput> {
    let bucket = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]).value
    let encode = try Self.keyEncoding(input[.encodingType])
    let limit = try Self.pageLimit(input[.maxUploads], "max-uploads")
    let keyMarker = input[.keyMarker].flatMap { $0.isEmpty ? nil : $0 }
    // Without a key marker S3 ignores the upload id marker.
    let uploadMarker = keyMarker == nil ? nil : input[.uploadIdMarker].flatMap { $0.isEmpty ? nil : $0 }
    let page = try await uploads(
      in: bucket, prefix: input[.prefix] ?? "", delimiter: input[.delimiter], keyMarker: keyMarker, uploadMarker: uploadMarker,
      limit: limit)
    let owner = owner(bucket)
    return Obj {
      $0[.bucket] = bucket.name
      $0[.prefix] = encode(input[.prefix] ?? "")
      $0[.delimiter] = input[.delimiter].flatMap { $0.isEmpty ? nil : encode($0) }
      $0[.keyMarker] = encode(input[.keyMarker] ?? "")
      $0[.uploadIdMarker] = uploadMarker ?? ""
      $0[.maxUploads] = limit
      $0[.encodingType] = input[.encodingType]
      $0[.isTruncated] = page.isTruncated
      if page.isTruncated {
        $0[.nextKeyMarker] = page.last.map(encode)
        $0[.nextUploadIdMarker] = page.items.last.flatMap { $0.key == page.last ? $0.uploadId : nil } ?? ""
      }
      if !page.items.isEmpty {
        $0[.uploads] = page.items.map { upload in
          Obj {
            $0[.key] = encode(upload.key)
            $0[.uploadId] = upload.uploadId
            $0[.initiated] = upload.initiated
            $0[.storageClass] = .standard
            $0[.owner] = owner
            $0[.initiator] = Obj {
              $0[.iD] = upload.initiator
              $0[.displayName] = upload.initiatorName
            }
            if let algorithm = upload.algorithm {
              $0[.checksumAlgorithm] = ChecksumAlgorithm(rawValue: algorithm.rawValue)
              $0[.checksumType] = ChecksumType(rawValue: upload.effectiveKind.rawValue)
            }
          }
        }
      }
      if !page.groups.isEmpty { $0[.commonPrefixes] = page.groups.map { group in Obj { $0[.prefix] = encode(group) } } }
    }
  }

  func listParts(_ input: Obj<ListPartsRequest>, _ call: Call) async throws -> Obj<ListPartsOutput> {
    let bucket = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]).value
    let upload = try await upload(bucket, input[.key], input[.uploadId]).value
    let limit = try Self.pageLimit(input[.maxParts], "max-parts")
    let marker = input[.partNumberMarker] ?? 0
    let rows = try await store.list(
      PartRecord.self, in: bucket.contentScope,
      StoreQuery(
        prefix: upload.uploadId + " ", after: PartRecord.id(upload.uploadId, min(99_999, max(0, marker))), limit: limit + 1))
    let page = rows.prefix(limit).map(\.value)
    return Obj {
      $0[.bucket] = bucket.name
      $0[.key] = upload.key
      $0[.uploadId] = upload.uploadId
      $0[.partNumberMarker] = marker
      $0[.nextPartNumberMarker] = page.last?.number ?? 0
      $0[.maxParts] = limit
      $0[.isTruncated] = rows.count > limit && limit > 0
      $0[.storageClass] = .standard
      $0[.owner] = owner(bucket)
      $0[.initiator] = Obj {
        $0[.iD] = upload.initiator
        $0[.displayName] = upload.initiatorName
      }
      if let algorithm = upload.algorithm {
        $0[.checksumAlgorithm] = ChecksumAlgorithm(rawValue: algorithm.rawValue)
        $0[.checksumType] = ChecksumType(rawValue: upload.effectiveKind.rawValue)
      }
      if !page.isEmpty {
        $0[.parts] = page.map { part in
          var shown = Obj<Part>()
          shown[.partNumber] = part.number
          shown[.lastModified] = part.lastModified
          shown[.eTag] = quoted(part.eTag)
          shown[.size] = Int(part.size)
          if let algorithm = upload.algorithm, let value = part.checksums[algorithm.rawValue] {
            shown.fields[algorithm.member] = .string(value)
          }
          return shown
        }
      }
    }
  }
}
