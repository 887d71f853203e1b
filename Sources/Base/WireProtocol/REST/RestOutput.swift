import FoundationEssentials
import RegionKit
import WireModel

/// The parts of a REST answer that stand outside the body: status and headers.
struct RestOutput {
  let model: ServiceModel

  func status(_ values: [String: WireValue], _ shape: Shape?, default code: Int) -> Int {
    guard let member = shape?.members.first(where: { $0.location == .statusCode }), case .int(let status)? = values[member.name],
      (100...599).contains(status)
    else {
      // S3's model gives GetObject one status, but a part of an object is 206 (RFC 9110 §15.3.7).
      if model.isS3, code == 200, case .string? = values["ContentRange"] { return 206 }
      return code
    }
    return Int(status)
  }

  func headers(_ values: [String: WireValue], _ shape: Shape) throws -> [(String, String)] {
    var out: [(String, String)] = []
    for member in shape.members {
      guard let value = values[member.name], !value.isNull else { continue }
      let name = member.locationName ?? member.name
      switch member.location {
      case .header: out.append((name, Self.clean(try text(value, member))))
      case .headers:
        for (key, item) in (value.asObject ?? [:]).sorted(by: { $0.key < $1.key }) {
          guard case .string(let text) = item, Self.isToken(name + key) else { continue }
          out.append((name + key, Self.clean(text)))
        }
      default: continue
      }
    }
    return out
  }

  private func text(_ value: WireValue, _ member: Member) throws -> String {
    let shape = model.shape(member)
    let format = model.timestampFormat(member) ?? .rfc822
    if member.jsonValue, case .string(let text) = value { return Base64.encode(Array(text.utf8)) }
    guard shape.kind == .list, case .list(let items) = value, let element = shape.element else {
      return try ScalarText.write(value, shape, format)
    }
    let elementShape = model.shape(element)
    let texts = try items.map { try ScalarText.write($0, elementShape, model.timestampFormat(element) ?? format) }
    return elementShape.kind == .timestamp ? texts.joined(separator: ", ") : HeaderLists.join(texts)
  }

  /// No value may end its header line.
  static func clean(_ text: String) -> String {
    guard text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) else { return text }
    return String(decoding: text.utf8.map { $0 < 0x20 || $0 == 0x7f ? 0x20 : $0 }, as: UTF8.self)
  }

  private static func isToken(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != 0x3a }
  }
}
