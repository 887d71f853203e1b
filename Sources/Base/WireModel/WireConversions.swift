public import FoundationEssentials
public import RegionKit

extension String: WireConvertible {
  public init?(wire: WireValue?) {
    guard case .string(let value)? = wire else { return nil }
    self = value
  }
  public var wire: WireValue { .string(self) }
  public static var wireDefault: String { "" }
}

extension Bool: WireConvertible {
  public init?(wire: WireValue?) {
    guard case .bool(let value)? = wire else { return nil }
    self = value
  }
  public var wire: WireValue { .bool(self) }
  public static var wireDefault: Bool { false }
}

extension Int: WireConvertible {
  public init?(wire: WireValue?) {
    guard case .int(let value)? = wire else { return nil }
    self = Int(value)
  }
  public var wire: WireValue { .int(Int64(self)) }
  public static var wireDefault: Int { 0 }
}

extension Double: WireConvertible {
  public init?(wire: WireValue?) {
    switch wire {
    case .double(let value)?: self = value
    case .int(let value)?: self = Double(value)
    default: return nil
    }
  }
  public var wire: WireValue { .double(self) }
  public static var wireDefault: Double { 0 }
}

extension Date: WireConvertible {
  public init?(wire: WireValue?) {
    guard case .timestamp(let value)? = wire else { return nil }
    self = value
  }
  public var wire: WireValue { .timestamp(self) }
  public static var wireDefault: Date { Date(timeIntervalSince1970: 0) }
}

/// A blob in memory. A type of its own because `[UInt8]` would read as a list of numbers.
public struct Blob: WireConvertible, Hashable {
  public var bytes: [UInt8]
  public init(_ bytes: [UInt8]) { self.bytes = bytes }
  public init?(wire: WireValue?) {
    guard case .blob(let bytes)? = wire else { return nil }
    self.bytes = bytes
  }
  public var wire: WireValue { .blob(bytes) }
  public static var wireDefault: Blob { Blob([]) }
}

extension ByteStream: WireConvertible {
  public init?(wire: WireValue?) {
    switch wire {
    case .stream(let stream)?: self = stream
    case .blob(let bytes)?: self.init(bytes)
    default: return nil
    }
  }
  public var wire: WireValue { .stream(self) }
  public static var wireDefault: ByteStream { ByteStream([]) }
}

extension WireValue: WireConvertible {
  public init?(wire: WireValue?) {
    guard let wire else { return nil }
    self = wire
  }
  public var wire: WireValue { self }
  public static var wireDefault: WireValue { .null }
}

extension Optional: WireConvertible where Wrapped: WireConvertible {
  public init?(wire: WireValue?) {
    switch wire {
    case nil, .null?: self = .none
    default: self = Wrapped(wire: wire).map { .some($0) } ?? .none
    }
  }
  public var wire: WireValue { self?.wire ?? .null }
  public static var wireDefault: Wrapped? { nil }
}

extension Array: WireConvertible where Element: WireConvertible {
  public init?(wire: WireValue?) {
    guard case .list(let values)? = wire else { return nil }
    self = values.compactMap { Element(wire: $0) }
  }
  public var wire: WireValue { .list(map(\.wire)) }
  public static var wireDefault: [Element] { [] }
}

extension Dictionary: WireConvertible where Key == String, Value: WireConvertible {
  public init?(wire: WireValue?) {
    guard case .object(let values)? = wire else { return nil }
    self = values.compactMapValues { Value(wire: $0) }
  }
  public var wire: WireValue { .object(mapValues(\.wire)) }
  public static var wireDefault: [String: Value] { [:] }
}

extension WireEnum {
  public init?(wire: WireValue?) {
    guard case .string(let value)? = wire else { return nil }
    self.init(rawValue: value)
  }
  public var wire: WireValue { .string(rawValue) }
  public static var wireDefault: Self { Self(rawValue: "") }
}
