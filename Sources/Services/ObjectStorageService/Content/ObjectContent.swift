public import FoundationEssentials
public import RegionKit

/// Where objects' bytes lie. The content store implements it; tests may put faults before it.
public protocol ObjectContent: Sendable {
  /// Writes a stream to its end; the bytes are on disk when this returns. A stream that throws leaves nothing behind.
  func write(_ stream: ByteStream) async throws -> String
  /// The bytes of `range` (nil: all). Throws `BytesMissing` when there is nothing under the id.
  func open(_ id: String, range: Range<Int64>?) async throws -> ByteStream
  /// Deleting what is absent is no error.
  func delete(_ id: String) async throws
  /// Every id whose bytes were last written before the time given, for the scrubber.
  func ids(writtenBefore: Date) async throws -> [String]
}

/// The content store holds nothing under this id.
public struct BytesMissing: Error, Sendable {
  public let id: String
  public init(id: String) { self.id = id }
}
