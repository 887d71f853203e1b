/// An IPv4 or IPv6 address or block, for `IpAddress` conditions.
struct AddressRange: Hashable, Sendable {
  let bytes: [UInt8]
  let prefixLength: Int

  /// `203.0.113.0/24`, `2001:db8::/32`, or an address alone; nil when it is neither.
  init?(_ text: String) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let bytes = Self.address(parts[0]) else { return nil }
    let bits = bytes.count * 8
    if parts.count == 2 {
      guard parts[1].utf8.count <= 3, parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let length = Int(parts[1]),
        length <= bits
      else { return nil }
      prefixLength = length
    } else {
      prefixLength = bits
    }
    self.bytes = bytes
  }

  func contains(_ address: [UInt8]) -> Bool {
    guard address.count == bytes.count else { return false }
    let whole = prefixLength / 8
    guard address[..<whole] == bytes[..<whole] else { return false }
    let rest = prefixLength % 8
    guard rest > 0 else { return true }
    return (address[whole] ^ bytes[whole]) >> UInt8(8 - rest) == 0
  }

  /// Four or sixteen bytes.
  static func address(_ text: some StringProtocol) -> [UInt8]? { text.contains(":") ? six(text) : four(text) }

  private static func four(_ text: some StringProtocol) -> [UInt8]? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var out: [UInt8] = []
    for part in parts {
      guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let value = UInt8(part)
      else {
        return nil
      }
      out.append(value)
    }
    return out
  }

  private static func six(_ text: some StringProtocol) -> [UInt8]? {
    let all = Array(text.utf8)
    var gap: Int?
    var groups: [[UInt8]] = []
    var i = 0
    while i < all.count {
      if i + 1 < all.count, all[i] == 0x3a, all[i + 1] == 0x3a {
        guard gap == nil else { return nil }
        gap = groups.count
        i += 2
        continue
      }
      if all[i] == 0x3a {
        guard i > 0, i + 1 < all.count, !groups.isEmpty else { return nil }
        i += 1
      }
      let end = all[i...].firstIndex(of: 0x3a) ?? all.count
      let piece = String(decoding: all[i..<end], as: UTF8.self)
      if end == all.count, piece.contains(".") {
        guard let tail = four(piece) else { return nil }
        groups += [[tail[0], tail[1]], [tail[2], tail[3]]]
      } else {
        guard (1...4).contains(piece.utf8.count), piece.allSatisfy(\.isHexDigit), let value = UInt16(piece, radix: 16) else {
          return nil
        }
        groups.append([UInt8(value >> 8), UInt8(value & 255)])
      }
      i = end
    }
    if let gap {
      guard groups.count < 8 else { return nil }
      groups.insert(contentsOf: repeatElement([0, 0], count: 8 - groups.count), at: gap)
    }
    guard groups.count == 8 else { return nil }
    return groups.flatMap { $0 }
  }
}
