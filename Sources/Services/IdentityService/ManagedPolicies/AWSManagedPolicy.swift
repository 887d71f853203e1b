import FoundationEssentials

/// One of AWS's own managed policies (`arn:aws:iam::aws:policy/…`), the same in every account. What each allows is written here
/// from its documentation; it is enforced as any other policy is.
struct AWSManagedPolicy: Sendable {
  let name: String
  /// `/`, `/service-role/`, `/job-function/` or `/aws-service-role/`.
  let path: String
  let description: String
  let document: String
  let version = "v1"

  var arn: String { "arn:aws:iam::aws:policy\(path)\(name)" }
  /// `ANPA` and seventeen characters that depend on nothing but the ARN.
  var id: String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".utf8)
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    var out: [UInt8] = []
    for _ in 0..<17 {
      for byte in arn.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
      out.append(alphabet[Int(hash >> 40 & 31)])
    }
    return "ANPA" + String(decoding: out, as: UTF8.self)
  }
  /// 2015-02-06, when AWS introduced managed policies.
  var created: Date { Date(timeIntervalSince1970: 1_423_245_240) }

  static let byARN = Dictionary(uniqueKeysWithValues: all.map { ($0.arn, $0) })

  /// One statement: what it allows, on what, under which condition (JSON text of an operator object).
  struct Rule: Sendable {
    var effect = "Allow"
    var element = "Action"
    var actions: [String]
    var resources = ["*"]
    var condition: String?
  }

  init(_ name: String, path: String = "/", _ description: String, _ rules: Rule...) {
    self.name = name
    self.path = path
    self.description = description
    func list(_ texts: [String]) -> String { "[" + texts.map { "\"\($0)\"" }.joined(separator: ",") + "]" }
    let statements = rules.map { rule in
      "{\"Effect\":\"\(rule.effect)\",\"\(rule.element)\":\(list(rule.actions)),\"Resource\":\(list(rule.resources))"
        + (rule.condition.map { ",\"Condition\":\($0)" } ?? "") + "}"
    }
    document = "{\"Version\":\"2012-10-17\",\"Statement\":[" + statements.joined(separator: ",") + "]}"
  }
}

extension AWSManagedPolicy.Rule {
  static func allow(
    _ service: String, _ actions: String..., on resources: [String] = ["*"], when condition: String? = nil
  ) -> AWSManagedPolicy.Rule {
    AWSManagedPolicy.Rule(actions: actions.map { "\(service):\($0)" }, resources: resources, condition: condition)
  }
  /// `iam:PassRole` to these services only.
  static func passRole(to services: String..., on resources: [String] = ["*"]) -> AWSManagedPolicy.Rule {
    let names = services.map { "\"\($0).amazonaws.com\"" }.joined(separator: ",")
    return .allow("iam", "PassRole", on: resources, when: "{\"StringEquals\":{\"iam:PassedToService\":[\(names)]}}")
  }
}
