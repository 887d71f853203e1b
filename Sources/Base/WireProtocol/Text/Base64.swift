/// Base64 with the standard alphabet (RFC 4648 §4).
enum Base64 {
  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  private static let values: [UInt8] = {
    var table = [UInt8](repeating: 255, count: 256)
    for (i, letter) in alphabet.enumerated() { table[Int(letter)] = UInt8(i) }
    return table
  }()

  static func encode(_ bytes: [UInt8]) -> String {
    var out: [UInt8] = []
    out.reserveCapacity((bytes.count + 2) / 3 * 4)
    var i = 0
    while i < bytes.count {
      let left = bytes.count - i
      let word = UInt32(bytes[i]) << 16 | UInt32(left > 1 ? bytes[i + 1] : 0) << 8 | UInt32(left > 2 ? bytes[i + 2] : 0)
      out.append(alphabet[Int(word >> 18)])
      out.append(alphabet[Int(word >> 12 & 63)])
      out.append(left > 1 ? alphabet[Int(word >> 6 & 63)] : 0x3d)
      out.append(left > 2 ? alphabet[Int(word & 63)] : 0x3d)
      i += 3
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// Nil unless the text is base64. White space is skipped, as AWS does; padding may be missing.
  static func decode(_ text: String) -> [UInt8]? {
    var out: [UInt8] = []
    out.reserveCapacity(text.utf8.count / 4 * 3)
    var word: UInt32 = 0
    var letters = 0
    var padding = 0
    for byte in text.utf8 {
      if byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { continue }
      if byte == 0x3d {
        padding += 1
        continue
      }
      let value = values[Int(byte)]
      guard value < 64, padding == 0 else { return nil }
      word = word << 6 | UInt32(value)
      letters += 1
      if letters % 4 == 0 {
        out.append(UInt8(truncatingIfNeeded: word >> 16))
        out.append(UInt8(truncatingIfNeeded: word >> 8))
        out.append(UInt8(truncatingIfNeeded: word))
      }
    }
    guard padding <= 2, padding == 0 || (letters + padding) % 4 == 0 else { return nil }
    switch letters % 4 {
    case 0: break
    case 2: out.append(UInt8(truncatingIfNeeded: word >> 4))
    case 3:
      out.append(UInt8(truncatingIfNeeded: word >> 10))
      out.append(UInt8(truncatingIfNeeded: word >> 2))
    default: return nil
    }
    return out
  }
}
