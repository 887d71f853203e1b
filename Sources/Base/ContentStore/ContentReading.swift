public import RegionKit
import Synchronization

/// A part of an object whose bytes lie in several contents.
public struct ContentPart: Sendable, Hashable, Codable {
  public let id: ContentID
  /// In bytes.
  public let length: Int64
  public init(id: ContentID, length: Int64) {
    self.id = id
    self.length = length
  }
}

extension ContentStore {
  /// The bytes of a content, or of a range of it, in pieces of up to 512 KiB. The content stays readable to the end when it is deleted
  /// meanwhile. Throws `ContentMissing` or `ContentRangeError` before the first piece.
  public func open(_ id: ContentID, range: Range<Int64>? = nil) async throws -> ByteStream {
    try await threads.run {
      let file = try self.reading(id)
      let range = range ?? 0..<file.size
      guard range.lowerBound >= 0, range.upperBound <= file.size else {
        throw ContentRangeError(range: range, length: file.size)
      }
      // A small content costs one hop to the disk's threads.
      if range.count <= Self.pieceSize { return ByteStream(try file.read(at: range.lowerBound, count: range.count)) }
      return self.stream(
        length: Int64(range.count), [ContentSpan(part: ContentPart(id: id, length: file.size), range: range, file: file)])
    }
  }

  /// The same over several contents as if they were one, e.g. the parts of a multipart upload that were never copied together. Of the parts
  /// in range the first 32 are opened at once and stay readable when they are deleted meanwhile; later ones are opened when their turn comes.
  public func open(_ parts: [ContentPart], range: Range<Int64>? = nil) async throws -> ByteStream {
    let total = parts.reduce(0) { $0 + $1.length }
    let range = range ?? 0..<total
    guard range.lowerBound >= 0, range.upperBound <= total else { throw ContentRangeError(range: range, length: total) }
    if parts.count == 1, let only = parts.first { return try await open(only.id, range: range) }
    var spans: [ContentSpan] = []
    var start: Int64 = 0
    for part in parts {
      let overlap = range.clamped(to: start..<(start + part.length))
      if !overlap.isEmpty {
        spans.append(ContentSpan(part: part, range: (overlap.lowerBound - start)..<(overlap.upperBound - start)))
      }
      start += part.length
    }
    let found = spans
    return try await threads.run {
      var spans = found
      for index in spans.indices.prefix(32) { spans[index].file = try self.reading(spans[index].part) }
      return self.stream(length: Int64(range.count), spans)
    }
  }

  /// Opens a part and holds it to its length. Blocks.
  fileprivate func reading(_ part: ContentPart) throws -> any ReadableFile {
    let file = try reading(part.id)
    guard file.size == part.length else { throw ContentRangeError(range: 0..<part.length, length: file.size) }
    return file
  }

  private func stream(length: Int64, _ spans: [ContentSpan]) -> ByteStream {
    let reader = ContentReader(self, spans)
    return ByteStream(length: length) {
      try await self.threads.run { try reader.next() }
    }
  }
}

/// What remains to be read of one content.
private struct ContentSpan: Sendable {
  let part: ContentPart
  var range: Range<Int64>
  var file: (any ReadableFile)?
}

/// Where a reader stands.
private final class ContentReader: Sendable {
  private let store: ContentStore
  private let rest: Mutex<[ContentSpan]>
  init(_ store: ContentStore, _ spans: [ContentSpan]) {
    self.store = store
    rest = Mutex(spans.reversed())
  }

  func next() throws -> [UInt8]? {
    try rest.withLock { rest in
      guard var span = rest.popLast() else { return nil }
      let file = try span.file ?? store.reading(span.part)
      let count = min(span.range.count, ContentStore.pieceSize)
      let bytes = try file.read(at: span.range.lowerBound, count: count)
      guard bytes.count == count else { throw ContentRangeError(range: span.range, length: file.size) }
      span.range = (span.range.lowerBound + Int64(count))..<span.range.upperBound
      span.file = file
      if !span.range.isEmpty { rest.append(span) }
      return bytes
    }
  }
}
