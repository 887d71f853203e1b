public import RegionKit

/// Bytes of any size on the file system. A content is written under a temporary name, synced, renamed, and its directory synced, all before
/// `write` returns; so once a row that names it commits, it is there after any crash. A content never changes.
///
/// What no row names (a crash between the two, a deleted object) is garbage: list, compare, delete. Leave alone what is younger than the
/// longest upload, because its row may be on the way.
public final class ContentStore: Sendable {
  let directory: String
  let layer: any FileLayer
  let threads: BlockingThreads
  private let randomness: any Randomness
  /// Bytes of one piece of a stream: what a reader or a writer holds in memory.
  static let pieceSize = 512 << 10

  /// Opens or makes the store in `directory`, whose parent must be there; removes what unfinished writes have left. The directory must
  /// belong to this process alone (`HomeLock`). Throws `FileError`.
  /// - Parameter threads: how many blocking calls run at once; many small syncs at once share the disk's work.
  public init(
    directory: String, randomness: any Randomness, layer: any FileLayer = PosixFileLayer(), threads: Int = 16
  ) throws {
    self.directory = directory
    self.layer = layer
    self.randomness = randomness
    self.threads = BlockingThreads("roadstead.content", limit: max(1, threads))
    _ = try layer.makeDirectory(directory)
    var made = false
    for shard in 0..<256 where try layer.makeDirectory(shardPath(shard)) { made = true }
    if try layer.makeDirectory(temporary) { made = true }
    if made { try layer.syncDirectory(directory) }
    for file in try layer.list(temporary) { _ = try layer.remove(temporary + "/" + file.name) }
  }

  var temporary: String { directory + "/tmp" }
  private func shardPath(_ shard: Int) -> String { directory + "/" + (shard < 16 ? "0" : "") + String(shard, radix: 16) }
  private func shardPath(_ id: ContentID) -> String { directory + "/" + id.rawValue.prefix(2) }
  func path(_ id: ContentID) -> String { shardPath(id) + "/" + id.rawValue }

  func newID() throws -> ContentID {
    guard let id = ContentID(rawValue: randomness.hex(32)) else {
      throw AWSError.internalFailure("The source of randomness gave no content id.")
    }
    return id
  }

  /// Syncs a finished temporary file and gives it its name. Blocks.
  func publish(_ file: any WritableFile, _ id: ContentID) throws {
    try file.sync()
    try layer.rename(temporary + "/" + id.rawValue, to: path(id))
    try layer.syncDirectory(shardPath(id))
  }

  /// Forgets contents. One that is not there is no error.
  public func delete(_ ids: [ContentID]) async throws {
    if ids.isEmpty { return }
    try await threads.run { for id in ids { _ = try self.layer.remove(self.path(id)) } }
  }
  public func delete(_ id: ContentID) async throws { try await delete([id]) }

  /// Every content of one of the 256 shards (0 to 255), in no order. Files that are no contents are left out.
  public func list(shard: Int) async throws -> [ContentEntry] {
    try await threads.run {
      try self.layer.list(self.shardPath(shard)).compactMap { file in
        ContentID(rawValue: file.name).map { ContentEntry(id: $0, length: file.size, changed: file.changed) }
      }
    }
  }

  /// Makes one content of several, in their order, inside the kernel where it can. The parts stay. Durable when it returns.
  public func concatenate(_ parts: [ContentID]) async throws -> WrittenContent {
    let id = try newID()
    return try await threads.run {
      let path = self.temporary + "/" + id.rawValue
      let file = try self.layer.create(path)
      do {
        var length: Int64 = 0
        for part in parts { length += try file.append(try self.reading(part)) }
        try self.publish(file, id)
        return WrittenContent(id: id, length: length, digests: [:])
      } catch {
        _ = try? self.layer.remove(path)
        throw error
      }
    }
  }

  /// Opens a content. Blocks.
  func reading(_ id: ContentID) throws -> any ReadableFile {
    do { return try layer.open(path(id)) } catch  where error.isMissing { throw ContentMissing(id: id) }
  }
}
