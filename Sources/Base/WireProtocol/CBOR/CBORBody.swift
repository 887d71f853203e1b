import FoundationEssentials
import WireModel

/// CBOR items to and from shapes: the bodies of smithy-rpc-v2-cbor.
struct CBORBody {
  let model: ServiceModel

  func structure(_ item: CBORValue, _ shape: Shape) throws -> [String: WireValue] {
    guard case .map(let entries) = item else { throw WireProblem("the CBOR value of \(shape.name) is not a map") }
    var out: [String: WireValue] = [:]
    let byName = Dictionary(entries, uniquingKeysWith: { _, last in last })
    for member in shape.members {
      guard let item = byName[member.locationName ?? member.name], item != .null else { continue }
      out[member.name] = try located(member.name) { try value(item, member) }
    }
    if shape.isUnion, out.count > 1 { throw WireProblem("the union \(shape.name) has \(out.count) members set where one is due") }
    return out
  }

  private func value(_ item: CBORValue, _ member: Member) throws -> WireValue {
    let shape = model.shape(member)
    switch (shape.kind, item) {
    case (_, .null): return .null
    case (.structure, _): return .object(try structure(item, shape))
    case (.list, .array(let items)):
      guard let element = shape.element else { return .list([]) }
      return .list(try items.enumerated().map { i, item in try located(String(i + 1)) { try value(item, element) } })
    case (.map, .map(let entries)):
      guard let valueMember = shape.value else { return .object([:]) }
      var out: [String: WireValue] = [:]
      for (name, item) in entries { out[name] = try located(name) { try value(item, valueMember) } }
      return .object(out)
    case (.string, .text(let text)): return .string(text)
    case (.boolean, .bool(let flag)): return .bool(flag)
    case (.integer, .int(let number)): return .int(try Numbers.fit(number, shape))
    case (.double, .int(let number)): return .double(Double(number))
    case (.double, .double(let number)): return .double(number)
    case (.blob, .bytes(let bytes)): return .blob(bytes)
    case (.timestamp, .tagged(1, .int(let seconds))): return try time(Double(seconds))
    case (.timestamp, .tagged(1, .double(let seconds))): return try time(seconds)
    case (.document, _): return try document(item)
    default: throw WireProblem("the CBOR value of \(shape.name) is not a \(shape.kind.rawValue)")
    }
  }

  private func time(_ seconds: Double) throws -> WireValue {
    guard let date = Timestamps.epoch(seconds) else { throw WireProblem("\(seconds) is not a time between the years 0 and 9999") }
    return .timestamp(date)
  }

  private func document(_ item: CBORValue) throws -> WireValue {
    switch item {
    case .null: .null
    case .bool(let flag): .bool(flag)
    case .int(let number): .int(number)
    case .double(let number): .double(number)
    case .bytes(let bytes): .blob(bytes)
    case .text(let text): .string(text)
    case .array(let items): .list(try items.map(document))
    case .map(let entries): .object(try Dictionary(entries.map { ($0.0, try document($0.1)) }, uniquingKeysWith: { _, b in b }))
    case .tagged(_, let item): try document(item)
    }
  }

  func item(_ values: [String: WireValue], _ shape: Shape) throws -> CBORValue {
    var out: [(String, CBORValue)] = []
    for member in shape.members {
      guard let value = values[member.name], !value.isNull else { continue }
      out.append((member.locationName ?? member.name, try located(member.name) { try item(value, member) }))
    }
    return .map(out)
  }

  private func item(_ value: WireValue, _ member: Member) throws -> CBORValue {
    let shape = model.shape(member)
    switch (shape.kind, value) {
    case (_, .null): return .null
    case (.structure, .object(let values)): return try item(values, shape)
    case (.list, .list(let values)):
      guard let element = shape.element else { return .array([]) }
      return .array(try values.map { try item($0, element) })
    case (.map, .object(let values)):
      guard let valueMember = shape.value else { return .map([]) }
      return .map(try values.sorted { $0.key < $1.key }.map { ($0.key, try item($0.value, valueMember)) })
    case (.string, .string(let text)): return .text(text)
    case (.boolean, .bool(let flag)): return .bool(flag)
    case (.integer, .int(let number)): return .int(number)
    case (.double, .int(let number)): return .double(Double(number))
    case (.double, .double(let number)): return .double(number)
    case (.blob, .blob(let bytes)): return .bytes(bytes)
    case (.timestamp, .timestamp(let date)):
      let seconds = (date.timeIntervalSince1970 * 1000).rounded() / 1000
      return .tagged(1, Int64(exactly: seconds).map { .int($0) } ?? .double(seconds))
    default: throw WireProblem("the value of \(shape.name) is not a \(shape.kind.rawValue)", path: [member.name])
    }
  }
}
