import RegionKit
import WireModel

/// The rules of names, tokens and lists, in CodeDeploy's own error codes.
enum Check {
  /// AWS's alphabet for application, group and configuration names: letters, digits, and `. _ + = , @ - `.
  static func isName(_ text: String) -> Bool {
    (1...100).contains(text.unicodeScalars.count) && text.unicodeScalars.allSatisfy { isNameScalar($0) }
  }
  private static func isNameScalar(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case "a"..."z", "A"..."Z", "0"..."9", ".", "_", "+", "=", ",", "@", "-": true
    default: false
    }
  }

  static func application(_ name: String?) throws -> String {
    guard let name, !name.isEmpty else { throw CodeDeployErrors.applicationNameRequiredException("applicationName is required.") }
    guard isName(name) else { throw CodeDeployErrors.invalidApplicationNameException(rule("application", name)) }
    return name
  }
  static func group(_ name: String?) throws -> String {
    guard let name, !name.isEmpty else { throw CodeDeployErrors.deploymentGroupNameRequiredException("deploymentGroupName is required.") }
    guard isName(name) else { throw CodeDeployErrors.invalidDeploymentGroupNameException(rule("deployment group", name)) }
    return name
  }
  static func config(_ name: String?) throws -> String {
    guard let name, !name.isEmpty else {
      throw CodeDeployErrors.deploymentConfigNameRequiredException("deploymentConfigName is required.")
    }
    guard isName(name) else { throw CodeDeployErrors.invalidDeploymentConfigNameException(rule("deployment configuration", name)) }
    return name
  }
  static func deploymentId(_ id: String?) throws -> String {
    guard let id, !id.isEmpty else { throw CodeDeployErrors.deploymentIdRequiredException("deploymentId is required.") }
    guard DeploymentID.isWellFormed(id) else {
      throw CodeDeployErrors.invalidDeploymentIdException("'\(id)' is no deployment id: those are d- and nine capital letters or digits.")
    }
    return id
  }
  static func instanceName(_ name: String?) throws -> String {
    guard let name, !name.isEmpty else { throw CodeDeployErrors.instanceNameRequiredException("instanceName is required.") }
    guard isName(name), !name.hasPrefix("i-") else {
      throw CodeDeployErrors.invalidInstanceNameException(
        "'\(name)' is no name for an on-premises instance: 1 to 100 letters, digits or . _ + = , @ -, and not beginning with i-.")
    }
    return name
  }
  static func description(_ text: String?) throws -> String? {
    guard let text else { return nil }
    guard text.utf8.count <= 256 else { throw CodeDeployErrors.descriptionTooLongException("The description is longer than 256 bytes.") }
    return text
  }
  private static func rule(_ thing: String, _ name: String) -> String {
    "'\(name)' is no name of the \(thing): 1 to 100 letters, digits or . _ + = , @ - are."
  }

  /// A batch as AWS limits it.
  static func batch<Element>(_ list: [Element], limit: Int, _ empty: ErrorCode, _ name: String) throws -> [Element] {
    guard !list.isEmpty else { throw empty("\(name) is empty.") }
    guard list.count <= limit else {
      throw CodeDeployErrors.batchLimitExceededException("\(name) has \(list.count) entries; at most \(limit) are allowed.")
    }
    return list
  }

  /// Tags as a dictionary; `aws:` keys are AWS's own.
  static func tags(_ list: [Obj<Tag>]) throws -> [String: String] {
    var tags: [String: String] = [:]
    for tag in list {
      guard let key = tag[.key], (1...128).contains(key.unicodeScalars.count), !key.hasPrefix("aws:") else {
        throw CodeDeployErrors.invalidTagsToAddException("A tag needs a key of 1 to 128 characters that does not begin with aws:.")
      }
      let value = tag[.value] ?? ""
      guard value.unicodeScalars.count <= 256 else {
        throw CodeDeployErrors.invalidTagsToAddException("The value of tag \(key) is longer than 256 characters.")
      }
      tags[key] = value
    }
    return tags
  }
  static func tagList(_ tags: [String: String]) -> [Obj<Tag>] {
    tags.sorted { $0.key < $1.key }.map { key, value in
      Obj {
        $0[.key] = key
        $0[.value] = value
      }
    }
  }
}

/// One page of a listing that is in memory, in the order given.
struct Page<Element> {
  var elements: [Element]
  /// Nil on the last page; AWS omits an empty token.
  var nextToken: String?

  /// `key` is unique. `binding` names operation and filters, so that a token of another listing is refused.
  init(_ all: [Element], token: String?, binding: String, size: Int = 100, key: (Element) -> String) throws {
    var start = 0
    if let token, !token.isEmpty {
      guard let after = PageToken(token, binding: binding)?.after, let index = all.firstIndex(where: { key($0) == after }) else {
        throw CodeDeployErrors.invalidNextTokenException("The nextToken was not given out by this listing, or what it points to is gone.")
      }
      start = index + 1
    }
    elements = Array(all.dropFirst(start).prefix(size))
    let isMore = start + elements.count < all.count
    nextToken = isMore ? elements.last.map { PageToken(after: key($0)).encoded(binding: binding) } : nil
  }
}
