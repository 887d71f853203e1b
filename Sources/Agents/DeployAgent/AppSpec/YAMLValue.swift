/// A YAML 1.1 value as the official agent's reader (Psych, safe load) sees it.
public indirect enum YAMLValue: Equatable, Sendable {
  case null
  case bool(Bool)
  case int(Int)
  case float(Double)
  case string(String)
  /// `:name`, a Ruby symbol; configuration keys are written like this.
  case symbol(String)
  case list([YAMLValue])
  case map(YAMLMap)

  /// What Ruby's `to_s` gives for a scalar; nil for a list or a map.
  var text: String? {
    switch self {
    case .null: ""
    case .bool(let value): value ? "true" : "false"
    case .int(let value): String(value)
    case .float(let value): String(value)
    case .string(let value), .symbol(let value): value
    case .list, .map: nil
    }
  }

  /// How an error message names the kind of value.
  var kind: String {
    switch self {
    case .null: "nothing"
    case .bool: "a boolean"
    case .int, .float: "a number"
    case .string, .symbol: "a string"
    case .list: "a list"
    case .map: "a map"
    }
  }
}

/// Pairs in the order of the document; of equal keys the last one counts.
public struct YAMLMap: Equatable, Sendable {
  public struct Pair: Equatable, Sendable {
    public var key: YAMLValue
    public var value: YAMLValue
  }
  public private(set) var pairs: [Pair] = []

  public init() {}

  public mutating func set(_ key: YAMLValue, _ value: YAMLValue) {
    if let at = pairs.firstIndex(where: { $0.key == key }) { pairs[at].value = value } else { pairs.append(Pair(key: key, value: value)) }
  }
  public subscript(_ key: String) -> YAMLValue? { pairs.first { $0.key == .string(key) }?.value }
  /// The value under `key` or `:key`.
  public func setting(_ key: String) -> YAMLValue? { pairs.last { $0.key == .symbol(key) || $0.key == .string(key) }?.value }
}

/// Why a text is not YAML that the agent accepts.
public struct YAMLFault: Error, Equatable, Sendable {
  public let message: String
}
