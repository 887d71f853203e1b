import RegionKit

/// Access key ids carry their account, as AWS's do: of the sixteen characters after the prefix (80 bits in base 32) the first bit
/// is set, the next forty are the account number, and the rest are random. So a key is found without asking every account.
enum AccessKeyID {
  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".utf8)

  /// `prefix` is `AKIA` (long-term) or `ASIA` (temporary).
  static func make(_ prefix: String, account: AccountID, random: any Randomness) -> String {
    let noise = random.bytes(5).reduce(UInt64(0)) { $0 << 8 | UInt64($1) } & 0x7f_ffff_ffff
    let number = (UInt64(account.rawValue) ?? 0) & 0xff_ffff_ffff
    // 80 bits: 1 + 40 + 39, taken five at a time from the top.
    let high = 1 << 40 | number
    var out: [UInt8] = []
    for index in 0..<16 {
      var five = 0
      for bit in 0..<5 {
        let position = index * 5 + bit
        let value = position < 41 ? high >> UInt64(40 - position) & 1 : noise >> UInt64(79 - position) & 1
        five = five << 1 | Int(value)
      }
      out.append(alphabet[five])
    }
    return prefix + String(decoding: out, as: UTF8.self)
  }

  /// The account in a key id of either kind; nil when the text is not such an id.
  static func account(of id: String) -> AccountID? {
    let bytes = Array(id.utf8)
    guard bytes.count == 20, id.hasPrefix("AKIA") || id.hasPrefix("ASIA") else { return nil }
    var value: UInt64 = 0
    // The first nine characters hold 45 bits: the marker, the account and four of the rest.
    for byte in bytes[4..<13] {
      guard let digit = alphabet.firstIndex(of: byte) else { return nil }
      value = value << 5 | UInt64(digit)
    }
    guard bytes[13...].allSatisfy(alphabet.contains), value >> 44 == 1 else { return nil }
    let number = value >> 4 & 0xff_ffff_ffff
    guard number < 1_000_000_000_000 else { return nil }
    let digits = String(number)
    return AccountID(String(repeating: "0", count: 12 - digits.count) + digits)
  }

  /// A secret of forty characters, as AWS makes them.
  static func secret(_ random: any Randomness) -> String {
    random.text(40, from: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
  }
}
