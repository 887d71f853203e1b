import ContentStore
import FoundationEssentials
import ObjectStorageService
import RegionKit

/// S3's objects in the region's content store.
struct StoredContent: ObjectContent {
  let store: ContentStore

  init(directory: String, random: any Randomness) throws {
    store = try ContentStore(directory: directory, randomness: random)
  }

  func write(_ stream: ByteStream) async throws -> String { try await store.write(stream).id.rawValue }

  func open(_ id: String, range: Range<Int64>?) async throws -> ByteStream {
    do { return try await store.open(try named(id), range: range) } catch is StoreContentMissing {
      throw S3ContentMissing(id: id)
    }
  }

  func delete(_ id: String) async throws { try await store.delete(try named(id)) }

  func ids(writtenBefore time: Date) async throws -> [String] {
    var out: [String] = []
    for shard in 0..<256 {
      out += try await store.list(shard: shard).filter { $0.changed < time.timeIntervalSince1970 }.map(\.id.rawValue)
    }
    return out
  }

  private func named(_ id: String) throws -> ContentID {
    guard let known = ContentID(rawValue: id) else { throw S3ContentMissing(id: id) }
    return known
  }
}
