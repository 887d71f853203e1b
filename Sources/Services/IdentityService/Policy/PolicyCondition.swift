import FoundationEssentials

/// One operator on one key of a statement's `Condition`, compiled.
struct PolicyCondition: Hashable, Sendable {
  enum Quantifier: Hashable, Sendable { case none, all, any }
  enum Comparison: Hashable, Sendable { case equal, less, lessOrEqual, greater, greaterOrEqual }
  enum Test: Hashable, Sendable {
    case text([PolicyTemplate], ignoringCase: Bool)
    case like([PolicyTemplate])
    case arn([PolicyTemplate])
    case number(Comparison, [Double])
    case date(Comparison, [Double])
    case bool([Bool])
    case address([AddressRange])
    case binary([[UInt8]])
    /// True: the key must be absent.
    case null(Bool)
  }

  let key: ConditionKey
  let quantifier: Quantifier
  let negated: Bool
  let ifExists: Bool
  let test: Test

  /// Whether the condition holds. `denying` says that it belongs to a Deny statement: there a variable without a value leaves a
  /// negated operator true; in an Allow statement the condition fails, so that what cannot be resolved never grants.
  func holds(in context: PolicyContext, denying: Bool) -> Bool {
    let values = context.values(for: key)
    if case .null(let absent) = test { return (values ?? []).isEmpty == absent }
    guard let values, !values.isEmpty else {
      switch quantifier {
      case .all: return true
      case .any: return ifExists
      case .none: return ifExists || negated
      }
    }
    guard let operands = Operands(test, in: context, strict: negated && !denying) else { return false }
    switch quantifier {
    case .none:
      let found = values.contains { operands.match($0) }
      return found != negated
    case .all: return values.allSatisfy { operands.match($0) != negated }
    case .any: return values.contains { operands.match($0) != negated }
    }
  }

  /// The right-hand side with variables put in.
  private enum Operands {
    case text([String], ignoringCase: Bool)
    case like([Glob])
    case arn([ARNPattern])
    case other(Test)

    /// Nil only when `strict` and a variable has no value.
    init?(_ test: Test, in context: PolicyContext, strict: Bool) {
      func resolve<Value>(_ templates: [PolicyTemplate], _ value: (PolicyTemplate) -> Value?) -> [Value]? {
        var out: [Value] = []
        for template in templates {
          if let resolved = value(template) { out.append(resolved) } else if strict { return nil }
        }
        return out
      }
      switch test {
      case .text(let templates, let ignoringCase):
        guard let texts = resolve(templates, { $0.plainText(in: context) }) else { return nil }
        self = .text(texts, ignoringCase: ignoringCase)
      case .like(let templates):
        guard let globs = resolve(templates, { $0.glob(in: context) }) else { return nil }
        self = .like(globs)
      case .arn(let templates):
        guard let patterns = resolve(templates, { ARNPattern($0, in: context) }) else { return nil }
        self = .arn(patterns)
      default:
        self = .other(test)
      }
    }

    func match(_ value: String) -> Bool {
      switch self {
      case .text(let texts, ignoringCase: false): return texts.contains(value)
      case .text(let texts, ignoringCase: true):
        let lower = value.lowercased()
        return texts.contains { $0.lowercased() == lower }
      case .like(let globs): return globs.contains { $0.matches(value) }
      case .arn(let patterns): return patterns.contains { $0.matches(value) }
      case .other(let test): return Self.match(test, value)
      }
    }

    private static func match(_ test: Test, _ value: String) -> Bool {
      switch test {
      case .number(let comparison, let numbers):
        guard let number = Double(value), number.isFinite else { return false }
        return numbers.contains { comparison.compare(number, $0) }
      case .date(let comparison, let dates):
        guard let date = PolicyDate.parse(value) else { return false }
        return dates.contains { comparison.compare(date, $0) }
      case .bool(let wanted):
        guard let bool = Bool(value.asciiLowercased) else { return false }
        return wanted.contains(bool)
      case .address(let ranges):
        guard let address = AddressRange.address(value) else { return false }
        return ranges.contains { $0.contains(address) }
      case .binary(let blobs):
        guard let data = Data(base64Encoded: value) else { return false }
        return blobs.contains(Array(data))
      case .text, .like, .arn, .null: return false
      }
    }
  }
}

extension PolicyCondition.Comparison {
  func compare(_ a: Double, _ b: Double) -> Bool {
    switch self {
    case .equal: a == b
    case .less: a < b
    case .lessOrEqual: a <= b
    case .greater: a > b
    case .greaterOrEqual: a >= b
    }
  }
}

/// An ARN pattern whose six parts are compared one by one, as `ArnLike` documents it.
struct ARNPattern: Sendable {
  private let parts: [Glob]

  init?(_ template: PolicyTemplate, in context: PolicyContext) {
    switch template {
    case .fixed(_, let text): self.init(text)
    case .parts:
      guard let pieces = template.pieces(in: context) else { return nil }
      self.init(pieces: pieces)
    }
  }

  init(_ text: String) {
    parts = text.split(separator: ":", maxSplits: 5, omittingEmptySubsequences: false).map { Glob($0) }
  }

  private init(pieces: [Glob.Piece]) {
    parts = pieces.split(separator: .byte(UInt8(ascii: ":")), maxSplits: 5, omittingEmptySubsequences: false)
      .map { Glob(pieces: Array($0)) }
  }

  func matches(_ value: String) -> Bool {
    // A pattern that is a lone star stands for every ARN.
    if parts.count == 1, parts[0].matchesEverything { return true }
    let values = value.split(separator: ":", maxSplits: 5, omittingEmptySubsequences: false)
    guard parts.count == 6, values.count == 6 else { return false }
    return zip(parts, values).allSatisfy { $0.matches(Array($1.utf8)) }
  }
}
