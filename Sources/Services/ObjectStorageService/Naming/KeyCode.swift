/// Writes an object key as ASCII text that sorts like the key's bytes, so that a listing is a range scan of the store and no part
/// of the way can mistake two keys for one (Swift compares strings by canonical equivalence, S3 by bytes).
///
/// Bytes 0x22 to 0x7d stand for themselves; lower ones become `!` and one character, higher ones `~` and two hexadecimal digits.
/// No character of the code is below `!` or above `~`, so a space ends a key and sorts before any continuation, and 0x7f sorts
/// after all.
enum KeyCode {
  /// Ends a key inside an id; sorts before every encoded byte.
  static let end = " "
  /// Sorts after every encoded byte: `encode(prefix) + pastAll` is the position behind everything that begins with the prefix.
  static let pastAll = "\u{7f}"

  static func encode(_ key: String) -> String { encode(key.utf8) }

  static func encode(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var out: [UInt8] = []
    for byte in bytes {
      switch byte {
      case 0x00...0x21:
        out.append(0x21)
        out.append(0x30 + byte)
      case 0x22...0x7d: out.append(byte)
      default:
        out.append(0x7e)
        out.append(digits[Int(byte >> 4)])
        out.append(digits[Int(byte & 15)])
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// Nil for text that `encode` does not write.
  static func decode(_ text: some StringProtocol) -> String? {
    var out: [UInt8] = []
    var bytes = text.utf8.makeIterator()
    while let byte = bytes.next() {
      switch byte {
      case 0x21:
        guard let next = bytes.next(), (0x30...0x51).contains(next) else { return nil }
        out.append(next - 0x30)
      case 0x22...0x7d: out.append(byte)
      case 0x7e:
        guard let high = bytes.next(), let low = bytes.next(),
          let value = hexBytes(String(decoding: [high, low], as: UTF8.self))?.first, value >= 0x7e
        else { return nil }
        out.append(value)
      default: return nil
      }
    }
    guard let key = String(validating: out, as: UTF8.self), encode(key).utf8.elementsEqual(text.utf8) else { return nil }
    return key
  }
}
