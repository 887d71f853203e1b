import FoundationEssentials

/// Reads a statement's `Condition` element. An operator that is not known is an error, so that such a policy cannot be stored,
/// and a stored one that cannot be read denies.
struct ConditionParser {
  let variables: Bool

  /// Operator name to what builds its test; the names are AWS's own (IAM User Guide, "IAM JSON policy elements: Condition
  /// operators").
  private enum Family: Sendable {
    case text(ignoringCase: Bool)
    case like
    case arn
    case number(PolicyCondition.Comparison)
    case date(PolicyCondition.Comparison)
    case bool
    case address
    case binary
    case null
  }

  private static let operators: [String: (family: Family, negated: Bool)] = [
    "StringEquals": (.text(ignoringCase: false), false), "StringNotEquals": (.text(ignoringCase: false), true),
    "StringEqualsIgnoreCase": (.text(ignoringCase: true), false),
    "StringNotEqualsIgnoreCase": (.text(ignoringCase: true), true),
    "StringLike": (.like, false), "StringNotLike": (.like, true),
    "NumericEquals": (.number(.equal), false), "NumericNotEquals": (.number(.equal), true),
    "NumericLessThan": (.number(.less), false), "NumericLessThanEquals": (.number(.lessOrEqual), false),
    "NumericGreaterThan": (.number(.greater), false), "NumericGreaterThanEquals": (.number(.greaterOrEqual), false),
    "DateEquals": (.date(.equal), false), "DateNotEquals": (.date(.equal), true),
    "DateLessThan": (.date(.less), false), "DateLessThanEquals": (.date(.lessOrEqual), false),
    "DateGreaterThan": (.date(.greater), false), "DateGreaterThanEquals": (.date(.greaterOrEqual), false),
    "Bool": (.bool, false), "BinaryEquals": (.binary, false),
    "IpAddress": (.address, false), "NotIpAddress": (.address, true),
    // AWS: ArnEquals and ArnLike behave identically.
    "ArnEquals": (.arn, false), "ArnNotEquals": (.arn, true), "ArnLike": (.arn, false), "ArnNotLike": (.arn, true),
    "Null": (.null, false),
  ]

  func conditions(_ node: JSONNode, _ place: String) throws(PolicyProblem) -> [PolicyCondition] {
    guard case .object(let operators) = node else {
      throw PolicyProblem("Syntax errors in policy. The Condition of \(place) must be an object, but is \(node.kind).")
    }
    var out: [PolicyCondition] = []
    for (name, keys) in operators {
      guard case .object(let pairs) = keys else {
        throw PolicyProblem("Syntax errors in policy. \(name) in \(place) must be an object of keys, but is \(keys.kind).")
      }
      for (key, values) in pairs { out.append(try condition(name, key, values, place)) }
    }
    return out
  }

  private func condition(_ name: String, _ key: String, _ node: JSONNode, _ place: String) throws(PolicyProblem)
    -> PolicyCondition
  {
    var base = name[...]
    var quantifier = PolicyCondition.Quantifier.none
    for (prefix, value) in [("ForAllValues:", PolicyCondition.Quantifier.all), ("ForAnyValue:", .any)]
    where base.hasPrefix(prefix) {
      quantifier = value
      base = base.dropFirst(prefix.count)
    }
    let ifExists = base.hasSuffix("IfExists")
    if ifExists { base = base.dropLast("IfExists".count) }
    guard let known = Self.operators[String(base)] else {
      throw PolicyProblem("Syntax errors in policy. Unknown condition operator \"\(name)\" in \(place).")
    }
    if case .null = known.family, ifExists {
      throw PolicyProblem("Syntax errors in policy. Null cannot be used with IfExists (\(place)).")
    }
    guard key.contains(":"), !key.hasPrefix(":"), !key.hasSuffix(":") else {
      throw PolicyProblem("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc. (condition key \"\(key)\")")
    }
    let texts = try texts(node, "\(name) of \(key) in \(place)")
    return PolicyCondition(
      key: ConditionKey(key), quantifier: quantifier, negated: known.negated, ifExists: ifExists,
      test: try test(known.family, texts, "\(name) of \(key) in \(place)"))
  }

  /// Strings, numbers and booleans all count as strings here, alone or in a list.
  private func texts(_ node: JSONNode, _ place: String) throws(PolicyProblem) -> [String] {
    switch node {
    case .string(let text): return [text]
    case .number(let text): return [text]
    case .bool(let value): return [value ? "true" : "false"]
    case .array(let nodes):
      var out: [String] = []
      for node in nodes {
        if case .array = node { throw PolicyProblem("Syntax errors in policy. A list inside a list in \(place).") }
        out += try texts(node, place)
      }
      return out
    case .null, .object:
      throw PolicyProblem("Syntax errors in policy. \(place) must hold strings, but has \(node.kind).")
    }
  }

  private func test(_ family: Family, _ texts: [String], _ place: String) throws(PolicyProblem) -> PolicyCondition.Test {
    switch family {
    case .text(let ignoringCase): return .text(try templates(texts), ignoringCase: ignoringCase)
    case .like: return .like(try templates(texts))
    case .arn: return .arn(try templates(texts))
    case .number(let comparison):
      return .number(comparison, try each(texts, "a number", place) { Double($0).flatMap { $0.isFinite ? $0 : nil } })
    case .date(let comparison): return .date(comparison, try each(texts, "a date", place, PolicyDate.parse))
    case .bool: return .bool(try each(texts, "true or false", place) { Bool($0.asciiLowercased) })
    case .address: return .address(try each(texts, "an IP address or block", place, AddressRange.init))
    case .binary: return .binary(try each(texts, "Base64", place) { Data(base64Encoded: $0).map(Array.init) })
    case .null:
      let values = try each(texts, "true or false", place) { Bool($0.asciiLowercased) }
      guard values.count == 1 else { throw PolicyProblem("Syntax errors in policy. \(place) must have one value.") }
      return .null(values[0])
    }
  }

  private func templates(_ texts: [String]) throws(PolicyProblem) -> [PolicyTemplate] {
    var out: [PolicyTemplate] = []
    for text in texts { out.append(try PolicyTemplate(text, variables: variables)) }
    return out
  }

  private func each<Value>(
    _ texts: [String], _ wanted: String, _ place: String, _ read: (String) -> Value?
  ) throws(PolicyProblem) -> [Value] {
    var out: [Value] = []
    for text in texts {
      guard let value = read(text) else {
        throw PolicyProblem("Syntax errors in policy. \"\(text)\" is not \(wanted): \(place).")
      }
      out.append(value)
    }
    return out
  }
}
