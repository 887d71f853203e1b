/// Bytes that arrive or leave in pieces, so that a large object never lies in memory whole. Can be read once.
public struct ByteStream: AsyncSequence, Sendable {
  public typealias Element = [UInt8]
  /// The number of bytes to come, when it is known.
  public let length: Int64?
  /// The fields that came after the bytes (HTTP or aws-chunked trailers), names in lower case. Complete only once the stream has ended;
  /// nil when this kind of stream has none.
  public var trailers: (@Sendable () -> [String: String])?
  private let next: @Sendable () async throws -> [UInt8]?

  /// `next` is called from one task at a time and answers nil at the end.
  public init(length: Int64?, next: @escaping @Sendable () async throws -> [UInt8]?) {
    self.length = length
    self.next = next
  }

  public init(_ bytes: [UInt8]) {
    let box = OneShot(bytes)
    self.init(length: Int64(bytes.count)) { box.take() }
  }

  public struct AsyncIterator: AsyncIteratorProtocol {
    let next: @Sendable () async throws -> [UInt8]?
    public mutating func next() async throws -> [UInt8]? { try await next() }
  }
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(next: next) }

  /// The whole content. Throws `AWSError("EntityTooLarge")` once more than `limit` bytes have come.
  public func collect(limit: Int) async throws -> [UInt8] {
    var out: [UInt8] = []
    for try await piece in self {
      guard out.count + piece.count <= limit else {
        throw AWSError("EntityTooLarge", "The body is larger than the \(limit) bytes allowed here.", status: 413)
      }
      out.append(contentsOf: piece)
    }
    return out
  }
}

private final class OneShot: @unchecked Sendable {
  private var bytes: [UInt8]?
  init(_ bytes: [UInt8]) { self.bytes = bytes }
  func take() -> [UInt8]? {
    defer { bytes = nil }
    return bytes.flatMap { $0.isEmpty ? nil : $0 }
  }
}
