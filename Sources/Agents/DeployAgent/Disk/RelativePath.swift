/// Lexical path arithmetic; touches no disk.
enum RelativePath {
  /// The path below some root without `.`, `..`, empty components and leading slashes; "" is the root itself. Nil when it leads
  /// outside.
  static func clean(_ path: String) -> String? {
    var out: [Substring] = []
    for part in path.split(separator: "/") where part != "." {
      if part == ".." {
        guard out.popLast() != nil else { return nil }
      } else {
        out.append(part)
      }
    }
    return out.joined(separator: "/")
  }

  /// An absolute path without `.`, `..` and double slashes; `..` above the root stays at the root, as in the kernel.
  static func absolute(_ path: String) -> String {
    var out: [Substring] = []
    for part in path.split(separator: "/") where part != "." {
      if part == ".." { _ = out.popLast() } else { out.append(part) }
    }
    return "/" + out.joined(separator: "/")
  }

  static func join(_ base: String, _ rest: String) -> String {
    if rest.isEmpty { return base }
    return base.hasSuffix("/") ? base + rest : base + "/" + rest
  }

  /// The part before the last slash; "/" for a top-level path.
  static func parent(_ path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  static func name(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? "" }

  /// Fit to be one file name made from outside data: no slash, no zero byte, not `.` or `..`, 1 to 200 bytes.
  static func isComponent(_ name: String) -> Bool {
    !name.isEmpty && name != "." && name != ".." && name.utf8.count <= 200 && !name.utf8.contains { $0 == 0x2f || $0 < 0x20 }
  }
}
