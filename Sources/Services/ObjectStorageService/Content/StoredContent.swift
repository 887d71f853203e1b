import ContentStore
import FoundationEssentials
import RegionKit

/// The content store as S3 uses it.
struct StoredContent: ObjectContent {
  let store: ContentStore

  private func id(_ text: String) throws -> ContentID {
    guard let id = ContentID(rawValue: text) else { throw BytesMissing(id: text) }
    return id
  }

  func write(_ stream: ByteStream) async throws -> String { try await store.write(stream).id.rawValue }

  func open(_ id: String, range: Range<Int64>?) async throws -> ByteStream {
    do {
      return try await store.open(try self.id(id), range: range)
    } catch is ContentMissing {
      throw BytesMissing(id: id)
    }
  }

  func delete(_ id: String) async throws {
    guard let id = ContentID(rawValue: id) else { return }
    try await store.delete(id)
  }

  func ids(writtenBefore moment: Date) async throws -> [String] {
    var found: [String] = []
    for shard in 0..<256 {
      for entry in try await store.list(shard: shard) where entry.changed < moment.timeIntervalSince1970 {
        found.append(entry.id.rawValue)
      }
    }
    return found
  }
}
