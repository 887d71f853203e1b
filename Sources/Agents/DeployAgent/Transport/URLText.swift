import RegionKit

/// The few URL operations the agent needs, on text, so that what is signed is what is sent.
enum URLText {
  /// Everything but unreserved characters becomes %XX; slashes stay when `keepSlash`.
  static func encode(_ text: String, keepSlash: Bool) -> String {
    let hex = Array("0123456789ABCDEF".utf8)
    var out: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f, 0x7e: out.append(byte)
      case 0x2f where keepSlash: out.append(byte)
      default: out += [0x25, hex[Int(byte >> 4)], hex[Int(byte & 15)]]
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  struct Parts: Equatable {
    var scheme: String
    /// With the port when the URL has one.
    var authority: String
    /// Begins with a slash.
    var path: String
    var query: String
  }

  static func parts(_ url: String) -> Parts? {
    guard let colon = url.firstRange(of: "://") else { return nil }
    let scheme = url[..<colon.lowerBound].lowercased()
    guard scheme == "http" || scheme == "https" else { return nil }
    let rest = url[colon.upperBound...].prefix { $0 != "#" }
    let authority = rest.prefix { $0 != "/" && $0 != "?" }
    guard !authority.isEmpty, !authority.contains("@") else { return nil }
    let target = rest.dropFirst(authority.count)
    let path = target.prefix { $0 != "?" }
    let query = target.dropFirst(path.count).dropFirst()
    return Parts(scheme: scheme, authority: authority.lowercased(), path: path.isEmpty ? "/" : String(path), query: String(query))
  }
}
