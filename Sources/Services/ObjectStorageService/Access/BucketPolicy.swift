import RegionKit
import WireModel

/// A bucket policy as text that was read: what PutBucketPolicy checks, and whether it is public. Identity decides with the text
/// itself.
struct BucketPolicy: Sendable {
  private struct Statement: Sendable {
    var allows: Bool
    var principal: JSONValue?
    var notPrincipal: JSONValue?
    var condition: JSONValue?
  }
  private let statements: [Statement]
  /// AWS's limit, in bytes.
  static let limit = 20_480

  /// Checks what S3 checks before it stores a policy. Throws MalformedPolicy with the rule that is broken.
  init(_ text: String, for bucket: BucketRecord? = nil) throws {
    guard text.utf8.count <= Self.limit else {
      throw Self.malformed("Policy is larger than the \(Self.limit) bytes allowed")
    }
    let document: JSONValue
    do {
      document = try JSONReader.read(text)
    } catch {
      throw Self.malformed("This policy contains invalid Json: \(error)")
    }
    guard document.asObject != nil else { throw Self.malformed("Policies must be valid JSON and the first byte must be '{'") }
    if let version = document["Version"] {
      guard let version = version.asString, ["2012-10-17", "2008-10-17"].contains(version) else {
        throw Self.malformed("The policy must contain a valid version string")
      }
    }
    let list: [JSONValue]
    switch document["Statement"] {
    case .array(let entries)?: list = entries
    case .object(let members)?: list = [.object(members)]
    default: throw Self.malformed("Missing required field Statement")
    }
    guard !list.isEmpty else { throw Self.malformed("Could not parse the policy: Statement is empty!") }
    statements = try list.map { try Self.statement($0, bucket) }
  }

  private static func statement(_ json: JSONValue, _ bucket: BucketRecord?) throws -> Statement {
    guard json.asObject != nil else { throw malformed("Statement is not an object") }
    guard let effect = json["Effect"]?.asString else { throw malformed("Missing required field Effect") }
    guard effect == "Allow" || effect == "Deny" else { throw malformed("Invalid effect: \(effect)") }
    let principal = json["Principal"]
    let notPrincipal = json["NotPrincipal"]
    guard (principal == nil) != (notPrincipal == nil) else { throw malformed("Missing required field Principal") }
    guard isPrincipal(principal ?? notPrincipal) else { throw malformed("Invalid principal in policy") }
    let actions = strings(json["Action"]) ?? strings(json["NotAction"])
    guard let actions, !actions.isEmpty else { throw malformed("Missing required field Action") }
    guard actions.allSatisfy({ $0 == "*" || $0.lowercased().hasPrefix("s3:") }) else {
      throw malformed("Policy has invalid action")
    }
    guard let resources = strings(json["Resource"]) ?? strings(json["NotResource"]), !resources.isEmpty else {
      throw malformed("Missing required field Resource")
    }
    if let bucket {
      for resource in resources where !Self.concerns(resource, bucket) {
        throw AWSError(
          "MalformedPolicy", "Policy has invalid resource", status: 400, fields: ["Detail": resource])
      }
    }
    if let condition = json["Condition"], condition.asObject == nil { throw malformed("Invalid Condition") }
    return Statement(
      allows: effect == "Allow", principal: principal, notPrincipal: notPrincipal, condition: json["Condition"])
  }

  /// A resource of a bucket policy is this bucket or keys of it; wildcards may stand anywhere behind the name's place.
  private static func concerns(_ resource: String, _ bucket: BucketRecord) -> Bool {
    if resource == "*" { return true }
    guard resource.hasPrefix("arn:aws:s3:::") else { return false }
    let name = resource.dropFirst("arn:aws:s3:::".count).prefix { $0 != "/" }
    if name.contains("*") || name.contains("?") { return Glob.matches(Array(name.utf8), Array(bucket.name.utf8)) }
    return name == bucket.name
  }

  private static func isPrincipal(_ json: JSONValue?) -> Bool {
    switch json {
    case .string(let text)?: return text == "*"
    case .object(let members)?:
      return !members.isEmpty
        && members.allSatisfy { member in
          guard ["AWS", "Service", "Federated", "CanonicalUser"].contains(member.name), let list = strings(member.value) else {
            return false
          }
          return !list.isEmpty && (member.name != "AWS" || list.allSatisfy(isAWSPrincipal))
        }
    default: return false
    }
  }

  private static func isAWSPrincipal(_ text: String) -> Bool {
    text == "*" || AccountID(text).isWellFormed || ARN(text).map { $0.service == "iam" || $0.service == "sts" } ?? false
      || text.hasPrefix("AROA") || text.hasPrefix("AIDA")
  }

  /// Public as S3 defines it ("The meaning of public"): an Allow for everybody that no condition narrows to fixed accounts,
  /// addresses, networks or sources.
  var isPublic: Bool { statements.contains { $0.allows && Self.isEverybody($0) && !Self.isNarrowed($0.condition) } }

  private static func isEverybody(_ statement: Statement) -> Bool {
    guard let principal = statement.principal else { return true }
    if principal.asString == "*" { return true }
    return strings(principal["AWS"])?.contains("*") ?? false
  }

  private static let narrowing: Set<String> = [
    "aws:sourcearn", "aws:sourcevpc", "aws:sourcevpce", "aws:sourceowner", "aws:sourceaccount",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "aws:userid", "s3:dataaccesspointarn", "s3:dataaccesspointaccount", "aws:principalorgid", "aws:principalorgpaths",
    "aws:principalaccount", "aws:principalarn", "aws:sourceip",
  ]

  private static func isNarrowed(_ condition: JSONValue?) -> Bool {
    (condition?.asObject ?? []).contains { block in
      guard ["StringEquals", "StringLike", "ArnEquals", "ArnLike", "IpAddress", "StringEqualsIgnoreCase"].contains(block.name)
      else { return false }
      return (block.value.asObject ?? []).contains { test in
        let values = strings(test.value) ?? []
        guard narrowing.contains(test.name.lowercased()), !values.isEmpty else { return false }
        if test.name.lowercased() == "aws:sourceip" { return !values.contains { $0.hasSuffix("/0") } }
        return !values.contains { $0.contains("*") || $0.contains("?") }
      }
    }
  }

  private static func strings(_ json: JSONValue?) -> [String]? {
    switch json {
    case .string(let text)?: return [text]
    case .array(let entries)?:
      let texts = entries.compactMap(\.asString)
      return texts.count == entries.count ? texts : nil
    default: return nil
    }
  }

  private static func malformed(_ message: String) -> AWSError { AWSError("MalformedPolicy", message, status: 400) }
}

/// `*` and `?` over bytes.
enum Glob {
  static func matches(_ pattern: [UInt8], _ text: [UInt8]) -> Bool {
    var p = 0
    var t = 0
    var star: (p: Int, t: Int)?
    while t < text.count {
      if p < pattern.count, pattern[p] == 0x3f || (pattern[p] == text[t] && pattern[p] != 0x2a) {
        p += 1
        t += 1
      } else if p < pattern.count, pattern[p] == 0x2a {
        star = (p, t)
        p += 1
      } else if let back = star {
        p = back.p + 1
        t = back.t + 1
        star = (back.p, t)
      } else {
        return false
      }
    }
    return pattern[p...].allSatisfy { $0 == 0x2a }
  }
}
