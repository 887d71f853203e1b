import FoundationEssentials
import WireModel

/// JSON values to and from shapes: the bodies of json 1.0, json 1.1 and rest-json.
struct JSONBody {
  let model: ServiceModel

  // MARK: Reading

  /// The members of a structure. `only` limits them to those that stand in the body (rest-json binds others elsewhere).
  func structure(_ json: JSONValue, _ shape: Shape, only: ((Member) -> Bool)? = nil) throws -> [String: WireValue] {
    guard case .object(let entries) = json else { throw found(json, "a structure") }
    var out: [String: WireValue] = [:]
    if entries.count > 8 {
      var byName: [String: JSONValue] = [:]
      for entry in entries { byName[entry.name] = entry.value }
      for member in shape.members where only?(member) ?? true {
        if let value = byName[member.locationName ?? member.name] { try read(value, member, into: &out) }
      }
    } else {
      for member in shape.members where only?(member) ?? true {
        let name = member.locationName ?? member.name
        if let value = entries.last(where: { $0.name == name })?.value { try read(value, member, into: &out) }
      }
    }
    if shape.isUnion { try checkUnion(out, entries, shape) }
    return out
  }

  private func read(_ json: JSONValue, _ member: Member, into out: inout [String: WireValue]) throws {
    if case .null = json { return }
    out[member.name] = try located(member.name) { try value(json, member) }
  }

  private func checkUnion(_ out: [String: WireValue], _ entries: [JSONMember], _ shape: Shape) throws {
    let set = entries.filter { $0.name != "__type" && $0.value != .null }
    guard set.count <= 1 else { throw WireProblem("the union \(shape.name) has \(set.count) members set where one is due") }
  }

  func value(_ json: JSONValue, _ member: Member) throws -> WireValue {
    let shape = model.shape(member)
    switch shape.kind {
    case .structure: return .object(try structure(json, shape))
    case .list:
      guard case .array(let values) = json else { throw found(json, "a list") }
      guard let element = shape.element else { return .list([]) }
      var out: [WireValue] = []
      out.reserveCapacity(values.count)
      for (i, item) in values.enumerated() { out.append(try located(String(i + 1)) { try sparse(item, element) }) }
      return .list(out)
    case .map:
      guard case .object(let entries) = json else { throw found(json, "a map") }
      guard let valueMember = shape.value else { return .object([:]) }
      var out: [String: WireValue] = [:]
      for entry in entries { out[entry.name] = try located(entry.name) { try sparse(entry.value, valueMember) } }
      return .object(out)
    case .document: return Self.document(json)
    default: return try scalar(json, shape, model.timestampFormat(member) ?? .epochSeconds)
    }
  }

  private func sparse(_ json: JSONValue, _ member: Member) throws -> WireValue {
    if case .null = json { .null } else { try value(json, member) }
  }

  private func scalar(_ json: JSONValue, _ shape: Shape, _ format: TimestampFormat) throws -> WireValue {
    switch (shape.kind, json) {
    case (.string, .string(let text)): return .string(text)
    case (.boolean, .bool(let flag)): return .bool(flag)
    case (.integer, .int(let number)): return .int(try Numbers.fit(number, shape))
    case (.integer, .double(let number)):
      guard let whole = Int64(exactly: number) else { throw WireProblem("\(number) is not a whole number") }
      return .int(try Numbers.fit(whole, shape))
    case (.double, .int(let number)): return .double(Double(number))
    case (.double, .double(let number)): return .double(number)
    case (.double, .string(let text)) where ["NaN", "Infinity", "-Infinity"].contains(text):
      return .double(Numbers.double(text) ?? .nan)
    case (.blob, .string(let text)):
      guard let bytes = Base64.decode(text) else { throw WireProblem("the value is not base64") }
      return .blob(bytes)
    case (.timestamp, .int(let number)):
      if let date = Timestamps.epoch(Double(number)) { return .timestamp(date) }
      throw WireProblem("\(number) is not a time between the years 0 and 9999")
    case (.timestamp, .double(let number)):
      if let date = Timestamps.epoch(number) { return .timestamp(date) }
      throw WireProblem("\(number) is not a time between the years 0 and 9999")
    case (.timestamp, .string(let text)):
      guard format != .epochSeconds else { throw found(json, "a time in epoch seconds") }
      guard let date = Timestamps.parse(text, format) else { throw WireProblem("'\(ScalarText.clip(text))' is not a time") }
      return .timestamp(date)
    default: throw found(json, shape.kind == .integer ? "a whole number" : "a value of type \(shape.kind.rawValue)")
    }
  }

  private func found(_ json: JSONValue, _ due: String) -> WireProblem {
    let what =
      switch json {
      case .null: "null"
      case .bool: "true or false"
      case .int, .double: "a number"
      case .string: "a string"
      case .array: "a list"
      case .object: "an object"
      }
    return WireProblem("\(what) stands where \(due) is due")
  }

  static func document(_ json: JSONValue) -> WireValue {
    switch json {
    case .null: .null
    case .bool(let flag): .bool(flag)
    case .int(let number): .int(number)
    case .double(let number): .double(number)
    case .string(let text): .string(text)
    case .array(let values): .list(values.map(document))
    case .object(let entries): .object(Dictionary(entries.map { ($0.name, document($0.value)) }, uniquingKeysWith: { _, b in b }))
    }
  }

  // MARK: Writing

  func json(_ values: [String: WireValue], _ shape: Shape, only: ((Member) -> Bool)? = nil) throws -> JSONValue {
    var out: [JSONMember] = []
    for member in shape.members where only?(member) ?? true {
      guard let value = values[member.name], !value.isNull else { continue }
      let name = member.locationName ?? member.name
      out.append(JSONMember(name, try located(member.name) { try json(value, member) }))
    }
    return .object(out)
  }

  func json(_ value: WireValue, _ member: Member) throws -> JSONValue {
    let shape = model.shape(member)
    switch (shape.kind, value) {
    case (_, .null): return .null
    case (.structure, .object(let values)): return try json(values, shape)
    case (.list, .list(let values)):
      guard let element = shape.element else { return .array([]) }
      return .array(try values.map { try json($0, element) })
    case (.map, .object(let values)):
      guard let valueMember = shape.value else { return .object([]) }
      return .object(try values.sorted { $0.key < $1.key }.map { JSONMember($0.key, try json($0.value, valueMember)) })
    case (.document, _): return try Self.json(document: value)
    case (.string, .string(let text)): return .string(text)
    case (.boolean, .bool(let flag)): return .bool(flag)
    case (.integer, .int(let number)): return .int(number)
    case (.double, .int(let number)): return .int(number)
    case (.double, .double(let number)): return .double(number)
    case (.blob, .blob(let bytes)): return .string(Base64.encode(bytes))
    case (.timestamp, .timestamp(let date)):
      let format = model.timestampFormat(member) ?? .epochSeconds
      guard format == .epochSeconds else { return .string(Timestamps.format(date, format)) }
      let seconds = (date.timeIntervalSince1970 * 1000).rounded() / 1000
      return Int64(exactly: seconds).map { .int($0) } ?? .double(seconds)
    default: throw WireProblem("the value of \(shape.name) is not a \(shape.kind.rawValue)", path: [member.name])
    }
  }

  static func json(document value: WireValue) throws -> JSONValue {
    switch value {
    case .null: .null
    case .bool(let flag): .bool(flag)
    case .int(let number): .int(number)
    case .double(let number): .double(number)
    case .string(let text): .string(text)
    case .blob(let bytes): .string(Base64.encode(bytes))
    case .timestamp(let date): .double(date.timeIntervalSince1970)
    case .list(let values): .array(try values.map(json(document:)))
    case .object(let values): .object(try values.sorted { $0.key < $1.key }.map { JSONMember($0.key, try json(document: $0.value)) })
    case .stream: throw WireProblem("a stream cannot stand in a document")
    }
  }
}
