import FoundationEssentials
import RegionKit
import WireModel

/// The parts of a REST request that stand outside the body: labels, query string, headers.
struct RestInput {
  let model: ServiceModel

  func bindings(_ request: WireRequest, _ labels: [String: String], _ shape: Shape) throws -> [String: WireValue] {
    var out: [String: WireValue] = [:]
    let query = try PercentCoding.pairs(request.query)
    for member in shape.members {
      let found = try located(member.name) { try binding(member, request, labels, query) }
      if let found { out[member.name] = found }
    }
    return out
  }

  private func binding(
    _ member: Member, _ request: WireRequest, _ labels: [String: String], _ query: [(String, String)]
  ) throws -> WireValue? {
    let shape = model.shape(member)
    let name = member.locationName ?? member.name
    switch member.location {
    case .uri:
      guard let text = labels[name] else { return nil }
      return try ScalarText.parse(text, shape, model.timestampFormat(member) ?? .iso8601)
    case .querystring: return try queryValue(member, shape, name, query)
    case .header:
      let values = request.headers.filter { equalIgnoringCase($0.0, name) }.map(\.1)
      return values.isEmpty ? nil : try header(values.joined(separator: ","), member, shape)
    case .headers:
      var out: [String: WireValue] = [:]
      for (key, value) in request.headers where hasPrefixIgnoringCase(key, name) {
        out[String(key.dropFirst(name.count))] = .string(value)
      }
      return out.isEmpty ? nil : .object(out)
    case .body, .statusCode: return nil
    }
  }

  private func queryValue(_ member: Member, _ shape: Shape, _ name: String, _ query: [(String, String)]) throws -> WireValue? {
    let format = model.timestampFormat(member) ?? .iso8601
    switch shape.kind {
    case .list:
      guard let element = shape.element else { return nil }
      let texts = query.filter { $0.0 == name }.map(\.1)
      guard !texts.isEmpty else { return nil }
      let elementFormat = model.timestampFormat(element) ?? format
      return .list(try texts.map { try ScalarText.parse($0, model.shape(element), elementFormat) })
    case .map:
      guard let valueMember = shape.value else { return nil }
      var texts: [String: [String]] = [:]
      for (key, value) in query { texts[key, default: []].append(value) }
      guard !texts.isEmpty else { return nil }
      let valueShape = model.shape(valueMember)
      guard let element = valueShape.element, valueShape.kind == .list else {
        return .object(try texts.mapValues { try ScalarText.parse($0[0], valueShape, format) })
      }
      return .object(try texts.mapValues { .list(try $0.map { try ScalarText.parse($0, model.shape(element), format) }) })
    default:
      guard let text = query.first(where: { $0.0 == name })?.1 else { return nil }
      // `?acl` and `?max-keys=` mean nothing for a number or flag.
      if text.isEmpty, shape.kind != .string { return nil }
      return try ScalarText.parse(text, shape, format)
    }
  }

  private func header(_ text: String, _ member: Member, _ shape: Shape) throws -> WireValue? {
    let format = model.timestampFormat(member) ?? .rfc822
    if member.jsonValue {
      guard let bytes = Base64.decode(trimmed(text)), let plain = String(validating: bytes, as: UTF8.self) else {
        throw WireProblem("the header is not base64 of JSON")
      }
      return .string(plain)
    }
    guard shape.kind == .list, let element = shape.element else {
      return try ScalarText.parse(trimmed(text), shape, format)
    }
    guard !trimmed(text).isEmpty else { return .list([]) }
    let elementShape = model.shape(element)
    let elementFormat = model.timestampFormat(element) ?? format
    let isDates = elementShape.kind == .timestamp && elementFormat == .rfc822
    let parts = isDates ? HeaderLists.dates(text) : HeaderLists.split(text)
    return .list(try parts.map { try ScalarText.parse($0, elementShape, elementFormat) })
  }
}

/// Lists in one header: `a, "b,c"`.
enum HeaderLists {
  static func split(_ text: String) -> [String] {
    var out: [String] = []
    var part: [UInt8] = []
    var quoted = false
    var wasQuoted = false
    var escaped = false
    func finish() {
      out.append(wasQuoted ? String(decoding: part, as: UTF8.self) : trimmed(String(decoding: part, as: UTF8.self)))
      part = []
      wasQuoted = false
    }
    for byte in text.utf8 {
      if escaped {
        part.append(byte)
        escaped = false
      } else if quoted, byte == 0x5c {
        escaped = true
      } else if byte == 0x22, quoted || trimmed(String(decoding: part, as: UTF8.self)).isEmpty {
        if !quoted { part = [] }
        quoted.toggle()
        wasQuoted = true
      } else if byte == 0x2c, !quoted {
        finish()
      } else if !(wasQuoted && !quoted) {
        part.append(byte)
      }
    }
    finish()
    return out
  }

  /// Dates of the form `Tue, 29 Apr 2014 18:30:38 GMT` hold a comma themselves.
  static func dates(_ text: String) -> [String] {
    let parts = text.split(separator: ",").map(trimmed)
    var out: [String] = []
    var i = 0
    while i < parts.count {
      let isWeekday = parts[i].utf8.allSatisfy { (0x41...0x5a).contains($0 & 0xdf) }
      if isWeekday, i + 1 < parts.count {
        out.append(parts[i] + ", " + parts[i + 1])
        i += 2
      } else {
        out.append(parts[i])
        i += 1
      }
    }
    return out
  }

  static func join(_ values: [String]) -> String {
    values.map { value in
      let needsQuotes = value.utf8.contains { $0 == 0x2c || $0 == 0x22 }
      guard needsQuotes else { return value }
      var out = "\""
      for letter in value {
        if letter == "\"" || letter == "\\" { out.append("\\") }
        out.append(letter)
      }
      return out + "\""
    }.joined(separator: ", ")
  }
}
