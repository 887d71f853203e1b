import RegionKit
import WireModel

/// Tags of buckets and objects, in both of their forms.
enum TagRules {
  /// `x-amz-tagging`: a query string. Throws InvalidArgument or InvalidTag.
  static func parse(header: String) throws -> [ObjectTag] {
    var tags: [ObjectTag] = []
    for pair in header.split(separator: "&") {
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard let key = PercentCode.decode(parts[0], plusIsSpace: true),
        let value = PercentCode.decode(parts.count > 1 ? parts[1] : "", plusIsSpace: true)
      else {
        throw S3Problem.invalidArgument(
          "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.",
          name: "x-amz-tagging", value: header)
      }
      tags.append(ObjectTag(key: key, value: value))
    }
    return try checked(tags, most: 10)
  }

  static func read(_ tags: [Obj<Tag>], most: Int) throws -> [ObjectTag] {
    try checked(tags.map { ObjectTag(key: $0[.key], value: $0[.value]) }, most: most)
  }

  static func show(_ tags: [ObjectTag]) -> [Obj<Tag>] {
    tags.map { tag in
      Obj {
        $0[.key] = tag.key
        $0[.value] = tag.value
      }
    }
  }

  /// Throws BadRequest (too many) or InvalidTag, as S3 does.
  private static func checked(_ tags: [ObjectTag], most: Int) throws -> [ObjectTag] {
    guard tags.count <= most else {
      let what = most == 10 ? "Object tags cannot be greater than 10" : "Bucket tag count cannot be greater than \(most)"
      throw AWSError("BadRequest", what, status: 400)
    }
    var seen: [[UInt8]] = []
    for tag in tags {
      func invalid(_ message: String) -> AWSError {
        AWSError("InvalidTag", message, status: 400, fields: ["TagKey": tag.key, "TagValue": tag.value])
      }
      guard (1...128).contains(tag.key.unicodeScalars.count) else { throw invalid("The TagKey you have provided is invalid") }
      guard tag.value.unicodeScalars.count <= 256 else { throw invalid("The TagValue you have provided is invalid") }
      guard !tag.key.hasPrefix("aws:") else {
        throw invalid("System tags cannot be added/updated by requester")
      }
      let bytes = Array(tag.key.utf8)
      guard !seen.contains(bytes) else { throw invalid("Cannot provide multiple Tags with the same key") }
      seen.append(bytes)
    }
    return tags
  }
}

/// Percent encoding, byte by byte.
enum PercentCode {
  /// Nil for a broken escape or bytes that are not UTF-8.
  static func decode(_ text: some StringProtocol, plusIsSpace: Bool = false) -> String? {
    var out: [UInt8] = []
    let bytes = Array(text.utf8)
    var i = 0
    while i < bytes.count {
      switch bytes[i] {
      case 0x25:
        guard i + 2 < bytes.count, let byte = hexBytes(String(decoding: bytes[(i + 1)...(i + 2)], as: UTF8.self))?.first
        else { return nil }
        out.append(byte)
        i += 3
      case 0x2b where plusIsSpace:
        out.append(0x20)
        i += 1
      case let byte:
        out.append(byte)
        i += 1
      }
    }
    return String(validating: out, as: UTF8.self)
  }

  /// As `encoding-type=url` writes keys: everything but unreserved characters, `/` and `*` is escaped. A space is %20, which both
  /// kinds of decoder read.
  static func encode(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var out: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f, 0x7e, 0x2f, 0x2a: out.append(byte)
      default:
        out.append(0x25)
        out.append(digits[Int(byte >> 4)])
        out.append(digits[Int(byte & 15)])
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}
