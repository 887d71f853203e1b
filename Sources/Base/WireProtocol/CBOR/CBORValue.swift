/// A CBOR data item (RFC 8949) of the kinds that AWS's RPC protocol uses.
indirect enum CBORValue: Equatable {
  case null
  case bool(Bool)
  case int(Int64)
  /// Whole numbers beyond 64 bits with sign, rounded.
  case double(Double)
  case bytes([UInt8])
  case text(String)
  case array([CBORValue])
  case map([(String, CBORValue)])
  case tagged(UInt64, CBORValue)

  static func == (a: CBORValue, b: CBORValue) -> Bool {
    switch (a, b) {
    case (.null, .null): true
    case (.bool(let x), .bool(let y)): x == y
    case (.int(let x), .int(let y)): x == y
    case (.double(let x), .double(let y)): x == y || (x.isNaN && y.isNaN)
    case (.int(let x), .double(let y)), (.double(let y), .int(let x)): Double(x) == y
    case (.bytes(let x), .bytes(let y)): x == y
    case (.text(let x), .text(let y)): x == y
    case (.array(let x), .array(let y)): x == y
    case (.map(let x), .map(let y)): same(x, y)
    case (.tagged(let t, let x), .tagged(let u, let y)): t == u && x == y
    default: false
    }
  }

  /// Maps are equal whatever the order of their keys.
  private static func same(_ a: [(String, CBORValue)], _ b: [(String, CBORValue)]) -> Bool {
    guard a.count == b.count else { return false }
    let other = Dictionary(b, uniquingKeysWith: { _, last in last })
    return a.allSatisfy { other[$0.0] == $0.1 }
  }
}

/// Reads one CBOR item that fills the bytes. Nesting and counts are limited by `maxDepth` and by the bytes there are.
struct CBORReader {
  private let bytes: [UInt8]
  private var at = 0
  private var depth = 0
  private let maxDepth: Int

  static func read(_ bytes: [UInt8], maxDepth: Int = 128) throws -> CBORValue {
    var reader = CBORReader(bytes: bytes, maxDepth: maxDepth)
    let value = try reader.item()
    guard reader.at == bytes.count else { throw WireProblem("the CBOR body goes on after its item") }
    return value
  }

  private init(bytes: [UInt8], maxDepth: Int) {
    self.bytes = bytes
    self.maxDepth = maxDepth
  }

  private mutating func byte() throws -> UInt8 {
    guard at < bytes.count else { throw WireProblem("the CBOR body ends too early") }
    defer { at += 1 }
    return bytes[at]
  }

  private mutating func take(_ count: UInt64) throws -> ArraySlice<UInt8> {
    guard count <= UInt64(bytes.count - at) else { throw WireProblem("the CBOR body ends too early") }
    defer { at += Int(count) }
    return bytes[at..<at + Int(count)]
  }

  private mutating func number(_ width: UInt64) throws -> UInt64 { try take(width).reduce(0) { $0 << 8 | UInt64($1) } }

  /// The argument of a head; nil for an indefinite length.
  private mutating func argument(_ info: UInt8) throws -> UInt64? {
    switch info {
    case 0..<24: return UInt64(info)
    case 24: return try number(1)
    case 25: return try number(2)
    case 26: return try number(4)
    case 27: return try number(8)
    case 31: return nil
    default: throw WireProblem("a reserved CBOR length")
    }
  }

  private mutating func length(_ info: UInt8) throws -> UInt64 {
    guard let value = try argument(info) else { throw WireProblem("an indefinite CBOR length where none is allowed") }
    return value
  }

  private mutating func item() throws -> CBORValue {
    depth += 1
    defer { depth -= 1 }
    guard depth <= maxDepth else { throw WireProblem("CBOR nested deeper than \(maxDepth) levels") }
    let head = try byte()
    let info = head & 31
    switch head >> 5 {
    case 0:
      let value = try length(info)
      return Int64(exactly: value).map { .int($0) } ?? .double(Double(value))
    case 1:
      let value = try length(info)
      return Int64(exactly: value).map { .int(-1 - $0) } ?? .double(-1 - Double(value))
    case 2: return .bytes(try string(info, major: 2))
    case 3: return .text(try text(info))
    case 4: return .array(try array(info))
    case 5: return .map(try map(info))
    case 6: return .tagged(try length(info), try item())
    default: return try simple(info)
    }
  }

  private var atBreak: Bool { at < bytes.count && bytes[at] == 0xff }

  private mutating func string(_ info: UInt8, major: UInt8) throws -> [UInt8] {
    if let count = try argument(info) { return Array(try take(count)) }
    var out: [UInt8] = []
    while !atBreak {
      let head = try byte()
      guard head >> 5 == major else { throw WireProblem("a CBOR string has a piece of another type") }
      out.append(contentsOf: try take(try length(head & 31)))
    }
    at += 1
    return out
  }

  private mutating func text(_ info: UInt8) throws -> String {
    guard let text = String(validating: try string(info, major: 3), as: UTF8.self) else { throw WireProblem("a CBOR text is not UTF-8") }
    return text
  }

  private mutating func array(_ info: UInt8) throws -> [CBORValue] {
    var out: [CBORValue] = []
    if let count = try argument(info) {
      guard count <= UInt64(bytes.count - at) else { throw WireProblem("the CBOR body ends too early") }
      for _ in 0..<count { out.append(try item()) }
    } else {
      while !atBreak { out.append(try item()) }
      at += 1
    }
    return out
  }

  private mutating func map(_ info: UInt8) throws -> [(String, CBORValue)] {
    var out: [(String, CBORValue)] = []
    if let count = try argument(info) {
      guard count <= UInt64(bytes.count - at) / 2 else { throw WireProblem("the CBOR body ends too early") }
      for _ in 0..<count { out.append(try entry()) }
    } else {
      while !atBreak { out.append(try entry()) }
      at += 1
    }
    return out
  }

  private mutating func entry() throws -> (String, CBORValue) {
    let head = try byte()
    guard head >> 5 == 3 else { throw WireProblem("a CBOR map key is not a text") }
    return (try text(head & 31), try item())
  }

  private mutating func simple(_ info: UInt8) throws -> CBORValue {
    switch info {
    case 20: return .bool(false)
    case 21: return .bool(true)
    case 22, 23: return .null
    case 25: return .double(Self.half(UInt16(try number(2))))
    case 26: return .double(Double(Float(bitPattern: UInt32(try number(4)))))
    case 27: return .double(Double(bitPattern: try number(8)))
    default: throw WireProblem("an unknown CBOR simple value")
    }
  }

  /// IEEE 754 half precision; `Float16` is not there on every platform.
  static func half(_ bits: UInt16) -> Double {
    let exponent = Int(bits >> 10 & 31)
    let fraction = Double(bits & 0x3ff)
    let size: Double =
      switch exponent {
      case 0: scalbn(fraction, -24)
      case 31: fraction == 0 ? .infinity : .nan
      default: scalbn(fraction + 1024, exponent - 25)
      }
    return bits >> 15 == 1 ? -size : size
  }

  private static func scalbn(_ value: Double, _ power: Int) -> Double { value * Double(sign: .plus, exponent: power, significand: 1) }
}

enum CBORWriter {
  static func write(_ value: CBORValue) -> [UInt8] {
    var out: [UInt8] = []
    append(value, to: &out)
    return out
  }

  private static func head(_ major: UInt8, _ value: UInt64, to out: inout [UInt8]) {
    let top = major << 5
    switch value {
    case 0..<24: out.append(top | UInt8(value))
    case 24..<0x100: out.append(contentsOf: [top | 24, UInt8(value)])
    case 0x100..<0x1_0000: out.append(contentsOf: [top | 25, UInt8(value >> 8), UInt8(value & 255)])
    case 0x1_0000..<0x1_0000_0000: out.append(top | 26); bigEndian(value, 4, to: &out)
    default: out.append(top | 27); bigEndian(value, 8, to: &out)
    }
  }

  private static func bigEndian(_ value: UInt64, _ width: Int, to out: inout [UInt8]) {
    for i in (0..<width).reversed() { out.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * i))) }
  }

  private static func append(_ value: CBORValue, to out: inout [UInt8]) {
    switch value {
    case .null: out.append(0xf6)
    case .bool(let flag): out.append(flag ? 0xf5 : 0xf4)
    case .int(let number):
      if number >= 0 { head(0, UInt64(number), to: &out) } else { head(1, UInt64(-1 - number), to: &out) }
    case .double(let number):
      if let float = Float(exactly: number) {
        out.append(0xfa)
        bigEndian(UInt64(float.bitPattern), 4, to: &out)
      } else {
        out.append(0xfb)
        bigEndian(number.bitPattern, 8, to: &out)
      }
    case .bytes(let bytes):
      head(2, UInt64(bytes.count), to: &out)
      out.append(contentsOf: bytes)
    case .text(let text):
      head(3, UInt64(text.utf8.count), to: &out)
      out.append(contentsOf: text.utf8)
    case .array(let values):
      head(4, UInt64(values.count), to: &out)
      for value in values { append(value, to: &out) }
    case .map(let entries):
      head(5, UInt64(entries.count), to: &out)
      for (key, value) in entries {
        append(.text(key), to: &out)
        append(value, to: &out)
      }
    case .tagged(let tag, let value):
      head(6, tag, to: &out)
      append(value, to: &out)
    }
  }
}
