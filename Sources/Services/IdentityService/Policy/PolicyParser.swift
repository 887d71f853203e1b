/// Reads the JSON of a policy into a `PolicyDocument`. Everything it does not know is an error: a policy is never half
/// understood. The grammar: AWS IAM User Guide, "Grammar of the IAM JSON policy language".
struct PolicyParser {
  let kind: PolicyDocument.Kind
  private var variables = false

  static func parse(_ text: String, as kind: PolicyDocument.Kind) throws(PolicyProblem) -> PolicyDocument {
    let node: JSONNode
    do {
      node = try JSONReader.read(text)
    } catch {
      throw PolicyProblem("Syntax errors in policy. The document is not valid JSON at \(error).")
    }
    var parser = PolicyParser(kind: kind)
    return try parser.document(node)
  }

  private init(kind: PolicyDocument.Kind) { self.kind = kind }

  private mutating func document(_ node: JSONNode) throws(PolicyProblem) -> PolicyDocument {
    guard case .object(let members) = node else {
      throw PolicyProblem("Syntax errors in policy. The document must be an object, but it is \(node.kind).")
    }
    try refuseUnknown(members, known: ["Version", "Id", "Statement"], where: "the policy")
    var version = PolicyDocument.Version.v2008
    if let value = members.member("Version") {
      guard case .string(let text) = value, let known = PolicyDocument.Version(rawValue: text) else {
        throw PolicyProblem("The policy must contain a valid version string: 2012-10-17 or 2008-10-17.")
      }
      version = known
    }
    variables = version == .v2012
    var id: String?
    if let value = members.member("Id") {
      guard case .string(let text) = value else { throw PolicyProblem("Syntax errors in policy. Id must be a string.") }
      id = text
    }
    var statements: [PolicyDocument.Statement] = []
    switch members.member("Statement") {
    case nil: throw PolicyProblem("Syntax errors in policy. The policy must contain a Statement.")
    case .array(let nodes)?:
      guard !nodes.isEmpty else { throw PolicyProblem("Syntax errors in policy. Statement must not be an empty list.") }
      for node in nodes { statements.append(try statement(node, number: statements.count + 1)) }
    case let node?: statements = [try statement(node, number: 1)]
    }
    let sids = statements.compactMap(\.sid).filter { !$0.isEmpty }
    guard Set(sids).count == sids.count else {
      throw PolicyProblem("Statement IDs (SID) in a single policy must be unique.")
    }
    return PolicyDocument(version: version, id: id, statements: statements)
  }

  private func refuseUnknown(
    _ members: [(name: String, value: JSONNode)], known: [String], where place: String
  ) throws(PolicyProblem) {
    for member in members where !known.contains(member.name) {
      throw PolicyProblem("Syntax errors in policy. Unknown element \"\(member.name)\" in \(place).")
    }
  }

  // MARK: A statement

  private func statement(_ node: JSONNode, number: Int) throws(PolicyProblem) -> PolicyDocument.Statement {
    let place = "statement \(number)"
    guard case .object(let members) = node else {
      throw PolicyProblem("Syntax errors in policy. \(place) must be an object, but it is \(node.kind).")
    }
    try refuseUnknown(
      members,
      known: [
        "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
      ], where: place)
    let sid = try sid(members.member("Sid"), place)
    guard case .string(let effectText)? = members.member("Effect"), let effect = PolicyDocument.Effect(rawValue: effectText)
    else {
      throw PolicyProblem("Syntax errors in policy. The Effect of \(place) must be \"Allow\" or \"Deny\".")
    }
    let principals = try principals(members, effect, place)
    let (actions, actionsNegated) = try actions(members, place)
    let (resources, resourcesNegated) = try resources(members, place)
    var conditions: [PolicyCondition] = []
    if let node = members.member("Condition") {
      conditions = try ConditionParser(variables: variables).conditions(node, place)
    }
    return PolicyDocument.Statement(
      sid: sid, effect: effect, principals: principals, actions: actions, actionsNegated: actionsNegated,
      resources: resources, resourcesNegated: resourcesNegated, conditions: conditions)
  }

  private func sid(_ node: JSONNode?, _ place: String) throws(PolicyProblem) -> String? {
    guard let node else { return nil }
    guard case .string(let sid) = node else {
      throw PolicyProblem("Syntax errors in policy. The Sid of \(place) must be a string.")
    }
    // Services with resource policies of their own are laxer than IAM about statement ids.
    if kind != .resource, !sid.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber) }) {
      throw PolicyProblem(
        "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*")
    }
    return sid
  }

  /// A string, or a non-empty list of strings.
  private func strings(_ node: JSONNode, _ element: String, _ place: String) throws(PolicyProblem) -> [String] {
    switch node {
    case .string(let text): return [text]
    case .array(let nodes):
      var out: [String] = []
      for node in nodes {
        guard case .string(let text) = node else {
          throw PolicyProblem("Syntax errors in policy. \(element) of \(place) must hold strings, but has \(node.kind).")
        }
        out.append(text)
      }
      guard !out.isEmpty else {
        throw PolicyProblem("Syntax errors in policy. \(element) of \(place) must not be an empty list.")
      }
      return out
    default:
      throw PolicyProblem("Syntax errors in policy. \(element) of \(place) must be a string or a list, but is \(node.kind).")
    }
  }

  /// The one of two elements that exclude each other; nil when both are absent.
  private func either(
    _ members: [(name: String, value: JSONNode)], _ plain: String, _ negated: String, _ place: String
  ) throws(PolicyProblem) -> (node: JSONNode, negated: Bool)? {
    switch (members.member(plain), members.member(negated)) {
    case (nil, nil): return nil
    case (let node?, nil): return (node, false)
    case (nil, let node?): return (node, true)
    case (_?, _?): throw PolicyProblem("Syntax errors in policy. \(place) has both \(plain) and \(negated).")
    }
  }

  private func actions(
    _ members: [(name: String, value: JSONNode)], _ place: String
  ) throws(PolicyProblem) -> ([ActionPattern], Bool) {
    guard let found = try either(members, "Action", "NotAction", place) else {
      throw PolicyProblem("Policy statement must contain actions. (\(place))")
    }
    let texts = try strings(found.node, found.negated ? "NotAction" : "Action", place)
    for text in texts {
      let parts = text.split(separator: ":", omittingEmptySubsequences: false)
      if kind == .trust {
        guard parts.count == 2, parts[0].lowercased() == "sts" else {
          throw PolicyProblem("AssumeRole policy may only specify STS AssumeRole actions. (\"\(text)\" in \(place))")
        }
      }
      if text == "*" { continue }
      guard parts.count == 2, !parts[0].isEmpty, parts[0].allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") })
      else {
        throw PolicyProblem(
          "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc. (\"\(text)\" in \(place))")
      }
      guard !parts[1].isEmpty, parts[1].allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "*?-_".contains($0)) }) else {
        throw PolicyProblem("The action \"\(text)\" in \(place) is not an action name.")
      }
    }
    return (texts.map(ActionPattern.init), found.negated)
  }

  private func resources(
    _ members: [(name: String, value: JSONNode)], _ place: String
  ) throws(PolicyProblem) -> ([PolicyTemplate], Bool) {
    let found = try either(members, "Resource", "NotResource", place)
    if kind == .trust {
      guard found == nil else { throw PolicyProblem("Has prohibited field Resource. (\(place))") }
      return ([], false)
    }
    guard let found else { throw PolicyProblem("Policy statement must contain resources. (\(place))") }
    var out: [PolicyTemplate] = []
    for text in try strings(found.node, found.negated ? "NotResource" : "Resource", place) {
      guard text == "*" || isARNPattern(text) else {
        throw PolicyProblem("Resource \(text) must be in ARN format or \"*\". (\(place))")
      }
      out.append(try PolicyTemplate(text, variables: variables))
    }
    return (out, found.negated)
  }

  /// Six parts beginning with `arn`; a trailing star may stand for the rest.
  private func isARNPattern(_ text: String) -> Bool {
    // A variable may hold colons (`${aws:username}`), so it must not be counted as a separator.
    var bare = ""
    var inVariable = false
    for character in text {
      if character == "{" {
        inVariable = true
      } else if character == "}" {
        inVariable = false
      } else if !inVariable {
        bare.append(character)
      }
    }
    let parts = bare.split(separator: ":", maxSplits: 5, omittingEmptySubsequences: false)
    guard let first = parts.first, first == "arn" || first == "arn*" else { return false }
    return parts.count == 6 || parts.last?.last == "*"
  }

  private func principals(
    _ members: [(name: String, value: JSONNode)], _ effect: PolicyDocument.Effect, _ place: String
  ) throws(PolicyProblem) -> PolicyDocument.PrincipalSet? {
    let found = try either(members, "Principal", "NotPrincipal", place)
    if kind == .identity {
      guard found == nil else { throw PolicyProblem("Policy document should not specify a principal. (\(place))") }
      return nil
    }
    guard let found else { throw PolicyProblem("Missing required field Principal. (\(place))") }
    if found.negated, effect == .allow, kind == .trust {
      throw PolicyProblem("Allow with NotPrincipal is not allowed in a trust policy: it would let anyone else in. (\(place))")
    }
    return PolicyDocument.PrincipalSet(
      members: try PrincipalParser.members(found.node, place) { (node, name) throws(PolicyProblem) in
        try strings(node, name, place)
      }, negated: found.negated)
  }
}

extension [(name: String, value: JSONNode)] {
  /// The member with exactly this name.
  func member(_ name: String) -> JSONNode? { first { $0.name == name }?.value }
}
