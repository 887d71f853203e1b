import FoundationEssentials
import RegionKit
import RegionStore

/// Opens stored objects, whole or in part.
struct ContentReader: Sendable {
  let store: any RegionStore
  let content: any ObjectContent
  let leases: ContentLeases
  let sealing: Sealing?

  /// The bytes of `range` (within the object). Throws `BytesMissing` when the object was replaced in the meantime: read its row
  /// again.
  func open(_ version: KeyVersion, scope: Scope, range: Range<Int64>) async throws -> ByteStream {
    guard !range.isEmpty else { return ByteStream([]) }
    switch version.content {
    case .empty: return ByteStream([])
    case .inline(let id):
      guard let row = try await store.get(InlineRecord.self, in: scope, id: id) else { throw BytesMissing(id: id) }
      let stored = Array(row.value.bytes)
      let bytes = version.encryption == nil ? stored : try sealer().open(stored, id: id)
      guard range.upperBound <= Int64(bytes.count) else { throw Self.damaged(version) }
      return ByteStream(Array(bytes[Int(range.lowerBound)..<Int(range.upperBound)]))
    case .file(let id):
      guard let lease = leases.acquire(id) else { throw BytesMissing(id: id) }
      let stream = try await file(id, size: version.size, range: range, sealed: version.encryption != nil)
      return Self.holding(lease, stream, length: range.upperBound - range.lowerBound)
    case .manifest(let id):
      guard let lease = leases.acquire(id), let row = try await store.get(ManifestRecord.self, in: scope, id: id)
      else { throw BytesMissing(id: id) }
      let reader = SegmentReader(row.value.parts, range: range, lease: lease) { part, range in
        try await file(part.file, size: part.size, range: range, sealed: version.encryption != nil)
      }
      try await reader.begin()
      return ByteStream(length: range.upperBound - range.lowerBound) { try await reader.next() }
    }
  }

  /// The bytes `range` of a file that holds `size` bytes, sealed or not.
  func file(_ id: String, size: Int64, range: Range<Int64>, sealed: Bool) async throws -> ByteStream {
    guard sealed else { return try await content.open(id, range: range) }
    if range.isEmpty { return ByteStream([]) }
    return try await sealer().opening(size: size, range: range) { try await content.open(id, range: $0) }
  }

  private func sealer() throws -> Sealing {
    guard let sealing else { throw AWSError.internalFailure("This region has no key for encryption at rest.") }
    return sealing
  }

  private static func damaged(_ version: KeyVersion) -> AWSError {
    .internalFailure("The stored bytes of \(version.key) are shorter than its record says; run the scrubber.")
  }

  private static func holding(_ lease: ContentLease, _ stream: ByteStream, length: Int64) -> ByteStream {
    let held = HeldIterator(stream.makeAsyncIterator(), lease)
    return ByteStream(length: length) { try await held.next() }
  }
}

/// A stream with the lease that keeps its bytes. Read by one task at a time.
private final class HeldIterator: @unchecked Sendable {
  private var iterator: ByteStream.AsyncIterator
  private var lease: ContentLease?
  init(_ iterator: ByteStream.AsyncIterator, _ lease: ContentLease) {
    self.iterator = iterator
    self.lease = lease
  }
  func next() async throws -> [UInt8]? {
    let piece = try await iterator.next()
    if piece == nil { lease = nil }
    return piece
  }
}

/// Reads a range over the files of a multipart object, one open at a time. Read by one task at a time.
private final class SegmentReader: @unchecked Sendable {
  private var segments: [(part: ManifestPart, range: Range<Int64>)] = []
  private let open: @Sendable (ManifestPart, Range<Int64>) async throws -> ByteStream
  private var lease: ContentLease?
  private var iterator: ByteStream.AsyncIterator?

  init(
    _ parts: [ManifestPart], range: Range<Int64>, lease: ContentLease,
    open: @escaping @Sendable (ManifestPart, Range<Int64>) async throws -> ByteStream
  ) {
    self.open = open
    self.lease = lease
    var start: Int64 = 0
    for part in parts {
      let wanted = range.clamped(to: start..<(start + part.size))
      if !wanted.isEmpty { segments.append((part, (wanted.lowerBound - start)..<(wanted.upperBound - start))) }
      start += part.size
    }
    segments.reverse()
  }

  /// Opens the first file, so that a missing one is seen before the answer begins.
  func begin() async throws {
    guard let segment = segments.popLast() else { return }
    iterator = try await open(segment.part, segment.range).makeAsyncIterator()
  }

  func next() async throws -> [UInt8]? {
    while true {
      if iterator == nil {
        guard let segment = segments.popLast() else {
          lease = nil
          return nil
        }
        iterator = try await open(segment.part, segment.range).makeAsyncIterator()
      }
      if let piece = try await iterator?.next() { return piece }
      iterator = nil
    }
  }
}
