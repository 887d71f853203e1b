/// Writes compact JSON. Names and values are escaped; invalid UTF-8 cannot occur in a `String`.
public struct JSONWriter {
  public private(set) var bytes: [UInt8] = []
  public init() {}

  public static func write(_ value: JSONValue) -> [UInt8] {
    var writer = JSONWriter()
    writer.append(value)
    return writer.bytes
  }

  public mutating func append(_ value: JSONValue) {
    switch value {
    case .null: raw("null")
    case .bool(let b): raw(b ? "true" : "false")
    case .int(let i): raw(String(i))
    case .double(let d): number(d)
    case .string(let s): string(s)
    case .array(let values):
      raw("[")
      for (i, v) in values.enumerated() {
        if i > 0 { raw(",") }
        append(v)
      }
      raw("]")
    case .object(let members):
      raw("{")
      for (i, m) in members.enumerated() {
        if i > 0 { raw(",") }
        string(m.name)
        raw(":")
        append(m.value)
      }
      raw("}")
    }
  }

  /// A number; JSON has no word for NaN or infinity, so AWS writes them as strings.
  private mutating func number(_ d: Double) {
    if d.isNaN {
      raw("\"NaN\"")
    } else if d.isInfinite {
      raw(d < 0 ? "\"-Infinity\"" : "\"Infinity\"")
    } else if d == d.rounded(), abs(d) < 1e15 {
      raw(String(Int64(d)))
    } else {
      raw(d.description)
    }
  }

  private mutating func raw(_ text: String) { bytes.append(contentsOf: text.utf8) }

  private mutating func string(_ text: String) {
    let digits = Array("0123456789abcdef".utf8)
    bytes.append(0x22)
    for b in text.utf8 {
      switch b {
      case 0x22, 0x5c: bytes.append(contentsOf: [0x5c, b])
      case 0x0a: bytes.append(contentsOf: [0x5c, 0x6e])
      case 0x0d: bytes.append(contentsOf: [0x5c, 0x72])
      case 0x09: bytes.append(contentsOf: [0x5c, 0x74])
      case 0..<0x20: bytes.append(contentsOf: [0x5c, 0x75, 0x30, 0x30, digits[Int(b >> 4)], digits[Int(b & 15)]])
      default: bytes.append(b)
      }
    }
    bytes.append(0x22)
  }
}
