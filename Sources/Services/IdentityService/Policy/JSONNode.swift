/// A JSON value as a policy writes it: member order and number spelling are kept, and duplicate member names can be seen.
indirect enum JSONNode: Equatable, Sendable {
  case null
  case bool(Bool)
  /// The number as it was spelled.
  case number(String)
  case string(String)
  case array([JSONNode])
  case object([(name: String, value: JSONNode)])

  static func == (a: JSONNode, b: JSONNode) -> Bool {
    switch (a, b) {
    case (.null, .null): true
    case (.bool(let x), .bool(let y)): x == y
    case (.number(let x), .number(let y)): x == y
    case (.string(let x), .string(let y)): x == y
    case (.array(let x), .array(let y)): x == y
    case (.object(let x), .object(let y)):
      x.count == y.count && zip(x, y).allSatisfy { $0.name == $1.name && $0.value == $1.value }
    default: false
    }
  }

  /// What kind of value this is, for messages.
  var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .number: "a number"
    case .string: "a string"
    case .array: "a list"
    case .object: "an object"
    }
  }
}

/// Where and why a text is not JSON.
struct JSONSyntaxError: Error, Equatable, Sendable, CustomStringConvertible {
  let line: Int
  let column: Int
  let problem: String
  var description: String { "line \(line), column \(column): \(problem)" }
}

/// A strict RFC 8259 reader for policies: no trailing commas, no duplicate members, no nesting deeper than 32. Our own and not
/// Foundation's, because that one forgives duplicates and says little about where a text is broken.
struct JSONReader {
  private let bytes: [UInt8]
  private var at = 0
  private static let maximumDepth = 32

  static func read(_ text: String) throws(JSONSyntaxError) -> JSONNode {
    var reader = JSONReader(bytes: Array(text.utf8))
    let value = try reader.value(depth: 0)
    reader.skipSpace()
    guard reader.at == reader.bytes.count else { throw reader.failure("text after the end of the document") }
    return value
  }

  private init(bytes: [UInt8]) { self.bytes = bytes }

  private func failure(_ problem: String) -> JSONSyntaxError {
    let before = bytes.prefix(at)
    let line = 1 + before.count(where: { $0 == 0x0a })
    let column = 1 + (before.lastIndex(of: 0x0a).map { before.count - $0 - 1 } ?? before.count)
    return JSONSyntaxError(line: line, column: column, problem: problem)
  }

  private mutating func skipSpace() {
    while at < bytes.count, bytes[at] == 0x20 || bytes[at] == 0x0a || bytes[at] == 0x0d || bytes[at] == 0x09 { at += 1 }
  }

  private mutating func value(depth: Int) throws(JSONSyntaxError) -> JSONNode {
    guard depth < Self.maximumDepth else { throw failure("nested deeper than \(Self.maximumDepth) levels") }
    skipSpace()
    guard at < bytes.count else { throw failure("the document ends where a value is due") }
    switch bytes[at] {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    default: return .number(try number())
    }
  }

  private mutating func word(_ word: String, _ value: JSONNode) throws(JSONSyntaxError) -> JSONNode {
    let letters = Array(word.utf8)
    guard bytes[at...].starts(with: letters) else { throw failure("expected \(word)") }
    at += letters.count
    return value
  }

  private mutating func object(depth: Int) throws(JSONSyntaxError) -> JSONNode {
    at += 1
    var members: [(name: String, value: JSONNode)] = []
    var names: Set<String> = []
    skipSpace()
    if at < bytes.count, bytes[at] == UInt8(ascii: "}") {
      at += 1
      return .object([])
    }
    while true {
      skipSpace()
      guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else { throw failure("expected a member name in double quotes") }
      let name = try string()
      guard names.insert(name).inserted else { throw failure("the member \"\(name)\" appears twice") }
      skipSpace()
      guard at < bytes.count, bytes[at] == UInt8(ascii: ":") else { throw failure("expected ':' after \"\(name)\"") }
      at += 1
      members.append((name, try value(depth: depth + 1)))
      skipSpace()
      guard at < bytes.count else { throw failure("the object has no end") }
      let next = bytes[at]
      guard next == UInt8(ascii: ",") || next == UInt8(ascii: "}") else { throw failure("expected ',' or '}'") }
      at += 1
      if next == UInt8(ascii: "}") { return .object(members) }
    }
  }

  private mutating func array(depth: Int) throws(JSONSyntaxError) -> JSONNode {
    at += 1
    var values: [JSONNode] = []
    skipSpace()
    if at < bytes.count, bytes[at] == UInt8(ascii: "]") {
      at += 1
      return .array([])
    }
    while true {
      values.append(try value(depth: depth + 1))
      skipSpace()
      guard at < bytes.count else { throw failure("the list has no end") }
      let next = bytes[at]
      guard next == UInt8(ascii: ",") || next == UInt8(ascii: "]") else { throw failure("expected ',' or ']'") }
      at += 1
      if next == UInt8(ascii: "]") { return .array(values) }
    }
  }

  private mutating func number() throws(JSONSyntaxError) -> String {
    let start = at
    func digits(from index: Int) -> Int {
      var i = index
      while i < bytes.count, (0x30...0x39).contains(bytes[i]) { i += 1 }
      return i
    }
    var i = at
    if i < bytes.count, bytes[i] == UInt8(ascii: "-") { i += 1 }
    let whole = digits(from: i)
    guard whole > i, bytes[i] != 0x30 || whole == i + 1 else { throw failure("expected a value") }
    i = whole
    if i < bytes.count, bytes[i] == UInt8(ascii: ".") {
      let end = digits(from: i + 1)
      guard end > i + 1 else { throw failure("a number ends in '.'") }
      i = end
    }
    if i < bytes.count, bytes[i] | 0x20 == UInt8(ascii: "e") {
      i += 1
      if i < bytes.count, bytes[i] == UInt8(ascii: "+") || bytes[i] == UInt8(ascii: "-") { i += 1 }
      let end = digits(from: i)
      guard end > i else { throw failure("a number has an empty exponent") }
      i = end
    }
    at = i
    return String(decoding: bytes[start..<i], as: UTF8.self)
  }

  private mutating func string() throws(JSONSyntaxError) -> String {
    at += 1
    var out: [UInt8] = []
    while at < bytes.count {
      let byte = bytes[at]
      switch byte {
      case UInt8(ascii: "\""):
        at += 1
        return String(decoding: out, as: UTF8.self)
      case UInt8(ascii: "\\"):
        try escape(into: &out)
      case 0..<0x20:
        throw failure("a control character inside a string")
      default:
        out.append(byte)
        at += 1
      }
    }
    throw failure("the string has no end")
  }

  private mutating func escape(into out: inout [UInt8]) throws(JSONSyntaxError) {
    at += 1
    guard at < bytes.count else { throw failure("the string has no end") }
    let plain: [UInt8: UInt8] = [
      0x22: 0x22, 0x5c: 0x5c, 0x2f: 0x2f, UInt8(ascii: "b"): 8, UInt8(ascii: "f"): 12, UInt8(ascii: "n"): 10,
      UInt8(ascii: "r"): 13, UInt8(ascii: "t"): 9,
    ]
    if let byte = plain[bytes[at]] {
      out.append(byte)
      at += 1
      return
    }
    guard bytes[at] == UInt8(ascii: "u") else { throw failure("an unknown escape in a string") }
    at += 1
    var scalar = try hex4()
    if (0xd800..<0xdc00).contains(scalar) {
      guard at + 1 < bytes.count, bytes[at] == UInt8(ascii: "\\"), bytes[at + 1] == UInt8(ascii: "u") else {
        throw failure("half a surrogate pair")
      }
      at += 2
      let low = try hex4()
      guard (0xdc00..<0xe000).contains(low) else { throw failure("half a surrogate pair") }
      scalar = 0x10000 + (scalar - 0xd800) << 10 + (low - 0xdc00)
    }
    guard let value = Unicode.Scalar(scalar) else { throw failure("half a surrogate pair") }
    out.append(contentsOf: Array(String(Character(value)).utf8))
  }

  private mutating func hex4() throws(JSONSyntaxError) -> UInt32 {
    guard at + 4 <= bytes.count else { throw failure("\\u needs four hexadecimal digits") }
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let digit = Character(Unicode.Scalar(bytes[at])).hexDigitValue else {
        throw failure("\\u needs four hexadecimal digits")
      }
      value = value << 4 | UInt32(digit)
      at += 1
    }
    return value
  }
}
