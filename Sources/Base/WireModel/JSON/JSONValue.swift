/// A JSON document as it was written: members keep their order, and a whole number stays whole.
public indirect enum JSONValue: Sendable, Equatable {
  case null
  case bool(Bool)
  /// A number without fraction or exponent that fits 64 bits.
  case int(Int64)
  case double(Double)
  case string(String)
  case array([JSONValue])
  case object([JSONMember])

  /// The last member with this name; nil for anything but an object.
  public subscript(_ name: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.last { $0.name == name }?.value
  }
  public var asString: String? { if case .string(let s) = self { s } else { nil } }
  public var asBool: Bool? { if case .bool(let b) = self { b } else { nil } }
  public var asArray: [JSONValue]? { if case .array(let a) = self { a } else { nil } }
  public var asObject: [JSONMember]? { if case .object(let o) = self { o } else { nil } }
  public var asInt: Int64? { if case .int(let i) = self { i } else { nil } }
  public var asDouble: Double? {
    switch self {
    case .int(let i): Double(i)
    case .double(let d): d
    default: nil
    }
  }
}

/// One member of a JSON object.
public struct JSONMember: Sendable, Equatable {
  public var name: String
  public var value: JSONValue
  public init(_ name: String, _ value: JSONValue) {
    self.name = name
    self.value = value
  }
}

/// Why a text is not JSON (RFC 8259) or was refused, with the byte offset.
public struct JSONProblem: Error, CustomStringConvertible {
  public let reason: String
  public let offset: Int
  public var description: String { "\(reason) at byte \(offset)" }
}
