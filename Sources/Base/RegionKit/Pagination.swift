/// An opaque page token bound to the operation and filters it was given for, so that a token from one listing cannot steer another.
public struct PageToken: Sendable, Equatable {
  /// Where the next page begins: the last key of the page before, exclusive.
  public let after: String
  public init(after: String) { self.after = after }

  /// `binding` is any text that names the operation, scope and filters.
  public func encoded(binding: String) -> String {
    let body = Self.digest(binding) + ":" + after
    return Base64URL.encode(Array(body.utf8))
  }

  /// Nil when the text is not a token or was made for another listing.
  public init?(_ text: String, binding: String) {
    guard let bytes = Base64URL.decode(text) else { return nil }
    let parts = String(decoding: bytes, as: UTF8.self).split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0] == Self.digest(binding) else { return nil }
    self.init(after: String(parts[1]))
  }

  /// FNV-1a: a check that a token is used where it was made, not a secret.
  private static func digest(_ text: String) -> String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return String(hash, radix: 36)
  }
}

/// Base64 with the URL-safe alphabet and no padding (RFC 4648 §5).
public enum Base64URL {
  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
  public static func encode(_ bytes: [UInt8]) -> String {
    var out: [UInt8] = []
    var i = 0
    while i < bytes.count {
      let word =
        UInt32(bytes[i]) << 16 | UInt32(i + 1 < bytes.count ? bytes[i + 1] : 0) << 8
        | UInt32(i + 2 < bytes.count ? bytes[i + 2] : 0)
      let letters = min(4, bytes.count - i + 1)
      for k in 0..<letters { out.append(alphabet[Int(word >> (18 - 6 * UInt32(k)) & 63)]) }
      i += 3
    }
    return String(decoding: out, as: UTF8.self)
  }
  public static func decode(_ text: String) -> [UInt8]? {
    var out: [UInt8] = []
    var word: UInt32 = 0
    var bits = 0
    for byte in text.utf8 {
      guard let value = alphabet.firstIndex(of: byte) else { return nil }
      word = word << 6 | UInt32(value)
      bits += 6
      if bits >= 8 {
        bits -= 8
        out.append(UInt8(truncatingIfNeeded: word >> UInt32(bits)))
      }
    }
    return out
  }
}
