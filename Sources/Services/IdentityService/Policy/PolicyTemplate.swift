/// Text of a policy that may hold policy variables: `arn:aws:s3:::home/${aws:username}/*`, `${aws:PrincipalTag/team, 'none'}`.
enum PolicyTemplate: Hashable, Sendable {
  /// No variables: compiled once.
  case fixed(Glob, text: String)
  case parts([Part])

  enum Part: Hashable, Sendable {
    case literal([Glob.Piece])
    case variable(ConditionKey, fallback: String?)
  }

  /// Reads `text`. Variables are known only to policies of version 2012-10-17; before it `${…}` is plain text.
  /// Throws a sentence about what is wrong with a variable.
  init(_ text: String, variables: Bool) throws(PolicyProblem) {
    guard variables, text.contains("${") else {
      self = .fixed(Glob(text), text: text)
      return
    }
    var parts: [Part] = []
    var literal: [Glob.Piece] = []
    var rest = text[...]
    while let character = rest.first {
      guard rest.hasPrefix("${") else {
        switch character {
        case "*": literal.append(.run)
        case "?": literal.append(.one)
        default: literal += String(character).utf8.map { .byte($0) }
        }
        rest.removeFirst()
        continue
      }
      guard let end = rest.firstIndex(of: "}") else { throw PolicyProblem("the variable in \"\(text)\" has no closing brace") }
      let body = rest[rest.index(rest.startIndex, offsetBy: 2)..<end]
      rest = rest[rest.index(after: end)...]
      // ${*}, ${?} and ${$} are the characters themselves.
      if body == "*" || body == "?" || body == "$" {
        literal += body.utf8.map { .byte($0) }
        continue
      }
      parts.append(.literal(literal))
      literal = []
      parts.append(try Self.variable(body, in: text))
    }
    parts.append(.literal(literal))
    let variableCount = parts.count { if case .variable = $0 { true } else { false } }
    self = variableCount == 0 ? .fixed(Glob(pieces: literal), text: Self.plain(literal)) : .parts(parts)
  }

  private static func variable(_ body: Substring, in text: String) throws(PolicyProblem) -> Part {
    let halves = body.split(separator: ",", maxSplits: 1, omittingEmptySubsequences: false)
    let name = halves[0].trimmed
    // Only the part after a slash (a tag's key) may hold anything.
    let head = name.prefix { $0 != "/" }
    guard !head.isEmpty, head.allSatisfy({ $0.isASCII && !$0.isWhitespace && $0 != "$" && $0 != "{" }) else {
      throw PolicyProblem("\"${\(body)}\" in \"\(text)\" is not a policy variable")
    }
    guard halves.count == 2 else { return .variable(ConditionKey(name), fallback: nil) }
    let value = halves[1].trimmed
    guard value.count >= 2, value.hasPrefix("'"), value.hasSuffix("'") else {
      throw PolicyProblem("the default value in \"${\(body)}\" must stand in single quotes")
    }
    return .variable(ConditionKey(name), fallback: String(value.dropFirst().dropLast()))
  }

  /// The pattern with the request's values put in, as literal text; nil when a variable has no value, or more than one.
  func glob(in context: PolicyContext) -> Glob? {
    if case .fixed(let glob, _) = self { return glob }
    return pieces(in: context).map { Glob(pieces: $0) }
  }

  /// The text with the request's values put in and wildcards as they stand, for operators that compare whole strings.
  func plainText(in context: PolicyContext) -> String? {
    if case .fixed(_, let text) = self { return text }
    return pieces(in: context).map(Self.plain)
  }

  func pieces(in context: PolicyContext) -> [Glob.Piece]? {
    guard case .parts(let parts) = self else { return nil }
    var pieces: [Glob.Piece] = []
    for part in parts {
      switch part {
      case .literal(let literal): pieces += literal
      case .variable(let key, let fallback):
        guard let value = Self.value(of: key, in: context) ?? fallback else { return nil }
        pieces += value.utf8.map { .byte($0) }
      }
    }
    return pieces
  }

  private static func plain(_ pieces: [Glob.Piece]) -> String {
    String(
      decoding: pieces.map { piece -> UInt8 in
        switch piece {
        case .byte(let byte): byte
        case .one: UInt8(ascii: "?")
        case .run: UInt8(ascii: "*")
        }
      }, as: UTF8.self)
  }

  private static func value(of key: ConditionKey, in context: PolicyContext) -> String? {
    guard let values = context.values(for: key), values.count == 1 else { return nil }
    return values[0]
  }
}

extension Substring {
  /// Without ASCII blanks at both ends.
  var trimmed: String {
    var slice = self
    while let first = slice.first, first == " " || first == "\t" { slice.removeFirst() }
    while let last = slice.last, last == " " || last == "\t" { slice.removeLast() }
    return String(slice)
  }
}
