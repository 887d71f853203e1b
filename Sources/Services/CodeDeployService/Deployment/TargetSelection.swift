import Ports
import RegionKit

/// A host that a deployment group means.
struct SelectedHost: Hashable, Sendable {
  var id: String
  var onPremises: Bool
  var zone: String
  /// EC2's state name; `running` for on-premises instances.
  var state: String
}

extension TagCondition {
  /// Whether one of the tags satisfies the condition.
  func matches(_ tags: [String: String]) -> Bool {
    switch type {
    case "KEY_ONLY": key.map { tags[$0] != nil } ?? false
    case "VALUE_ONLY": value.map { tags.values.contains($0) } ?? false
    default: key.map { tags[$0] == (value ?? "") } ?? false
    }
  }

  /// As it reads in a message.
  var text: String {
    switch type {
    case "KEY_ONLY": "tag \(key ?? "")"
    case "VALUE_ONLY": "tag value \(value ?? "")"
    default: "\(key ?? "")=\(value ?? "")"
    }
  }
}

extension TargetSelection {
  var isEmpty: Bool {
    ec2Filters.isEmpty && ec2TagSet.isEmpty && onPremisesFilters.isEmpty && onPremisesTagSet.isEmpty && autoScalingGroups.isEmpty
  }

  func matchesEC2(_ tags: [String: String]) -> Bool {
    if ec2Filters.contains(where: { $0.matches(tags) }) { return true }
    if Self.all(ec2TagSet, match: tags) { return true }
    guard let group = tags["aws:autoscaling:groupName"] else { return false }
    return autoScalingGroups.contains(group)
  }

  func matchesOnPremises(_ tags: [String: String]) -> Bool {
    onPremisesFilters.contains { $0.matches(tags) } || Self.all(onPremisesTagSet, match: tags)
  }

  /// One condition of every list; an empty set matches nothing.
  private static func all(_ set: [[TagCondition]], match tags: [String: String]) -> Bool {
    !set.isEmpty && set.allSatisfy { list in list.contains { $0.matches(tags) } }
  }

  /// The hosts among what EC2 and the on-premises register hold. Terminated instances are none; stopped ones are.
  func select(from instances: [Ports.InstanceSummary], _ onPremises: [OnPremisesRecord]) -> [SelectedHost] {
    let gone: Set<String> = ["shutting-down", "terminated"]
    let ec2 = instances.filter { !gone.contains($0.state) && matchesEC2($0.tags) }.map {
      SelectedHost(id: $0.instanceId, onPremises: false, zone: $0.availabilityZone, state: $0.state)
    }
    let own = onPremises.filter { $0.isRegistered && matchesOnPremises($0.tags) }.map {
      SelectedHost(id: $0.name, onPremises: true, zone: "on-premises", state: "running")
    }
    return ec2 + own
  }

  /// What was looked for, for a message that says that nothing was found.
  var text: String {
    var parts: [String] = []
    if !ec2Filters.isEmpty { parts.append("EC2 instances with " + ec2Filters.map(\.text).joined(separator: " or ")) }
    if !ec2TagSet.isEmpty { parts.append("EC2 instances with " + Self.text(ec2TagSet)) }
    if !onPremisesFilters.isEmpty {
      parts.append("on-premises instances with " + onPremisesFilters.map(\.text).joined(separator: " or "))
    }
    if !onPremisesTagSet.isEmpty { parts.append("on-premises instances with " + Self.text(onPremisesTagSet)) }
    if !autoScalingGroups.isEmpty { parts.append("members of " + autoScalingGroups.joined(separator: ", ")) }
    return parts.isEmpty ? "nothing: the group has no tag filters" : parts.joined(separator: "; ")
  }

  private static func text(_ set: [[TagCondition]]) -> String {
    set.map { "(" + $0.map(\.text).joined(separator: " or ") + ")" }.joined(separator: " and ")
  }
}
