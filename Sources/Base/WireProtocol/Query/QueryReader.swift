import FoundationEssentials
import WireModel

/// Form parameters to shapes: the requests of query and ec2.
struct QueryReader {
  let model: ServiceModel
  /// EC2 flattens every list, and capitalises names.
  let ec2: Bool

  func structure(_ node: FormNode, _ shape: Shape) throws -> [String: WireValue] {
    var out: [String: WireValue] = [:]
    for member in shape.members {
      let found = try located(member.name) { try self.member(member, of: node) }
      if let found { out[member.name] = found }
    }
    if shape.isUnion, out.count > 1 { throw WireProblem("the union \(shape.name) has \(out.count) members set where one is due") }
    return out
  }

  /// The parameter that a path of member names, positions and keys stands for: `NetworkInterface.1.SubnetId`.
  func parameter(_ path: [String], of shape: Shape) -> String {
    var out: [String] = []
    var at: Shape? = shape
    for step in path {
      if let here = at, here.kind == .structure, let member = here.member(step) {
        out.append(name(member))
        at = model.shape(member)
      } else {
        out.append(step)
        at = (at?.element ?? at?.value).map(model.shape)
      }
    }
    return out.joined(separator: ".")
  }

  private func name(_ member: Member) -> String {
    if ec2 {
      if let name = member.queryName { return name }
      guard let name = member.locationName else { return member.name }
      return name.prefix(1).uppercased() + name.dropFirst()
    }
    return member.locationName ?? member.name
  }

  private func member(_ member: Member, of node: FormNode) throws -> WireValue? {
    let shape = model.shape(member)
    let name = name(member)
    if let child = node[name] { return try value(child, member) }
    // Older EC2 clients capitalise a name that the model leaves alone.
    if ec2, member.queryName == nil, let child = node[name.prefix(1).uppercased() + name.dropFirst()] { return try value(child, member) }
    // A flattened list may go by the name of its element.
    if !ec2, shape.kind == .list, model.isFlattened(member), let other = shape.element.flatMap(\.locationName), let child = node[other] {
      return try value(child, member)
    }
    return nil
  }

  private func value(_ node: FormNode, _ member: Member) throws -> WireValue? {
    let shape = model.shape(member)
    switch shape.kind {
    case .structure: return .object(try structure(node, shape))
    case .list: return try list(node, member, shape)
    case .map: return try map(node, member, shape)
    default:
      guard let text = node.value else {
        if node.children.isEmpty { return nil }
        throw WireProblem("a group of parameters stands where a \(shape.kind.rawValue) is due")
      }
      return try ScalarText.parse(text, shape, model.timestampFormat(member) ?? .iso8601)
    }
  }

  private func list(_ node: FormNode, _ member: Member, _ shape: Shape) throws -> WireValue? {
    guard let element = shape.element else { return .list([]) }
    var items = node.numbered
    if !ec2, !model.isFlattened(member) {
      let wrapper = node[element.locationName ?? "member"] ?? node["member"]
      items = wrapper?.numbered ?? items
    }
    // `Tags=` is an empty list; any other text in its place is a mistake.
    if items.isEmpty, let text = node.value, !text.isEmpty { throw WireProblem("a text stands where a list is due") }
    return .list(try items.enumerated().compactMap { i, item in try located(String(i + 1)) { try value(item, element) } })
  }

  private func map(_ node: FormNode, _ member: Member, _ shape: Shape) throws -> WireValue? {
    guard let keyMember = shape.key, let valueMember = shape.value else { return .object([:]) }
    let entries = model.isFlattened(member) ? node.numbered : node["entry"]?.numbered ?? []
    var out: [String: WireValue] = [:]
    for entry in entries {
      guard let key = entry[keyMember.locationName ?? "key"]?.value else { throw WireProblem("a map entry has no key") }
      let item = entry[valueMember.locationName ?? "value"]
      out[key] = try located(key) { try item.flatMap { try value($0, valueMember) } }
    }
    return .object(out)
  }
}
