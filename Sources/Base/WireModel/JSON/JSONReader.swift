/// A strict RFC 8259 reader: no comments, trailing commas, NaN, lone surrogates or invalid UTF-8; nesting is limited, so that a
/// hostile body cannot exhaust the stack.
public struct JSONReader {
  private let bytes: UnsafeBufferPointer<UInt8>
  private var at = 0
  private var depth = 0
  private let maxDepth: Int

  /// Reads one value that fills `bytes`, white space aside. Throws `JSONProblem`.
  public static func read(_ bytes: [UInt8], maxDepth: Int = 128) throws -> JSONValue {
    try bytes.withUnsafeBufferPointer { buffer in
      var reader = JSONReader(bytes: buffer, maxDepth: maxDepth)
      let value = try reader.value()
      reader.skipSpace()
      guard reader.at == buffer.count else { throw reader.problem("unexpected text after the value") }
      return value
    }
  }

  public static func read(_ text: String, maxDepth: Int = 128) throws -> JSONValue { try read(Array(text.utf8), maxDepth: maxDepth) }

  private init(bytes: UnsafeBufferPointer<UInt8>, maxDepth: Int) {
    self.bytes = bytes
    self.maxDepth = maxDepth
  }

  private func problem(_ reason: String) -> JSONProblem { JSONProblem(reason: reason, offset: at) }
  private var byte: UInt8? { at < bytes.count ? bytes[at] : nil }

  private mutating func skipSpace() {
    while let b = byte, b == 0x20 || b == 0x0a || b == 0x0d || b == 0x09 { at += 1 }
  }

  private mutating func value() throws -> JSONValue {
    skipSpace()
    switch byte {
    case UInt8(ascii: "{"): return try nested { try $0.object() }
    case UInt8(ascii: "["): return try nested { try $0.array() }
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case UInt8(ascii: "-"), .some(0x30...0x39): return try number()
    case nil: throw problem("the text ends where a value is due")
    default: throw problem("unexpected character where a value is due")
    }
  }

  private mutating func nested(_ read: (inout JSONReader) throws -> JSONValue) throws -> JSONValue {
    depth += 1
    guard depth <= maxDepth else { throw problem("nesting deeper than \(maxDepth) levels") }
    defer { depth -= 1 }
    at += 1
    return try read(&self)
  }

  private mutating func word(_ text: StaticString, _ value: JSONValue) throws -> JSONValue {
    let count = text.utf8CodeUnitCount
    guard bytes.count - at >= count, (0..<count).allSatisfy({ bytes[at + $0] == text.utf8Start[$0] }) else {
      throw problem("unknown word")
    }
    at += count
    return value
  }

  private mutating func object() throws -> JSONValue {
    var members: [JSONMember] = []
    skipSpace()
    if byte == UInt8(ascii: "}") {
      at += 1
      return .object([])
    }
    while true {
      skipSpace()
      guard byte == UInt8(ascii: "\"") else { throw problem("a member name in quotes is due") }
      let name = try string()
      skipSpace()
      guard byte == UInt8(ascii: ":") else { throw problem("':' is due after a member name") }
      at += 1
      members.append(JSONMember(name, try value()))
      if try ends(with: UInt8(ascii: "}")) { return .object(members) }
    }
  }

  private mutating func array() throws -> JSONValue {
    var values: [JSONValue] = []
    skipSpace()
    if byte == UInt8(ascii: "]") {
      at += 1
      return .array([])
    }
    while true {
      values.append(try value())
      if try ends(with: UInt8(ascii: "]")) { return .array(values) }
    }
  }

  private mutating func ends(with end: UInt8) throws -> Bool {
    skipSpace()
    guard let b = byte, b == end || b == UInt8(ascii: ",") else { throw problem("',' or an end is due") }
    at += 1
    return b == end
  }

  private mutating func number() throws -> JSONValue {
    let start = at
    if byte == UInt8(ascii: "-") { at += 1 }
    if byte == UInt8(ascii: "0") { at += 1 } else { try digits() }
    var whole = true
    if byte == UInt8(ascii: ".") {
      whole = false
      at += 1
      try digits()
    }
    if byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E") {
      whole = false
      at += 1
      if byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-") { at += 1 }
      try digits()
    }
    guard at - start <= 1000 else { throw problem("a number of more than 1000 characters") }
    let text = String(decoding: bytes[start..<at], as: UTF8.self)
    if whole, let value = Int64(text) { return .int(value) }
    guard let value = Double(text), value.isFinite else { throw problem("a number out of range") }
    return .double(value)
  }

  private mutating func digits() throws {
    let start = at
    while let b = byte, (0x30...0x39).contains(b) { at += 1 }
    guard at > start else { throw problem("a digit is due") }
  }

  private mutating func string() throws -> String {
    at += 1
    let start = at
    while let b = byte, b != UInt8(ascii: "\""), b != UInt8(ascii: "\\"), b >= 0x20 { at += 1 }
    if byte == UInt8(ascii: "\"") {
      defer { at += 1 }
      return try text(bytes[start..<at])
    }
    var out = Array(bytes[start..<at])
    while let b = byte {
      at += 1
      switch b {
      case UInt8(ascii: "\""): return try text(out[...])
      case UInt8(ascii: "\\"): try escape(into: &out)
      case 0..<0x20: throw problem("a control character in a string")
      default: out.append(b)
      }
    }
    throw problem("a string without end")
  }

  private func text(_ bytes: some Collection<UInt8>) throws -> String {
    guard let text = String(validating: bytes, as: UTF8.self) else { throw problem("invalid UTF-8 in a string") }
    return text
  }

  private mutating func escape(into out: inout [UInt8]) throws {
    guard let b = byte else { throw problem("a string without end") }
    at += 1
    switch b {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(b)
    case UInt8(ascii: "b"): out.append(0x08)
    case UInt8(ascii: "f"): out.append(0x0c)
    case UInt8(ascii: "n"): out.append(0x0a)
    case UInt8(ascii: "r"): out.append(0x0d)
    case UInt8(ascii: "t"): out.append(0x09)
    case UInt8(ascii: "u"):
      var code = try hex4()
      if (0xd800..<0xdc00).contains(code) {
        guard bytes.count - at >= 2, bytes[at] == UInt8(ascii: "\\"), bytes[at + 1] == UInt8(ascii: "u") else {
          throw problem("half a surrogate pair")
        }
        at += 2
        let low = try hex4()
        guard (0xdc00..<0xe000).contains(low) else { throw problem("half a surrogate pair") }
        code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw problem("half a surrogate pair") }
      out.append(contentsOf: Array(String(Character(scalar)).utf8))
    default: throw problem("an unknown escape")
    }
  }

  private mutating func hex4() throws -> UInt32 {
    guard bytes.count - at >= 4 else { throw problem("four hexadecimal digits are due") }
    var code: UInt32 = 0
    for _ in 0..<4 {
      let b = bytes[at]
      let digit: UInt8
      switch b {
      case 0x30...0x39: digit = b - 0x30
      case 0x41...0x46: digit = b - 0x37
      case 0x61...0x66: digit = b - 0x57
      default: throw problem("four hexadecimal digits are due")
      }
      code = code << 4 | UInt32(digit)
      at += 1
    }
    return code
  }
}
