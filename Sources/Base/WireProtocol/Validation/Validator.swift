import FoundationEssentials
import RegionKit
import WireModel

/// Checks an input against the constraints of its shapes: required, length, range, pattern, enum. Gives AWS's own sentences.
struct Validator {
  let model: ServiceModel
  let patterns: PatternCache
  private(set) var failures: [ValidationFailure] = []
  /// A hostile input could break a constraint in each of many elements; beyond this many no more are collected.
  private let limit = 100

  init(model: ServiceModel, patterns: PatternCache) {
    self.model = model
    self.patterns = patterns
  }

  private struct Place {
    var names: [String] = []
    /// The path as AWS prints it: `tags.1.member.key`.
    var text = ""
    func member(_ name: String) -> Place {
      let low = name.prefix(1).lowercased() + name.dropFirst()
      return Place(names: names + [name], text: text.isEmpty ? low : text + "." + low)
    }
    func item(_ key: String) -> Place { Place(names: names + [key], text: text + "." + key + ".member") }
  }

  mutating func structure(_ values: [String: WireValue], _ shape: Shape) { structure(values, shape, Place()) }

  private mutating func structure(_ values: [String: WireValue], _ shape: Shape, _ place: Place) {
    for member in shape.members {
      guard failures.count < limit else { return }
      let value = values[member.name] ?? .null
      if value.isNull {
        guard shape.required.contains(member.name), !member.idempotencyToken else { continue }
        let place = place.member(member.name)
        fail(.required, place, model.shape(member), "Member must not be null", nil, "Value null at '\(place.text)'")
      } else {
        check(value, model.shape(member), place.member(member.name))
      }
    }
  }

  private mutating func check(_ value: WireValue, _ shape: Shape, _ place: Place) {
    guard failures.count < limit else { return }
    own(value, shape, place)
    switch (shape.kind, value) {
    case (.structure, .object(let values)): structure(values, shape, place)
    case (.list, .list(let items)):
      guard let element = shape.element.map(model.shape) else { return }
      if element.isScalar {
        elements(items, element, value, shape, place, "Member must satisfy constraint")
      } else {
        for (i, item) in items.enumerated() where !item.isNull { check(item, element, place.item(String(i + 1))) }
      }
    case (.map, .object(let entries)):
      let keys = entries.keys.sorted()
      if let key = shape.key.map(model.shape) {
        elements(keys.map { .string($0) }, key, value, shape, place, "Map keys must satisfy constraint")
      }
      guard let element = shape.value.map(model.shape) else { return }
      if element.isScalar {
        elements(keys.map { entries[$0] ?? .null }, element, value, shape, place, "Map value must satisfy constraint")
      } else {
        for key in keys { if let item = entries[key], !item.isNull { check(item, element, place.item(key)) } }
      }
    default: break
    }
  }

  /// A collection of scalars fails as one, and names all that is asked of its elements.
  private mutating func elements(
    _ items: [WireValue], _ element: Shape, _ whole: WireValue, _ shape: Shape, _ place: Place, _ lead: String
  ) {
    for (i, item) in items.enumerated() where !item.isNull {
      guard let broken = broken(item, element).first else { continue }
      let all = constraints(element).joined(separator: ", ")
      var inner = place
      inner.names.append(String(i + 1))
      let secret = element.sensitive || shape.sensitive
      fail(broken.0, inner, element, "\(lead): [\(all)]", secret ? nil : Self.text(item), subject(whole, secret, place))
      return
    }
  }

  private mutating func own(_ value: WireValue, _ shape: Shape, _ place: Place) {
    for (kind, constraint) in broken(value, shape) {
      fail(kind, place, shape, constraint, shape.sensitive ? nil : Self.text(value), subject(value, shape.sensitive, place))
    }
  }

  private mutating func fail(
    _ kind: ValidationFailure.Kind, _ place: Place, _ shape: Shape, _ constraint: String, _ value: String?, _ subject: String
  ) {
    failures.append(
      ValidationFailure(
        kind: kind, path: place.names, shapeName: shape.name, constraint: constraint, subject: subject, value: value))
  }

  private func subject(_ value: WireValue, _ sensitive: Bool, _ place: Place) -> String {
    sensitive ? "Value at '\(place.text)'" : "Value '\(Self.text(value))' at '\(place.text)'"
  }

  // MARK: One shape

  private func broken(_ value: WireValue, _ shape: Shape) -> [(ValidationFailure.Kind, String)] {
    var out: [(ValidationFailure.Kind, String)] = []
    switch value {
    case .int(let number): range(Double(number), shape, &out)
    case .double(let number): range(number, shape, &out)
    case .string(let text):
      length(text.utf16.count, shape, &out)
      // A text that is too long is not matched as well: matching may cost time.
      if let pattern = shape.pattern, out.isEmpty || text.utf8.count < 4096, patterns.matches(text, pattern) == false {
        out.append((.pattern, Self.constraint(pattern: pattern)))
      }
      if !shape.enumValues.isEmpty, !shape.enumValues.contains(text) {
        out.append((.enumeration, Self.constraint(values: shape.enumValues)))
      }
    case .blob(let bytes): length(bytes.count, shape, &out)
    case .list(let items): length(items.count, shape, &out)
    case .object(let entries) where shape.kind == .map: length(entries.count, shape, &out)
    default: break
    }
    return out
  }

  private func length(_ count: Int, _ shape: Shape, _ out: inout [(ValidationFailure.Kind, String)]) {
    if let max = shape.max, Double(count) > max { out.append((.length, Self.constraint("length less", max))) }
    if let min = shape.min, Double(count) < min { out.append((.length, Self.constraint("length greater", min))) }
  }

  private func range(_ number: Double, _ shape: Shape, _ out: inout [(ValidationFailure.Kind, String)]) {
    if let max = shape.max, !(number <= max) { out.append((.range, Self.constraint("value less", max))) }
    if let min = shape.min, !(number >= min) { out.append((.range, Self.constraint("value greater", min))) }
  }

  private func constraints(_ shape: Shape) -> [String] {
    var out: [String] = []
    let what = shape.kind == .integer || shape.kind == .double ? "value" : "length"
    if let max = shape.max { out.append(Self.constraint("\(what) less", max)) }
    if let min = shape.min { out.append(Self.constraint("\(what) greater", min)) }
    if let pattern = shape.pattern { out.append(Self.constraint(pattern: pattern)) }
    if !shape.enumValues.isEmpty { out.append(Self.constraint(values: shape.enumValues)) }
    return out
  }

  private static func constraint(_ what: String, _ bound: Double) -> String {
    "Member must have \(what) than or equal to \(Numbers.text(bound))"
  }
  private static func constraint(pattern: String) -> String { "Member must satisfy regular expression pattern: \(pattern)" }
  private static func constraint(values: [String]) -> String {
    "Member must satisfy enum value set: [\(values.joined(separator: ", "))]"
  }

  /// A value as AWS prints it; long ones are cut.
  private static func text(_ value: WireValue) -> String {
    let whole: String
    switch value {
    case .list(let items): whole = "[" + items.prefix(50).map(text).joined(separator: ", ") + "]"
    case .object(let entries):
      let sorted = entries.sorted { $0.key < $1.key }.prefix(50)
      whole = "{" + sorted.map { "\($0.key)=\(text($0.value))" }.joined(separator: ", ") + "}"
    case .string(let text): whole = text
    case .int(let number): whole = String(number)
    case .double(let number): whole = Numbers.text(number)
    case .bool(let flag): whole = flag ? "true" : "false"
    case .timestamp(let date): whole = Timestamps.format(date, .iso8601)
    case .blob(let bytes): whole = "\(bytes.count) bytes"
    case .stream, .null: whole = ""
    }
    return whole.utf8.count <= 1024 ? whole : whole.prefix(1000) + "…"
  }
}

extension Shape {
  fileprivate var isScalar: Bool { kind != .structure && kind != .list && kind != .map && kind != .document }
}
