import FoundationEssentials
import RegionKit
import RegionStore
import WireModel

extension S3Engine {
  func putObject(_ input: Obj<PutObjectRequest>, _ call: Call) async throws -> Obj<PutObjectOutput> {
    let key = input[.key]
    try Self.check(key: key)
    try Self.refuseUnsupported(input.fields)
    let bucket = try await writableBucket(input[.bucket], expectedOwner: input[.expectedBucketOwner])
    try Self.checkACL(input.fields, bucket.value, call)
    let metadata = try Self.metadata(input.fields)
    let tags = try Self.tags(input[.tagging])
    let conditions = try WriteConditions(ifMatch: input[.ifMatch], ifNoneMatch: input[.ifNoneMatch])
    let checksum = try ChecksumRequest(fields: input.fields)
    // Before the body is read: a client that waits for 100 Continue then sends nothing in vain.
    if !conditions.isEmpty { try conditions.check(try await find(bucket.value, key, versionId: nil), key: key) }

    let encryption = try encryption(input.fields, bucket.value)
    let body = try await receive(input[.body] ?? ByteStream([]), checksum, encryption: encryption)
    let version = try await commit(
      body, bucketName: input[.bucket], key: key, expectedOwner: input[.expectedBucketOwner], metadata: metadata, tags: tags,
      conditions: conditions)
    var output = Obj<PutObjectOutput>()
    output[.eTag] = quoted(version.version.eTag)
    if version.bucket.versioning == .enabled { output[.versionId] = version.version.shownVersionId }
    output[.serverSideEncryption] = version.version.encryption.map { ServerSideEncryption(rawValue: $0) }
    if let stored = version.version.checksum {
      output.fields[stored.algorithm.member] = .string(stored.value)
      output[.checksumType] = ChecksumType(rawValue: stored.kind.rawValue)
    }
    return output
  }

  /// A body taken in and verified, with the checksum that is kept with it.
  struct Received: Sendable {
    var body: Ingested
    var checksum: StoredChecksum
    /// `AES256` when the bytes were sealed; those in memory are sealed when they are committed.
    var encryption: String?
  }

  /// Reads a body to its end and holds it against every digest the caller gave. On a mismatch nothing is left.
  func receive(
    _ stream: ByteStream, _ request: ChecksumRequest, also: Set<ChecksumFunction> = [], inlineLimit: Int = InlineRecord.limit,
    encryption: String? = nil
  ) async throws -> Received {
    let kept = request.algorithm ?? .crc64nvme
    let body = try await ingest.take(stream, computing: also.union([kept]), inlineLimit: inlineLimit, sealed: encryption != nil)
    do {
      if let unannounced = try request.verify(body, trailers: stream.trailers?() ?? [:]) {
        try await verifyStored(body, unannounced, sealed: encryption != nil)
        return Received(
          body: body, checksum: StoredChecksum(algorithm: unannounced.0, value: unannounced.1, kind: .fullObject), encryption: encryption)
      }
      guard let value = body.checksums[kept] else { throw AWSError.internalFailure("checksum \(kept.rawValue) was not computed") }
      return Received(body: body, checksum: StoredChecksum(algorithm: kept, value: value, kind: .fullObject), encryption: encryption)
    } catch {
      await ingest.discard(body, after: error)
      throw error
    }
  }

  /// A trailer came in an algorithm that no header announced: the bytes are read once more.
  private func verifyStored(_ body: Ingested, _ expected: (ChecksumFunction, String), sealed: Bool) async throws {
    var state = ChecksumState(expected.0)
    if let inline = body.inline {
      Array(inline).withUnsafeBytes { state.update($0) }
    } else if let file = body.file {
      for try await piece in try await reader.file(file, size: body.size, range: 0..<body.size, sealed: sealed) {
        piece.withUnsafeBytes { state.update($0) }
      }
    }
    guard Base64.encode(state.value) == expected.1 else { throw S3Problem.badDigest(expected.0) }
  }

  /// Makes a received body the newest version of its key. When the commit is refused, its bytes are removed.
  private func commit(
    _ received: Received, bucketName: String, key: String, expectedOwner: String?, metadata: ObjectMetadata, tags: [ObjectTag]?,
    conditions: WriteConditions
  ) async throws -> (bucket: BucketRecord, version: KeyVersion) {
    try await commit(
      received, bucketName: bucketName, key: key, expectedOwner: expectedOwner, metadata: metadata, tags: tags,
      check: { try conditions.check($0, key: key) })
  }

  func commit(
    _ received: Received, bucketName: String, key: String, expectedOwner: String?, metadata: ObjectMetadata, tags: [ObjectTag]?,
    check: @escaping @Sendable (KeyVersion?) throws -> Void
  ) async throws -> (bucket: BucketRecord, version: KeyVersion) {
    let body = received.body
    let now = wholeSeconds
    let contentId = freshId()
    let reference: ContentReference =
      body.size == 0 && body.file == nil ? .empty : body.file.map { .file($0) } ?? .inline(contentId)
    do {
      return try await put(bucketName: bucketName, key: key, expectedOwner: expectedOwner, check: check) { versionId, order in
        KeyVersion(
          key: key, versionId: versionId, order: order, size: body.size, eTag: body.eTag, lastModified: now, content: reference,
          metadata: metadata, tags: tags, checksum: received.checksum, encryption: reference == .empty ? nil : received.encryption)
      } extra: { bucket, commit in
        if case .inline(let id) = reference, let bytes = body.inline {
          let stored = received.encryption == nil ? bytes : Data(try ingest.sealer().seal(Array(bytes), id: id))
          try commit.put(InlineRecord(bytes: stored), in: bucket.contentScope, id: id)
        }
      }
    } catch {
      await ingest.discard(body, after: error)
      throw error
    }
  }
}
