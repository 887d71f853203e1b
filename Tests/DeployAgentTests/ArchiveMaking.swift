/// Archives made byte by byte, so that tests can make ones that no archiver would.
enum Archives {
  struct Entry {
    var name: String
    var content: [UInt8] = []
    /// tar's type flag: "0" file, "5" directory, "2" symbolic link, "1" hard link, "3" device, "6" pipe.
    var type: Character = "0"
    var link = ""
    var mode = 0o644
    init(_ name: String, _ text: String = "", type: Character = "0", link: String = "", mode: Int = 0o644) {
      self.name = name
      content = Array(text.utf8)
      self.type = type
      self.link = link
      self.mode = mode
    }
  }

  static func tar(_ entries: [Entry]) -> [UInt8] {
    var out: [UInt8] = []
    for entry in entries {
      var head = [UInt8](repeating: 0, count: 512)
      func put(_ text: String, at: Int) { for (i, byte) in text.utf8.enumerated() { head[at + i] = byte } }
      func octal(_ value: Int, _ width: Int) -> String {
        let text = String(value, radix: 8)
        return String(repeating: "0", count: width - text.count) + text
      }
      put(String(entry.name.prefix(100)), at: 0)
      put(octal(entry.mode, 7), at: 100)
      put(octal(0, 7), at: 108)
      put(octal(0, 7), at: 116)
      put(octal(entry.content.count, 11), at: 124)
      put(octal(1_700_000_000, 11), at: 136)
      put("        ", at: 148)
      put(String(entry.type), at: 156)
      put(String(entry.link.prefix(100)), at: 157)
      put("ustar", at: 257)
      put("00", at: 263)
      put(octal(head.reduce(0) { $0 + Int($1) }, 6), at: 148)
      head[154] = 0
      out += head + entry.content
      out += [UInt8](repeating: 0, count: (512 - entry.content.count % 512) % 512)
    }
    return out + [UInt8](repeating: 0, count: 1024)
  }

  /// gzip with stored blocks.
  static func gzip(_ bytes: [UInt8]) -> [UInt8] {
    var out: [UInt8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]
    var at = 0
    repeat {
      let size = min(65_535, bytes.count - at)
      out += [at + size == bytes.count ? 1 : 0] + le(size, 2) + le(~size & 0xffff, 2) + bytes[at..<at + size]
      at += size
    } while at < bytes.count
    return out + le(Int(crc32(bytes)), 4) + le(bytes.count, 4)
  }

  /// A zip with stored entries; links by their Unix mode.
  static func zip(_ entries: [Entry]) -> [UInt8] {
    var out: [UInt8] = []
    var central: [UInt8] = []
    for entry in entries {
      let name = Array(entry.name.utf8)
      let content = entry.type == "2" ? Array(entry.link.utf8) : entry.content
      let common: [UInt8] =
        le(20, 2) + le(0, 2) + le(0, 2) + le(0, 2) + le(0x5000, 2) + le(Int(crc32(content)), 4) + le(content.count, 4)
        + le(content.count, 4) + le(name.count, 2) + le(0, 2)
      let kind = entry.type == "2" ? 0o120000 : entry.type == "5" ? 0o040000 : 0o100000
      central +=
        [0x50, 0x4b, 1, 2] + le(20 | 3 << 8, 2) + common + le(0, 2) + le(0, 2) + le(0, 2) + le((kind | entry.mode) << 16, 4)
        + le(out.count, 4) + name
      out += [0x50, 0x4b, 3, 4] + common + name + content
    }
    let start = out.count
    return out + central + [0x50, 0x4b, 5, 6] + le(0, 4) + le(entries.count, 2) + le(entries.count, 2) + le(central.count, 4)
      + le(start, 4) + le(0, 2)
  }

  private static func le(_ value: Int, _ count: Int) -> [UInt8] { (0..<count).map { UInt8(value >> ($0 * 8) & 0xff) } }

  static func crc32(_ bytes: [UInt8]) -> UInt32 {
    var crc: UInt32 = 0xffff_ffff
    for byte in bytes {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xedb8_8320 : crc >> 1 }
    }
    return ~crc
  }
}
