import Crypto
import FoundationEssentials

/// An RSA public key in the two forms IAM takes: `ssh-rsa AAAA… comment` (RFC 4253) and PEM (SubjectPublicKeyInfo, RFC 5280).
struct RSAPublicKeyText: Equatable, Sendable {
  /// Big-endian, without leading zeros.
  let modulus: [UInt8]
  let exponent: [UInt8]

  var bits: Int { modulus.isEmpty ? 0 : modulus.count * 8 - modulus[0].leadingZeroBitCount }

  /// Nil when the text is neither form, or not an RSA key.
  init?(_ text: String) {
    let trimmed = text[...].trimmedLines
    if trimmed.hasPrefix("-----BEGIN PUBLIC KEY-----") {
      let body = trimmed.split(separator: "\n").dropFirst().prefix { !$0.hasPrefix("-----END") }.joined()
      guard let der = Data(base64Encoded: body), let key = Self(der: Array(der)) else { return nil }
      self = key
      return
    }
    let parts = trimmed.split(separator: " ", omittingEmptySubsequences: true)
    guard parts.count >= 2, parts[0] == "ssh-rsa", let blob = Data(base64Encoded: String(parts[1])) else { return nil }
    var rest = Array(blob)[...]
    guard let name = Self.field(&rest), name == Array("ssh-rsa".utf8), let exponent = Self.field(&rest),
      let modulus = Self.field(&rest), rest.isEmpty
    else { return nil }
    self.init(modulus: modulus, exponent: exponent)
  }

  private init?(modulus: [UInt8], exponent: [UInt8]) {
    self.modulus = Array(modulus.drop { $0 == 0 })
    self.exponent = Array(exponent.drop { $0 == 0 })
    guard !self.modulus.isEmpty, !self.exponent.isEmpty else { return nil }
  }

  private static func field(_ rest: inout ArraySlice<UInt8>) -> [UInt8]? {
    guard rest.count >= 4 else { return nil }
    let length = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
    rest = rest.dropFirst(4)
    guard length <= rest.count else { return nil }
    defer { rest = rest.dropFirst(length) }
    return Array(rest.prefix(length))
  }

  // MARK: SSH

  var blob: [UInt8] {
    func field(_ bytes: [UInt8]) -> [UInt8] {
      let count = UInt32(bytes.count)
      return [UInt8(count >> 24), UInt8(count >> 16 & 255), UInt8(count >> 8 & 255), UInt8(count & 255)] + bytes
    }
    return field(Array("ssh-rsa".utf8)) + field(Self.positive(exponent)) + field(Self.positive(modulus))
  }

  /// Two's complement: a leading zero when the top bit is set.
  private static func positive(_ bytes: [UInt8]) -> [UInt8] { bytes[0] & 0x80 == 0 ? bytes : [0] + bytes }

  var ssh: String { "ssh-rsa \(Data(blob).base64EncodedString())" }

  /// MD5 of the key, in pairs of hexadecimal digits.
  var fingerprint: String {
    let digits = Array("0123456789abcdef")
    return Insecure.MD5.hash(data: blob).map { "\(digits[Int($0 >> 4)])\(digits[Int($0 & 15)])" }.joined(separator: ":")
  }

  // MARK: PEM

  private static let rsaAlgorithm: [UInt8] = [
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
  ]

  var pem: String {
    let numbers = Self.tagged(0x30, Self.tagged(0x02, Self.positive(modulus)) + Self.tagged(0x02, Self.positive(exponent)))
    let der = Self.tagged(0x30, Self.rsaAlgorithm + Self.tagged(0x03, [0] + numbers))
    var lines = ["-----BEGIN PUBLIC KEY-----"]
    var rest = Data(der).base64EncodedString()[...]
    while !rest.isEmpty {
      lines.append(String(rest.prefix(64)))
      rest = rest.dropFirst(64)
    }
    return (lines + ["-----END PUBLIC KEY-----", ""]).joined(separator: "\n")
  }

  private static func tagged(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
    let count = content.count
    if count < 0x80 { return [tag, UInt8(count)] + content }
    if count < 0x100 { return [tag, 0x81, UInt8(count)] + content }
    return [tag, 0x82, UInt8(count >> 8), UInt8(count & 255)] + content
  }

  private init?(der: [UInt8]) {
    var rest = der[...]
    guard var outer = Self.open(0x30, &rest), rest.isEmpty, outer.starts(with: Self.rsaAlgorithm) else { return nil }
    outer = outer.dropFirst(Self.rsaAlgorithm.count)
    guard var bits = Self.open(0x03, &outer), outer.isEmpty, bits.first == 0 else { return nil }
    bits = bits.dropFirst()
    guard var numbers = Self.open(0x30, &bits), let modulus = Self.open(0x02, &numbers), let exponent = Self.open(0x02, &numbers)
    else { return nil }
    self.init(modulus: Array(modulus), exponent: Array(exponent))
  }

  private static func open(_ tag: UInt8, _ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    guard rest.count >= 2, rest.first == tag else { return nil }
    rest = rest.dropFirst()
    guard let first = rest.first else { return nil }
    rest = rest.dropFirst()
    var length = Int(first)
    if first >= 0x80 {
      let count = Int(first & 0x7f)
      guard (1...2).contains(count), rest.count >= count else { return nil }
      length = rest.prefix(count).reduce(0) { $0 << 8 | Int($1) }
      rest = rest.dropFirst(count)
    }
    guard rest.count >= length else { return nil }
    defer { rest = rest.dropFirst(length) }
    return rest.prefix(length)
  }
}

extension Substring {
  /// Without white space at both ends, and with plain line ends.
  var trimmedLines: String {
    var text = self
    while let first = text.first, first.isWhitespace { text.removeFirst() }
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return text.split(whereSeparator: \.isNewline).joined(separator: "\n")
  }
}
