/// Reads the value of `Principal` or `NotPrincipal`.
enum PrincipalParser {
  static func members(
    _ node: JSONNode, _ place: String, strings: (JSONNode, String) throws(PolicyProblem) -> [String]
  ) throws(PolicyProblem) -> [PrincipalPattern] {
    if case .string(let text) = node {
      guard text == "*" else {
        throw PolicyProblem("Invalid principal in policy: \"\(text)\" in \(place) names no kind of principal.")
      }
      return [.everyone]
    }
    guard case .object(let members) = node, !members.isEmpty else {
      throw PolicyProblem("Invalid principal in policy: it must be \"*\" or an object, but is \(node.kind) in \(place).")
    }
    var out: [PrincipalPattern] = []
    for (name, value) in members {
      for text in try strings(value, name) { out.append(try pattern(name, text, place)) }
    }
    return out
  }

  private static func pattern(_ kind: String, _ text: String, _ place: String) throws(PolicyProblem) -> PrincipalPattern {
    guard !text.isEmpty else { throw PolicyProblem("Invalid principal in policy: \"\(kind)\":\"\" in \(place).") }
    switch kind {
    case "AWS":
      return try aws(text, place)
    case "Service":
      guard text.contains("."), !text.contains("*") else {
        throw PolicyProblem(
          "Invalid principal in policy: \"SERVICE\":\"\(text)\" is not a service, e.g. codedeploy.amazonaws.com.")
      }
      return .service(text.asciiLowercased)
    case "Federated": return .federated(text)
    case "CanonicalUser": return .canonicalUser(text)
    default:
      throw PolicyProblem("Syntax errors in policy. Unknown kind of principal \"\(kind)\" in \(place).")
    }
  }

  private static func aws(_ text: String, _ place: String) throws(PolicyProblem) -> PrincipalPattern {
    if text == "*" { return .everyone }
    let bad = PolicyProblem("Invalid principal in policy: \"AWS\":\"\(text)\" (\(place))")
    if text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
      guard text.utf8.count == 12 else { throw bad }
      return .account(text)
    }
    if text.hasPrefix("arn:") {
      let parts = text.split(separator: ":", maxSplits: 5, omittingEmptySubsequences: false)
      guard parts.count == 6, parts[2] == "iam" || parts[2] == "sts", parts[3].isEmpty, parts[4].utf8.count == 12,
        !text.contains("*"), !text.contains("?"), parts[5] == "root" || parts[5].contains("/")
      else { throw bad }
      return parts[2] == "iam" && parts[5] == "root" ? .account(String(parts[4])) : .arn(text)
    }
    let idPrefixes = ["AIDA", "AROA", "AGPA", "ANPA"]
    guard idPrefixes.contains(where: text.hasPrefix), text.utf8.count >= 16 else { throw bad }
    return .uniqueId(text)
  }
}
