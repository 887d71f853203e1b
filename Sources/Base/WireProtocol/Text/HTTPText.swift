/// ASCII comparison without case, as header names need it.
func equalIgnoringCase(_ a: String, _ b: String) -> Bool {
  let x = a.utf8
  let y = b.utf8
  guard x.count == y.count else { return false }
  return zip(x, y).allSatisfy { lower($0) == lower($1) }
}

/// True when `text` begins with `prefix`, ASCII letters compared without case.
func hasPrefixIgnoringCase(_ text: String, _ prefix: String) -> Bool {
  let x = text.utf8
  let y = prefix.utf8
  return x.count >= y.count && zip(x, y).allSatisfy { lower($0) == lower($1) }
}

private func lower(_ byte: UInt8) -> UInt8 { (0x41...0x5a).contains(byte) ? byte | 0x20 : byte }

func asciiLowercased(_ text: String) -> String { String(decoding: text.utf8.map(lower), as: UTF8.self) }

func trimmed(_ text: some StringProtocol) -> String {
  let space: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 || $0 == 0x0a || $0 == 0x0d }
  let bytes = Array(text.utf8)
  guard let first = bytes.firstIndex(where: { !space($0) }), let last = bytes.lastIndex(where: { !space($0) }) else { return "" }
  return String(decoding: bytes[first...last], as: UTF8.self)
}

enum PercentCoding {
  private static func digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x37
    case 0x61...0x66: byte - 0x57
    default: nil
    }
  }

  /// Decodes `%XX`, and `+` as a space where `plus` says so. A `%` without two digits stands for itself. Nil when the bytes are not
  /// UTF-8.
  static func decode(_ text: some StringProtocol, plus: Bool) -> String? {
    let bytes = Array(text.utf8)
    guard bytes.contains(where: { $0 == 0x25 || (plus && $0 == 0x2b) }) else { return String(text) }
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count)
    var i = 0
    while i < bytes.count {
      if bytes[i] == 0x25, i + 2 < bytes.count, let high = digit(bytes[i + 1]), let low = digit(bytes[i + 2]) {
        out.append(high << 4 | low)
        i += 3
      } else {
        out.append(plus && bytes[i] == 0x2b ? 0x20 : bytes[i])
        i += 1
      }
    }
    return String(validating: out, as: UTF8.self)
  }

  /// `a=b&c` as pairs in order, decoded; a key without `=` has the value "". Throws `WireProblem` for bad UTF-8 or too many pairs.
  static func pairs(_ text: String, limit: Int = 20_000) throws -> [(String, String)] {
    guard !text.isEmpty else { return [] }
    var out: [(String, String)] = []
    for part in text.split(separator: "&", omittingEmptySubsequences: true) {
      guard out.count < limit else { throw WireProblem("more than \(limit) parameters") }
      let equals = part.utf8.firstIndex(of: 0x3d)
      let name = equals.map { part[..<$0] } ?? part
      let value = equals.map { part[part.utf8.index(after: $0)...] } ?? ""
      guard let name = decode(name, plus: true), let value = decode(value, plus: true) else {
        throw WireProblem("a parameter is not UTF-8")
      }
      out.append((name, value))
    }
    return out
  }
}

/// Why a message could not be read; the protocol gives it its own error code. `path` leads to the member at fault.
struct WireProblem: Error, CustomStringConvertible {
  var reason: String
  var path: [String]
  init(_ reason: String, path: [String] = []) {
    self.reason = reason
    self.path = path
  }
  func at(_ name: String) -> WireProblem { WireProblem(reason, path: [name] + path) }
  var description: String { path.isEmpty ? reason : "\(reason) (at \(path.joined(separator: ".")))" }
}

/// Runs `body` and puts `name` in front of the path of a problem it throws.
@inline(__always)
func located<T>(_ name: @autoclosure () -> String, _ body: () throws -> T) throws -> T {
  do {
    return try body()
  } catch let problem as WireProblem {
    throw problem.at(name())
  }
}
