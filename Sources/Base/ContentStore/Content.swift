import Crypto

/// Names stored bytes. 32 lower-case hexadecimal digits, drawn at random; nothing else is ever made into a path.
public struct ContentID: RawRepresentable, Hashable, Sendable, Codable, CustomStringConvertible {
  public let rawValue: String
  /// Nil for anything but 32 lower-case hexadecimal digits.
  public init?(rawValue: String) {
    let digits = rawValue.utf8
    guard digits.count == 32, digits.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }) else { return nil }
    self.rawValue = rawValue
  }
  public var description: String { rawValue }
}

/// Bytes that are on disk, with what was computed while they passed.
public struct WrittenContent: Sendable, Equatable {
  public let id: ContentID
  /// In bytes.
  public let length: Int64
  /// By the names that the caller gave its hashers.
  public let digests: [String: [UInt8]]
}

/// A content file as found by listing.
public struct ContentEntry: Sendable, Equatable {
  public let id: ContentID
  public let length: Int64
  /// Seconds since 1970.
  public let changed: Double
}

/// A checksum computed while bytes pass.
public protocol ContentHasher: Sendable {
  mutating func update(_ bytes: UnsafeRawBufferPointer)
  /// Called once, at the end.
  mutating func finish() -> [UInt8]
}

/// The usual cryptographic digests.
public struct DigestHasher: ContentHasher {
  private enum State: Sendable { case md5(Insecure.MD5), sha1(Insecure.SHA1), sha256(SHA256) }
  private var state: State
  private init(_ state: State) { self.state = state }
  public static var md5: DigestHasher { DigestHasher(.md5(Insecure.MD5())) }
  public static var sha1: DigestHasher { DigestHasher(.sha1(Insecure.SHA1())) }
  public static var sha256: DigestHasher { DigestHasher(.sha256(SHA256())) }

  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    switch state {
    case .md5(var hash):
      hash.update(bufferPointer: bytes)
      state = .md5(hash)
    case .sha1(var hash):
      hash.update(bufferPointer: bytes)
      state = .sha1(hash)
    case .sha256(var hash):
      hash.update(bufferPointer: bytes)
      state = .sha256(hash)
    }
  }
  public mutating func finish() -> [UInt8] {
    switch state {
    case .md5(let hash): Array(hash.finalize())
    case .sha1(let hash): Array(hash.finalize())
    case .sha256(let hash): Array(hash.finalize())
    }
  }
}

/// The content is not there, although something names it.
public struct ContentMissing: Error, Sendable, CustomStringConvertible {
  public let id: ContentID
  public var description: String { "the content \(id) is not in the store" }
}

/// A range does not lie within the content, or a content file is shorter than its record says.
public struct ContentRangeError: Error, Sendable, CustomStringConvertible {
  public let range: Range<Int64>
  public let length: Int64
  public var description: String { "bytes \(range) of a content of \(length)" }
}
