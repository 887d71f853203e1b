/// Where ids, secrets and random choices come from. Tests inject a seeded source; nothing else in the project calls the system's
/// generator.
public protocol Randomness: Sendable {
  /// `count` random bytes. Must be safe to call from many tasks at once.
  func bytes(_ count: Int) -> [UInt8]
}

extension Randomness {
  /// `count` characters drawn from `alphabet` without bias. `alphabet` has 1 to 256 ASCII characters.
  public func text(_ count: Int, from alphabet: String) -> String {
    let letters = Array(alphabet.utf8)
    let limit = 256 - 256 % letters.count
    var out: [UInt8] = []
    out.reserveCapacity(count)
    while out.count < count {
      for byte in bytes(count - out.count) where Int(byte) < limit { out.append(letters[Int(byte) % letters.count]) }
    }
    return String(decoding: out, as: UTF8.self)
  }
  /// Lower-case hexadecimal digits, as in EC2 ids (`i-` + 17).
  public func hex(_ count: Int) -> String { text(count, from: "0123456789abcdef") }
  /// Upper-case letters and digits 2 to 7, as in IAM unique ids (`AROA` + 17).
  public func base32(_ count: Int) -> String { text(count, from: "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") }
  /// A random (version 4) UUID in lower case.
  public func uuid() -> String {
    var b = bytes(16)
    b[6] = b[6] & 0x0f | 0x40
    b[8] = b[8] & 0x3f | 0x80
    let digits = Array("0123456789abcdef".utf8)
    var out: [UInt8] = []
    for (i, byte) in b.enumerated() {
      if i == 4 || i == 6 || i == 8 || i == 10 { out.append(0x2d) }
      out.append(digits[Int(byte >> 4)])
      out.append(digits[Int(byte & 15)])
    }
    return String(decoding: out, as: UTF8.self)
  }
  /// A whole number below `bound` (at least 1), without bias that matters for choices (64 random bits).
  public func below(_ bound: Int) -> Int {
    var value: UInt64 = 0
    for byte in bytes(8) { value = value << 8 | UInt64(byte) }
    return Int(value % UInt64(max(1, bound)))
  }
}

/// The operating system's generator, fit for secrets.
public struct SystemRandomness: Randomness {
  public init() {}
  public func bytes(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    var out: [UInt8] = []
    out.reserveCapacity(count)
    while out.count < count {
      var word = generator.next() as UInt64
      for _ in 0..<min(8, count - out.count) {
        out.append(UInt8(truncatingIfNeeded: word))
        word >>= 8
      }
    }
    return out
  }
}
