import RegionKit

/// One filter of a Describe call: any of the values, `*` and `?` as wildcards, `\` escaping them.
/// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Filter.html
struct ResourceFilter: Sendable {
  let name: String
  let values: [String]

  /// `attributes` yields the resource's values under a filter name; nil means that the filter is not known for this resource.
  func matches(tags: [String: String], attributes: (String) -> [String]?) throws -> Bool {
    let found: [String]
    if name.hasPrefix("tag:") {
      found = tags[String(name.dropFirst(4))].map { [$0] } ?? []
    } else if name == "tag-key" {
      found = Array(tags.keys)
    } else if name == "tag-value" {
      found = Array(tags.values)
    } else if let known = attributes(name) {
      found = known
    } else {
      throw AWSError(
        "InvalidParameterValue",
        "The filter '\(name)' is invalid: this call does not know it. See the operation's documentation for its filters.")
    }
    return values.contains { pattern in found.contains { Wildcard.matches($0, pattern: pattern) } }
  }

  static func allMatch(
    _ filters: [ResourceFilter], tags: [String: String], attributes: (String) -> [String]?
  ) throws -> Bool {
    for filter in filters where try !filter.matches(tags: tags, attributes: attributes) { return false }
    return true
  }
}

enum Wildcard {
  /// Linear-time glob match over Unicode scalars.
  static func matches(_ text: String, pattern: String) -> Bool {
    enum Token: Equatable { case one(Unicode.Scalar), any, run }
    var tokens: [Token] = []
    var escaped = false
    for scalar in pattern.unicodeScalars {
      if escaped {
        tokens.append(.one(scalar))
        escaped = false
      } else if scalar == "\\" {
        escaped = true
      } else if scalar == "*" {
        if tokens.last != .run { tokens.append(.run) }
      } else {
        tokens.append(scalar == "?" ? .any : .one(scalar))
      }
    }
    if escaped { tokens.append(.one("\\")) }
    let letters = Array(text.unicodeScalars)
    var t = 0
    var p = 0
    var star: (token: Int, text: Int)?
    while t < letters.count {
      if p < tokens.count, tokens[p] == .run {
        star = (p, t)
        p += 1
      } else if p < tokens.count, tokens[p] == .any || tokens[p] == .one(letters[t]) {
        p += 1
        t += 1
      } else if let last = star {
        star = (last.token, last.text + 1)
        p = last.token + 1
        t = last.text + 1
      } else {
        return false
      }
    }
    return tokens[p...].allSatisfy { $0 == .run }
  }
}
