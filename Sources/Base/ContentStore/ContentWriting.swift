public import RegionKit

extension ContentStore {
  /// Stores a stream's bytes; durable when it returns. Memory stays flat whatever the size. When the stream throws, nothing is left.
  /// - Parameters:
  ///   - hashers: computed on the way, by names of the caller's choosing.
  ///   - check: judges length and digests before anything is made durable; what it throws ends the write.
  public func write(
    _ stream: ByteStream, hashers: [String: any ContentHasher] = [:],
    check: @escaping @Sendable (WrittenContent) throws -> Void = { _ in }
  ) async throws -> WrittenContent {
    let writing = ContentWriting(self, id: try newID(), hashers: hashers, check: check)
    var inFlight: Task<Void, any Error>?
    do {
      var pieces = stream.makeAsyncIterator()
      var batch: [[UInt8]] = []
      var size = 0
      while let piece = try await pieces.next() {
        if piece.isEmpty { continue }
        batch.append(piece)
        size += piece.count
        if size < Self.pieceSize { continue }
        // While this batch is hashed and written, the next one arrives.
        try await inFlight?.value
        let full = batch
        inFlight = Task { try await self.threads.run { try writing.append(full) } }
        (batch, size) = ([], 0)
      }
      try await inFlight?.value
      let rest = batch
      return try await threads.run {
        try writing.append(rest)
        return try writing.finish()
      }
    } catch {
      _ = await inFlight?.result
      await writing.abandon()
      throw error
    }
  }
}

/// One content on its way to disk. Its methods are called one after another, never at once.
private final class ContentWriting: @unchecked Sendable {
  private let store: ContentStore
  private let id: ContentID
  private var hashers: [String: any ContentHasher]
  private let check: @Sendable (WrittenContent) throws -> Void
  private var file: (any WritableFile)?
  private var length: Int64 = 0

  init(
    _ store: ContentStore, id: ContentID, hashers: [String: any ContentHasher],
    check: @escaping @Sendable (WrittenContent) throws -> Void
  ) {
    self.store = store
    self.id = id
    self.hashers = hashers
    self.check = check
  }

  private var path: String { store.temporary + "/" + id.rawValue }
  private func opened() throws -> any WritableFile {
    if let file { return file }
    let made = try store.layer.create(path)
    file = made
    return made
  }

  func append(_ pieces: [[UInt8]]) throws {
    let file = try opened()
    for piece in pieces {
      try piece.withUnsafeBytes { bytes in
        for name in hashers.keys { hashers[name]?.update(bytes) }
        try file.write(bytes)
      }
      length += Int64(piece.count)
    }
  }

  func finish() throws -> WrittenContent {
    var digests: [String: [UInt8]] = [:]
    for name in hashers.keys { digests[name] = hashers[name]?.finish() }
    let written = WrittenContent(id: id, length: length, digests: digests)
    try check(written)
    try store.publish(try opened(), id)
    file = nil
    return written
  }

  /// Removes what was written.
  func abandon() async {
    _ = try? await store.threads.run {
      self.file = nil
      return try self.store.layer.remove(self.path)
    }
  }
}
