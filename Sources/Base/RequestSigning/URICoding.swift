/// The percent-coding that AWS signatures use: everything but `A-Z a-z 0-9 - . _ ~` is encoded, in upper-case hexadecimal.
enum URICoding {
  static func isUnreserved(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x41...0x5a, 0x61...0x7a, 0x30...0x39, 0x2d, 0x2e, 0x5f, 0x7e: true
    default: false
    }
  }

  static func append(_ byte: UInt8, to out: inout [UInt8]) {
    if isUnreserved(byte) {
      out.append(byte)
    } else {
      out.append(0x25)
      out.append(digit(byte >> 4))
      out.append(digit(byte & 15))
    }
  }

  private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x37 + value }

  static func encode(_ text: some StringProtocol) -> String {
    var out: [UInt8] = []
    for byte in text.utf8 { append(byte, to: &out) }
    return String(decoding: out, as: UTF8.self)
  }

  /// Undoes percent-coding; a `%` without two hexadecimal digits stands for itself, and `+` is a plus.
  static func decode(_ bytes: some Sequence<UInt8>) -> [UInt8] {
    var out: [UInt8] = []
    var pending: [UInt8] = []
    for byte in bytes {
      if pending.isEmpty {
        if byte == 0x25 { pending.append(byte) } else { out.append(byte) }
        continue
      }
      guard value(byte) != nil else {
        out += pending
        pending = []
        if byte == 0x25 { pending.append(byte) } else { out.append(byte) }
        continue
      }
      pending.append(byte)
      if pending.count == 3, let high = value(pending[1]), let low = value(pending[2]) {
        out.append(high << 4 | low)
        pending = []
      }
    }
    return out + pending
  }

  private static func value(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x37
    case 0x61...0x66: byte - 0x57
    default: nil
    }
  }
}
