import FoundationEssentials
import WireModel

/// Numbers, booleans, times and blobs as text: in headers, query strings, labels, forms and XML.
enum ScalarText {
  static func parse(_ text: String, _ shape: Shape, _ format: TimestampFormat) throws -> WireValue {
    switch shape.kind {
    case .string: return .string(text)
    case .boolean:
      switch text {
      case "true", "True", "TRUE": return .bool(true)
      case "false", "False", "FALSE": return .bool(false)
      default: throw WireProblem("'\(clip(text))' is not true or false")
      }
    case .integer:
      guard let value = Int64(text) else { throw WireProblem("'\(clip(text))' is not a whole number") }
      return .int(try Numbers.fit(value, shape))
    case .double:
      guard let value = Numbers.double(text) else { throw WireProblem("'\(clip(text))' is not a number") }
      return .double(value)
    case .timestamp:
      // A format other than the model's is taken too where it cannot be mistaken.
      for other in [format, .iso8601, .rfc822, .epochSeconds] {
        if let date = Timestamps.parse(text, other) { return .timestamp(date) }
      }
      throw WireProblem("'\(clip(text))' is not a time")
    case .blob:
      guard let bytes = Base64.decode(text) else { throw WireProblem("the value is not base64") }
      return .blob(bytes)
    case .document: return .string(text)
    case .structure, .list, .map: throw WireProblem("a text stands where a \(shape.kind.rawValue) is due")
    }
  }

  static func write(_ value: WireValue, _ shape: Shape, _ format: TimestampFormat, millis: Bool = false) throws -> String {
    switch value {
    case .string(let text): return text
    case .bool(let flag): return flag ? "true" : "false"
    case .int(let number): return String(number)
    case .double(let number): return Numbers.text(number)
    case .timestamp(let date): return Timestamps.format(date, format, millis: millis)
    case .blob(let bytes): return Base64.encode(bytes)
    case .null: return ""
    case .list, .object, .stream: throw WireProblem("the value of \(shape.name) cannot be written as text")
    }
  }

  static func clip(_ text: String) -> String { text.count <= 64 ? text : text.prefix(64) + "…" }
}

enum Numbers {
  /// Refuses a number that the model's type cannot hold.
  static func fit(_ value: Int64, _ shape: Shape) throws -> Int64 {
    let fits =
      switch shape.modelType {
      case "byte": Int8(exactly: value) != nil
      case "short": Int16(exactly: value) != nil
      case "integer": Int32(exactly: value) != nil
      default: true
      }
    guard fits else { throw WireProblem("\(value) is out of the range of \(shape.modelType)") }
    return value
  }

  static func double(_ text: String) -> Double? {
    switch text {
    case "NaN": return .nan
    case "Infinity": return .infinity
    case "-Infinity": return -.infinity
    default:
      // Double("nan"), "inf" and hexadecimal forms are Swift's, not AWS's.
      let plain = text.utf8.allSatisfy { (0x30...0x39).contains($0) || [0x2b, 0x2d, 0x2e, 0x45, 0x65].contains($0) }
      return plain ? Double(text).flatMap { $0.isFinite ? $0 : nil } : nil
    }
  }

  static func text(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Infinity" : "Infinity" }
    if value == value.rounded(), abs(value) < 1e15 { return String(Int64(value)) }
    return value.description
  }
}
