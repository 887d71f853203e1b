import FoundationEssentials
import RegionKit
import RegionStore

/// A body that has been taken in: its bytes are on disk (or small enough for a row), and its digests are known. Nothing names it
/// yet.
struct Ingested: Sendable {
  /// In memory, for a row of `s3.inline`; nil when the bytes lie in a file.
  var inline: Data?
  var file: String?
  var size: Int64
  var md5: [UInt8]
  /// Base64 by algorithm.
  var checksums: [ChecksumFunction: String]

  var eTag: String { hexText(md5) }
}

/// Counts and hashes what passes. Read by one task at a time.
private final class DigestingSource: @unchecked Sendable {
  private var iterator: ByteStream.AsyncIterator
  private var held: [[UInt8]]
  private(set) var digests: BodyDigests
  private let limit: Int64

  init(_ body: ByteStream, _ algorithms: Set<ChecksumFunction>, limit: Int64) {
    iterator = body.makeAsyncIterator()
    held = []
    digests = BodyDigests(algorithms)
    self.limit = limit
  }

  /// The next piece from the body, hashed.
  private func pull() async throws -> [UInt8]? {
    guard let piece = try await iterator.next() else { return nil }
    digests.update(piece)
    guard digests.size <= limit else { throw S3Problem.entityTooLarge(size: digests.size, limit: limit) }
    return piece
  }

  /// The whole body when it is no longer than `count`; otherwise what was read is held for `next`.
  func whole(upTo count: Int) async throws -> [UInt8]? {
    var total = 0
    var pieces: [[UInt8]] = []
    while let piece = try await pull() {
      pieces.append(piece)
      total += piece.count
      if total > count {
        held = pieces.reversed()
        return nil
      }
    }
    return Array(pieces.joined())
  }

  func next() async throws -> [UInt8]? {
    if let piece = held.popLast() { return piece }
    return try await pull()
  }
}

/// Takes bodies in. Memory stays flat: one piece at a time.
struct Ingest: Sendable {
  let content: any ObjectContent
  /// Nil: this region has no key for encryption at rest.
  let sealing: Sealing?
  /// AWS's limit for one PUT or part, 5 GiB.
  static let limit: Int64 = 5 * 1024 * 1024 * 1024

  /// `inlineLimit` 0 always makes a file (parts do).
  func take(
    _ body: ByteStream, computing algorithms: Set<ChecksumFunction>, inlineLimit: Int = InlineRecord.limit, sealed: Bool = false
  ) async throws -> Ingested {
    if let length = body.length, length > Self.limit { throw S3Problem.entityTooLarge(size: length, limit: Self.limit) }
    let source = DigestingSource(body, algorithms, limit: Self.limit)
    var bytes: [UInt8]?
    if inlineLimit > 0, body.length.map({ $0 <= Int64(inlineLimit) }) ?? true { bytes = try await source.whole(upTo: inlineLimit) }
    if let bytes {
      let digests = source.digests
      return Ingested(inline: Data(bytes), size: digests.size, md5: digests.md5Bytes, checksums: digests.checksums)
    }
    let plain = ByteStream(length: body.length) { try await source.next() }
    let file = try await content.write(sealed ? try sealer().sealing(plain) : plain)
    let digests = source.digests
    if let length = body.length, length != digests.size {
      try? await content.delete(file)
      throw AWSError(
        "IncompleteBody",
        "You did not provide the number of bytes specified by the Content-Length HTTP header. "
          + "\(length) were announced, \(digests.size) came.", status: 400)
    }
    return Ingested(file: file, size: digests.size, md5: digests.md5Bytes, checksums: digests.checksums)
  }

  func sealer() throws -> Sealing {
    guard let sealing else { throw AWSError.internalFailure("This region has no key for encryption at rest.") }
    return sealing
  }

  /// Removes what no row will name. Only after an error that says so: when a commit broke off otherwise (the disk, the end of the
  /// process) nobody knows whether it was applied, and the scrubber decides.
  func discard(_ ingested: Ingested, after error: any Error) async {
    guard error is StoreConflict || (error as? AWSError)?.fault == .sender else { return }
    if let file = ingested.file { try? await content.delete(file) }
  }
}
