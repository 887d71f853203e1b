/// An IPv4 block and the arithmetic EC2 needs of it.
struct IPv4Block: Equatable, Sendable {
  let base: UInt32
  /// 0...32.
  let prefix: Int

  init(base: UInt32, prefix: Int) {
    self.base = base
    self.prefix = prefix
  }

  /// Nil unless `text` is `a.b.c.d/n`.
  init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let prefix = Int(parts[1]), (0...32).contains(prefix), let base = Self.address(String(parts[0])) else {
      return nil
    }
    self.init(base: base, prefix: prefix)
  }

  var size: UInt32 { prefix == 0 ? .max : 1 << UInt32(32 - prefix) }
  var description: String { "\(Self.text(base))/\(prefix)" }

  /// The `index`-th block of the longer prefix inside this one.
  func subdivided(to longer: Int, index: Int) -> IPv4Block {
    IPv4Block(base: base + UInt32(index) << UInt32(32 - longer), prefix: longer)
  }

  func contains(_ address: UInt32) -> Bool { address >= base && address - base < size }

  static func address(_ text: String) -> UInt32? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
    guard parts.count == 4, !parts.contains(nil) else { return nil }
    return parts.reduce(0) { $0 << 8 | UInt32($1 ?? 0) }
  }

  static func text(_ address: UInt32) -> String {
    "\(address >> 24).\(address >> 16 & 255).\(address >> 8 & 255).\(address & 255)"
  }
}
