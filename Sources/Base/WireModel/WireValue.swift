public import FoundationEssentials
public import RegionKit

/// A decoded value of any AWS shape, the same for all six protocols.
public indirect enum WireValue: Sendable {
  case null
  case bool(Bool)
  /// byte, short, integer and long.
  case int(Int64)
  /// float and double; may be NaN or an infinity.
  case double(Double)
  case string(String)
  /// A blob whose bytes are in memory.
  case blob([UInt8])
  case timestamp(Date)
  case list([WireValue])
  /// A structure, union or map; for a structure the keys are member names of the model, never wire names.
  case object([String: WireValue])
  /// A streaming blob: the body of the request or answer.
  case stream(ByteStream)

  public var isNull: Bool { if case .null = self { true } else { false } }
  public var asObject: [String: WireValue]? { if case .object(let o) = self { o } else { nil } }
  public var asList: [WireValue]? { if case .list(let l) = self { l } else { nil } }
  public var asString: String? { if case .string(let s) = self { s } else { nil } }
  public var asInt: Int64? { if case .int(let i) = self { i } else { nil } }
}

/// A Swift type that a shape's value converts to and from.
public protocol WireConvertible: Sendable {
  /// Nil when the value is absent or of another type.
  init?(wire: WireValue?)
  var wire: WireValue { get }
  /// What a required member reads as if it is missing all the same (validation refuses such input before a handler sees it).
  static var wireDefault: Self { get }
}

/// A string shape with an `enum` trait. A struct and not an enum, so that a value of a newer client is kept and compile time stays small.
public protocol WireEnum: WireConvertible, RawRepresentable, Hashable, Codable where RawValue == String {
  init(rawValue: String)
}

/// The value of structure `Shape`; members are reached by generated field keys: `input[.applicationName]`.
public struct Obj<Shape>: WireConvertible {
  public var fields: [String: WireValue]
  public init() { fields = [:] }
  public init(fields: [String: WireValue]) { self.fields = fields }
  public init(_ build: (inout Obj) throws -> Void) rethrows {
    self.init()
    try build(&self)
  }
  public init?(wire: WireValue?) {
    guard case .object(let fields)? = wire else { return nil }
    self.fields = fields
  }
  public var wire: WireValue { .object(fields) }
  public static var wireDefault: Self { Obj() }

  public subscript<Value: WireConvertible>(_ field: Field<Shape, Value>) -> Value {
    get { Value(wire: fields[field.name]) ?? Value.wireDefault }
    set {
      let wire = newValue.wire
      if case .null = wire { fields[field.name] = nil } else { fields[field.name] = wire }
    }
  }
}

/// A generated key: member `name` of `Shape`, which reads as `Value` (`Optional` unless the model requires the member).
public struct Field<Shape, Value>: Sendable {
  public let name: String
  public init(_ name: String) { self.name = name }
}
