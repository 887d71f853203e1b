import Ports
import RegionKit
import RegionStore
import WireModel

/// The handlers of EC2's operations; one file per noun in this folder.
struct EC2Operations: EC2API {
  let world: InstanceWorld
  let random: any Randomness

  var store: any RegionStore { world.store }

  func filters(_ wire: [Obj<Filter>]?) -> [ResourceFilter] {
    (wire ?? []).map { ResourceFilter(name: $0[.name] ?? "", values: $0[.values] ?? []) }
  }

  /// What a page token is bound to.
  func binding(_ call: Call, _ filters: [ResourceFilter]) -> String {
    "\(call.operation)|\(call.scope)|" + filters.map { "\($0.name)=\($0.values.joined(separator: ","))" }.joined(separator: "&")
  }

  func wireTags(_ tags: [String: String]) -> [Obj<Tag>] {
    tags.sorted { $0.key < $1.key }.map { key, value in
      Obj {
        $0[.key] = key
        $0[.value] = value
      }
    }
  }

  /// Tags given for a kind of resource at its creation.
  func tags(_ specifications: [Obj<TagSpecification>]?, for kind: ResourceKind, allowing others: Set<ResourceKind> = []) throws
    -> [String: String]
  {
    var out: [String: String] = [:]
    for specification in specifications ?? [] {
      let type = specification[.resourceType]?.rawValue ?? ""
      guard let named = ResourceKind(rawValue: type), named == kind || others.contains(named) else {
        throw AWSError(
          "InvalidParameterValue", "'\(type)' is not a valid taggable resource type for this operation here. Use '\(kind.rawValue)'.")
      }
      if named == kind { out.merge(try TagRules.checked(specification[.tags] ?? [])) { $1 } }
    }
    return out
  }

  /// All the instances named, in the order named; the first unknown one is an error, as in EC2.
  func instances(_ ids: [String], in scope: Scope) async throws -> [Stored<InstanceRecord>] {
    var out: [Stored<InstanceRecord>] = []
    for id in ids {
      guard id.hasPrefix("i-"), id.utf8.count == 10 || id.utf8.count == 19, id.dropFirst(2).allSatisfy(\.isHexDigit) else {
        throw AWSError("InvalidInstanceID.Malformed", "Invalid id: \"\(id)\" (expecting \"i-...\")")
      }
      guard let stored = try await store.get(InstanceRecord.self, in: scope, id: id) else {
        throw AWSError("InvalidInstanceID.NotFound", "The instance ID '\(id)' does not exist")
      }
      out.append(stored)
    }
    return out
  }

  func wireState(_ state: LifeState) -> Obj<InstanceState> {
    Obj {
      $0[.code] = state.code
      $0[.name] = InstanceStateName(rawValue: state.rawValue)
    }
  }

  func stateChange(_ id: String, from previous: LifeState, to current: LifeState) -> Obj<InstanceStateChange> {
    Obj {
      $0[.instanceId] = id
      $0[.previousState] = wireState(previous)
      $0[.currentState] = wireState(current)
    }
  }
}

/// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
enum TagRules {
  static func checked(_ tags: [Obj<Tag>]) throws -> [String: String] {
    var out: [String: String] = [:]
    for tag in tags {
      let key = tag[.key] ?? ""
      let value = tag[.value] ?? ""
      guard !key.isEmpty else { throw AWSError("InvalidParameterValue", "Tag key cannot be empty.") }
      guard key.count <= 127 else {
        throw AWSError("InvalidParameterValue", "Tag key exceeds the maximum length of 127 characters: \(key)")
      }
      guard value.count <= 255 else {
        throw AWSError("InvalidParameterValue", "Tag value of '\(key)' exceeds the maximum length of 255 characters.")
      }
      guard !key.lowercased().hasPrefix("aws:") else {
        throw AWSError("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use: \(key)")
      }
      out[key] = value
    }
    return try bounded(out)
  }

  static func bounded(_ tags: [String: String]) throws -> [String: String] {
    guard tags.filter({ !$0.key.hasPrefix("aws:") }).count <= 50 else {
      throw AWSError("TagLimitExceeded", "A resource can have at most 50 tags.")
    }
    return tags
  }
}
