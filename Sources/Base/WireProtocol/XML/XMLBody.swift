import FoundationEssentials
import WireModel

/// XML elements to shapes: the request bodies of rest-xml.
struct XMLBodyReader {
  let model: ServiceModel

  /// The members of a structure. `only` limits them to those that stand in the body.
  func structure(_ element: XMLElement, _ shape: Shape, only: ((Member) -> Bool)? = nil) throws -> [String: WireValue] {
    var out: [String: WireValue] = [:]
    for member in shape.members where only?(member) ?? true {
      let found = try located(member.name) { try self.member(member, of: element) }
      if let found { out[member.name] = found }
    }
    if shape.isUnion, out.count > 1 { throw WireProblem("the union \(shape.name) has \(out.count) members set where one is due") }
    return out
  }

  private func member(_ member: Member, of element: XMLElement) throws -> WireValue? {
    let shape = model.shape(member)
    let name = member.locationName ?? member.name
    if member.xmlAttribute {
      guard let text = element.attribute(name) else { return nil }
      return try scalar(text, member, shape)
    }
    if model.isFlattened(member), shape.kind == .list || shape.kind == .map {
      var items = element.children(named: name)
      if items.isEmpty, let other = shape.element.flatMap(\.locationName) { items = element.children(named: other) }
      guard !items.isEmpty else { return nil }
      return shape.kind == .list ? try list(items, shape) : try map(items, shape)
    }
    guard let child = element.first(name) else { return nil }
    return try value(child, member)
  }

  func value(_ element: XMLElement, _ member: Member) throws -> WireValue {
    let shape = model.shape(member)
    switch shape.kind {
    case .structure: return .object(try structure(element, shape))
    case .list:
      let name = shape.element.flatMap(\.locationName) ?? "member"
      return try list(element.children(named: name), shape)
    case .map: return try map(element.children(named: "entry"), shape)
    default:
      guard element.children.isEmpty else { throw WireProblem("<\(element.name)> holds elements where a text is due") }
      return try scalar(element.text, member, shape)
    }
  }

  private func scalar(_ text: String, _ member: Member, _ shape: Shape) throws -> WireValue {
    let text = shape.kind == .string ? text : trimmed(text)
    return try ScalarText.parse(text, shape, model.timestampFormat(member) ?? .iso8601)
  }

  private func list(_ items: [XMLElement], _ shape: Shape) throws -> WireValue {
    guard let element = shape.element else { return .list([]) }
    return .list(try items.enumerated().map { i, item in try located(String(i + 1)) { try value(item, element) } })
  }

  private func map(_ entries: [XMLElement], _ shape: Shape) throws -> WireValue {
    guard let keyMember = shape.key, let valueMember = shape.value else { return .object([:]) }
    let keyName = keyMember.locationName ?? "key"
    let valueName = valueMember.locationName ?? "value"
    var out: [String: WireValue] = [:]
    for entry in entries {
      guard let key = entry.first(keyName)?.text else { throw WireProblem("a map entry has no <\(keyName)>") }
      guard let item = entry.first(valueName) else { throw WireProblem("the map entry '\(ScalarText.clip(key))' has no <\(valueName)>") }
      out[key] = try located(key) { try value(item, valueMember) }
    }
    return .object(out)
  }
}

/// Shapes to XML elements: the answers of query, ec2 and rest-xml.
struct XMLBodyWriter {
  let model: ServiceModel
  /// EC2 and S3 write `.000` for whole seconds.
  var millis = false
  /// REST answers declare the namespace of a structure's shape, query and EC2 only a member's own.
  var shapeNamespaces = false
  var writer = XMLWriter()

  /// `<name>` with the members of a structure. `namespace` wins over the shape's own.
  mutating func root(
    _ name: String, _ values: [String: WireValue], _ shape: Shape, namespace: XMLNamespace?, only: ((Member) -> Bool)? = nil
  ) throws {
    writer.open(name, try attributes(values, shape, namespace ?? shape.xmlNamespace))
    try members(values, shape, only: only)
    writer.close(name)
  }

  mutating func members(_ values: [String: WireValue], _ shape: Shape, only: ((Member) -> Bool)? = nil) throws {
    for member in shape.members where !member.xmlAttribute && (only?(member) ?? true) {
      guard let value = values[member.name], !value.isNull else { continue }
      do {
        try write(value, member, name: member.locationName ?? member.name)
      } catch let problem as WireProblem {
        throw problem.at(member.name)
      }
    }
  }

  private func attributes(
    _ values: [String: WireValue], _ shape: Shape, _ namespace: XMLNamespace?
  ) throws -> [(String, String)] {
    var out = declaration(namespace)
    for member in shape.members where member.xmlAttribute {
      guard let value = values[member.name], !value.isNull else { continue }
      let text = try ScalarText.write(value, model.shape(member), model.timestampFormat(member) ?? .iso8601)
      out.append((member.locationName ?? member.name, text))
    }
    return out
  }

  private func declaration(_ namespace: XMLNamespace?) -> [(String, String)] {
    guard let namespace else { return [] }
    return [(namespace.prefix.map { "xmlns:\($0)" } ?? "xmlns", namespace.uri)]
  }

  mutating func write(_ value: WireValue, _ member: Member, name: String) throws {
    let shape = model.shape(member)
    let namespace = member.xmlNamespace ?? (shapeNamespaces ? shape.xmlNamespace : nil)
    switch (shape.kind, value) {
    case (.structure, .object(let values)):
      writer.open(name, try attributes(values, shape, namespace))
      try members(values, shape)
      writer.close(name)
    case (.list, .list(let items)):
      guard let element = shape.element else { return }
      let flat = model.isFlattened(member)
      let itemName = flat ? name : element.locationName ?? "member"
      if !flat { writer.open(name, declaration(namespace)) }
      for item in items { try write(item, element, name: itemName) }
      if !flat { writer.close(name) }
    case (.map, .object(let entries)):
      guard let keyMember = shape.key, let valueMember = shape.value else { return }
      let flat = model.isFlattened(member)
      if !flat { writer.open(name, declaration(namespace)) }
      for (key, value) in entries.sorted(by: { $0.key < $1.key }) {
        writer.open(flat ? name : "entry", flat ? declaration(namespace) : [])
        try write(.string(key), keyMember, name: keyMember.locationName ?? "key")
        try write(value, valueMember, name: valueMember.locationName ?? "value")
        writer.close(flat ? name : "entry")
      }
      if !flat { writer.close(name) }
    case (.structure, _), (.list, _), (.map, _): throw WireProblem("the value of \(shape.name) is not a \(shape.kind.rawValue)")
    default:
      writer.open(name, declaration(namespace))
      writer.text(try ScalarText.write(value, shape, model.timestampFormat(member) ?? .iso8601, millis: millis))
      writer.close(name)
    }
  }
}
