import FoundationEssentials
import RegionKit
import RegionStore
import WireModel

/// What a caller says a finished upload consists of.
private struct CompletionRequest: Sendable {
  struct Entry: Sendable {
    var number: Int
    var eTag: String
    var checksums: [ChecksumFunction: String]
  }
  var entries: [Entry]
  var checksums: [ChecksumFunction: String]
  var kind: ChecksumKind?
  var size: Int64?

  init(_ input: Obj<CompleteMultipartUploadRequest>) throws {
    entries = try (input[.multipartUpload]?[.parts] ?? []).map { part in
      guard let number = part[.partNumber], let eTag = part[.eTag] else {
        throw S3Problem.malformedXML("each Part names its PartNumber and ETag.")
      }
      var text = eTag
      if text.utf8.count >= 2, text.hasPrefix("\""), text.hasSuffix("\"") { text = String(text.dropFirst().dropLast()) }
      return Entry(number: number, eTag: text, checksums: try ChecksumRequest.values(in: part.fields))
    }
    guard !entries.isEmpty else { throw S3Problem.malformedXML("CompleteMultipartUpload names at least one Part.") }
    guard entries.count <= PartRecord.maximumNumber else { throw S3Problem.malformedXML("there are at most 10000 parts.") }
    for (a, b) in zip(entries, entries.dropFirst()) where a.number >= b.number {
      throw AWSError(
        "InvalidPartOrder", "The list of parts was not in ascending order. Parts must be ordered by part number.", status: 400,
        fields: ["UploadId": input[.uploadId]])
    }
    checksums = try ChecksumRequest.values(in: input.fields)
    kind = input[.checksumType].flatMap { ChecksumKind(rawValue: $0.rawValue) }
    size = input[.mpuObjectSize].map(Int64.init)
  }
}

/// The parts as they were read, and what the object will be.
private struct Completion: Sendable {
  var parts: [Stored<PartRecord>]
  var unused: [Stored<PartRecord>]
  var eTag: String
  var size: Int64
  var checksum: StoredChecksum?
  var manifest: ManifestRecord
}

extension S3Engine {
  /// The least size of every part but the last, 5 MiB.
  static let minimumPart: Int64 = 5 * 1024 * 1024
  /// The greatest object, 5 TiB.
  static let maximumObject: Int64 = 5 * 1024 * 1024 * 1024 * 1024

  func completeMultipartUpload(
    _ input: Obj<CompleteMultipartUploadRequest>, _ call: Call
  ) async throws -> Obj<CompleteMultipartUploadOutput> {
    let key = input[.key]
    try Self.check(key: key)
    try Self.refuseCustomerKey(input.fields)
    let request = try CompletionRequest(input)
    let conditions = try WriteConditions(ifMatch: input[.ifMatch], ifNoneMatch: input[.ifNoneMatch])
    for _ in 0..<Self.attempts {
      let bucket = try await writableBucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]).value
      let upload: Stored<UploadRecord>
      do {
        upload = try await self.upload(bucket, key, input[.uploadId])
      } catch let error as AWSError where error.code == "NoSuchUpload" {
        // The answer to the first call may have been lost on its way.
        if let again = try await completedBefore(bucket, key, input[.uploadId], call) { return again }
        throw error
      }
      let completion = try await completion(bucket, upload.value, request)
      do {
        return try await finish(upload, completion, bucket, input, conditions, call)
      } catch is StoreConflict { continue }
    }
    throw S3Problem.operationAborted("upload \(input[.uploadId])")
  }

  private func completion(
    _ bucket: BucketRecord, _ upload: UploadRecord, _ request: CompletionRequest
  ) async throws -> Completion {
    let stored = try await store.list(PartRecord.self, in: bucket.contentScope, StoreQuery(prefix: upload.uploadId + " "))
    let byNumber = Dictionary(stored.map { ($0.value.number, $0) }, uniquingKeysWith: { a, _ in a })
    let algorithm = upload.effectiveAlgorithm
    let kind = upload.effectiveKind
    if let asked = request.kind, asked != kind {
      throw S3Problem.invalidRequest(
        "The upload was created using the \(kind.rawValue) checksum mode. The complete request must use the same checksum mode.")
    }
    var used: [Stored<PartRecord>] = []
    for entry in request.entries {
      guard let part = byNumber[entry.number], part.value.eTag == entry.eTag,
        entry.checksums.allSatisfy({ part.value.checksums[$0.key.rawValue].map { [value = $0.value] in $0 == value } ?? true })
      else { throw Self.invalidPart(upload, entry) }
      if upload.algorithm != nil, kind == .composite, entry.checksums[algorithm] == nil {
        let name = algorithm.rawValue.lowercased()
        throw S3Problem.invalidRequest(
          "The upload was created using a \(name) checksum. The complete request must include the checksum for each part. "
            + "It was missing for part \(entry.number) in the request.")
      }
      used.append(part)
    }
    for part in used.dropLast() where part.value.size < Self.minimumPart {
      throw AWSError(
        "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size", status: 400,
        fields: [
          "ProposedSize": String(part.value.size), "MinSizeAllowed": String(Self.minimumPart),
          "PartNumber": String(part.value.number), "ETag": part.value.eTag,
        ])
    }
    return try Self.assemble(used, stored, upload, request)
  }

  private static func invalidPart(_ upload: UploadRecord, _ entry: CompletionRequest.Entry) -> AWSError {
    AWSError(
      "InvalidPart",
      "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may "
        + "not match the part's entity tag.", status: 400,
      fields: ["UploadId": upload.uploadId, "PartNumber": String(entry.number), "ETag": entry.eTag])
  }

  private static func assemble(
    _ used: [Stored<PartRecord>], _ stored: [Stored<PartRecord>], _ upload: UploadRecord, _ request: CompletionRequest
  ) throws -> Completion {
    let algorithm = upload.effectiveAlgorithm
    let kind = upload.effectiveKind
    let size = used.reduce(Int64(0)) { $0 + $1.value.size }
    guard size <= maximumObject else { throw S3Problem.entityTooLarge(size: size, limit: maximumObject) }
    if let announced = request.size, announced != size {
      throw S3Problem.invalidRequest(
        "The provided 'x-amz-mp-object-size' header value \(announced) does not match what was computed: \(size)")
    }
    let digests = used.map { part in
      PartDigest(
        size: part.value.size, md5: hexBytes(part.value.eTag) ?? [],
        checksum: part.value.checksums[algorithm.rawValue].flatMap { Base64.decode($0, count: algorithm.byteCount) })
    }
    let value = PartChecksums.combined(digests, algorithm, kind)
    for (function, expected) in request.checksums {
      guard function == algorithm else {
        throw S3Problem.invalidRequest(
          "The upload was created using the \(algorithm.rawValue) checksum, not \(function.rawValue).")
      }
      // The number of parts behind a composite checksum may be left out.
      guard let value, expected == value || value.hasPrefix(expected + "-") else { throw S3Problem.badDigest(function) }
    }
    let numbers = Set(used.map(\.value.number))
    return Completion(
      parts: used, unused: stored.filter { !numbers.contains($0.value.number) }, eTag: PartChecksums.eTag(digests), size: size,
      checksum: value.map { StoredChecksum(algorithm: algorithm, value: $0, kind: kind) },
      manifest: ManifestRecord(
        parts: used.map {
          ManifestPart(
            number: $0.value.number, size: $0.value.size, file: $0.value.file, checksum: $0.value.checksums[algorithm.rawValue])
        }))
  }

  /// One commit: the object appears, the upload and its parts end. Not a byte is copied. Throws StoreConflict when a part or the
  /// upload changed since it was read.
  private func finish(
    _ upload: Stored<UploadRecord>, _ completion: Completion, _ bucket: BucketRecord, _ input: Obj<CompleteMultipartUploadRequest>,
    _ conditions: WriteConditions, _ call: Call
  ) async throws -> Obj<CompleteMultipartUploadOutput> {
    let key = upload.value.key
    let manifestId = freshId()
    let now = wholeSeconds
    let done = try await put(
      bucketName: bucket.name, key: key, expectedOwner: input[.expectedBucketOwner],
      check: { try conditions.check($0, key: key) }
    ) { versionId, order in
      KeyVersion(
        key: key, versionId: versionId, order: order, size: completion.size, eTag: completion.eTag,
        lastModified: upload.value.initiated, content: .manifest(manifestId), metadata: upload.value.metadata, tags: upload.value.tags,
        checksum: completion.checksum, encryption: upload.value.encryption, partsCount: completion.parts.count)
    } extra: { current, commit in
      guard current.id == bucket.id else { throw S3Problem.noSuchUpload(upload.value.uploadId) }
      let scope = bucket.contentScope
      try commit.put(completion.manifest, in: scope, id: manifestId)
      commit.delete(UploadRecord.self, in: scope, id: upload.id, expecting: .version(upload.version))
      for part in completion.parts + completion.unused {
        commit.delete(PartRecord.self, in: scope, id: part.id, expecting: .version(part.version))
      }
      for part in completion.unused { release(.file(part.value.file), scope, in: &commit) }
    }
    // Only to answer a repeated call; losing it in a crash costs a NoSuchUpload that AWS itself gives after a while.
    var remember = StoreCommit()
    try remember.put(
      CompletedUploadRecord(
        bucket: bucket.id, key: key, eTag: completion.eTag, versionId: done.version.versionId, checksum: completion.checksum,
        completed: now), in: bucket.contentScope, id: upload.value.uploadId)
    try await store.commit(remember)
    return answer(
      bucket, key, completion.eTag, done.bucket.versioning == .enabled ? done.version.shownVersionId : nil, completion.checksum, call)
  }

  private func completedBefore(
    _ bucket: BucketRecord, _ key: String, _ uploadId: String, _ call: Call
  ) async throws -> Obj<CompleteMultipartUploadOutput>? {
    guard uploadId.utf8.count == 64,
      let done = try await store.get(CompletedUploadRecord.self, in: bucket.contentScope, id: uploadId)?.value,
      done.bucket == bucket.id, done.key.utf8.elementsEqual(key.utf8),
      clock.now().timeIntervalSince(done.completed) < CompletedUploadRecord.keptFor
    else { return nil }
    return answer(bucket, key, done.eTag, done.versionId, done.checksum, call)
  }

  private func answer(
    _ bucket: BucketRecord, _ key: String, _ eTag: String, _ versionId: String?, _ checksum: StoredChecksum?, _ call: Call
  ) -> Obj<CompleteMultipartUploadOutput> {
    var output = Obj<CompleteMultipartUploadOutput>()
    output[.location] = "\(Self.scheme(call))://\(call.endpointHost)/\(bucket.name)/\(PercentCode.encode(key))"
    output[.bucket] = bucket.name
    output[.key] = key
    output[.eTag] = quoted(eTag)
    output[.versionId] = versionId
    if let checksum {
      output.fields[checksum.algorithm.member] = .string(checksum.value)
      output[.checksumType] = ChecksumType(rawValue: checksum.kind.rawValue)
    }
    return output
  }
}
