import Crypto
import FoundationEssentials

/// Lower-case hexadecimal.
func hex(_ bytes: some Sequence<UInt8>) -> String {
  var out: [UInt8] = []
  out.reserveCapacity(64)
  for byte in bytes {
    let high = byte >> 4
    let low = byte & 15
    out.append(high < 10 ? 0x30 + high : 0x57 + high)
    out.append(low < 10 ? 0x30 + low : 0x57 + low)
  }
  return String(decoding: out, as: UTF8.self)
}

/// SHA-256 in lower-case hexadecimal, as payload hashes are written.
public func sha256Hex(_ bytes: [UInt8]) -> String { hex(SHA256.hash(data: bytes)) }

/// A SHA-256 over bytes that come in pieces.
public struct StreamingSHA256: Sendable {
  private var hash = SHA256()
  public init() {}
  public mutating func update(_ bytes: [UInt8]) { hash.update(data: bytes) }
  public mutating func update(_ bytes: ArraySlice<UInt8>) { bytes.withUnsafeBytes { hash.update(bufferPointer: $0) } }
  /// The digest of all bytes so far, lower-case hexadecimal.
  public var hexDigest: String { RequestSigning.hex(hash.finalize()) }
}

func hmac(_ key: [UInt8], _ message: some StringProtocol) -> [UInt8] {
  Array(HMAC<SHA256>.authenticationCode(for: Array(message.utf8), using: SymmetricKey(data: key)))
}

func hmacSHA1(_ key: String, _ message: String) -> [UInt8] {
  Array(HMAC<Insecure.SHA1>.authenticationCode(for: Array(message.utf8), using: SymmetricKey(data: Array(key.utf8))))
}

/// Compares in a time that depends only on the lengths.
func constantTimeEqual(_ a: String, _ b: String) -> Bool {
  let x = Array(a.utf8)
  let y = Array(b.utf8)
  guard x.count == y.count else { return false }
  var difference: UInt8 = 0
  for i in x.indices { difference |= x[i] ^ y[i] }
  return difference == 0
}

/// The SHA-256 of nothing.
let emptyPayloadHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
