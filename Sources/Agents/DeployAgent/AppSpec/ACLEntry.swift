/// One access control entry: `[d[efault]:][u|g|m|o or the long name][:name]:perm`.
public struct ACLEntry: Equatable, Sendable {
  public enum Tag: String, Sendable {
    case user, group, mask, other
    var short: String { String(rawValue.prefix(1)) }
  }
  public var isDefault: Bool
  public var tag: Tag
  /// Empty for mask, other and the owner.
  public var name: String
  /// 0…7.
  public var permission: UInt8

  /// The spelling `setfacl` takes.
  public var text: String { "\(isDefault ? "d:" : "")\(tag.short):\(name):\(Self.letters(permission))" }

  static func letters(_ bits: UInt8) -> String {
    (bits & 4 != 0 ? "r" : "-") + (bits & 2 != 0 ? "w" : "-") + (bits & 1 != 0 ? "x" : "-")
  }

  static func parse(_ text: String) throws(AppSpecError) -> ACLEntry {
    var parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    guard (2...4).contains(parts.count) else {
      throw .because("the ACL entry (\(text)) has \(parts.count) parts separated by colons; it must have 2 to 4.")
    }
    let isDefault = parts[0] == "d" || parts[0] == "default"
    if isDefault { parts.removeFirst() }
    guard (1...3).contains(parts.count), parts.count > 1 || isDefault else { throw malformed(text) }
    let tag: Tag
    switch parts[0] {
    case "u", "user": tag = .user
    case "g", "group": tag = .group
    case "m", "mask": tag = .mask
    case "o", "other": tag = .other
    default:
      // `name:perm` is short for `user:name:perm`.
      guard parts.count == 2 else { throw malformed(text) }
      tag = .user
      parts.insert("user", at: 0)
    }
    guard parts.count >= 2 else { throw malformed(text) }
    let permission = try self.permission(parts[parts.count - 1], in: text)
    let name = parts.count == 3 ? parts[1] : ""
    try check(name, tag, isDefault, text)
    return ACLEntry(isDefault: isDefault, tag: tag, name: name, permission: permission)
  }

  private static func check(_ name: String, _ tag: Tag, _ isDefault: Bool, _ text: String) throws(AppSpecError) {
    let allowed = name.utf8.allSatisfy {
      (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0) || "_-.$@+\\".utf8.contains($0)
    }
    guard allowed else { throw .because("the ACL named \(name) contains an invalid character (in \(text)).") }
    switch tag {
    case .user, .group, .other:
      if tag == .other, !name.isEmpty { throw .because("an ACL entry for other cannot have a name (\(text)).") }
      if name.isEmpty, !isDefault {
        throw .because("the ACL entry (\(text)) sets a base entry. Use mode to set the base acl entry for \(tag.rawValue).")
      }
    case .mask:
      if !name.isEmpty { throw .because("an ACL entry for the mask cannot have a name (\(text)).") }
    }
  }

  private static func permission(_ text: String, in entry: String) throws(AppSpecError) -> UInt8 {
    let bytes = Array(text.utf8)
    if bytes.count == 1, (0x30...0x37).contains(bytes[0]) { return bytes[0] - 0x30 }
    guard !bytes.isEmpty, bytes.count <= 3 else {
      throw .because("the ACL entry (\(entry)) needs a permission of one octal digit or up to three of the letters r, w, x and -.")
    }
    var bits: UInt8 = 0
    for byte in bytes {
      switch byte {
      case UInt8(ascii: "r"): bits |= 4
      case UInt8(ascii: "w"): bits |= 2
      case UInt8(ascii: "x"): bits |= 1
      case UInt8(ascii: "-"): break
      default: throw .because("the ACL permission (\(text)) in \(entry) contains an invalid character.")
      }
    }
    return bits
  }

  private static func malformed(_ text: String) -> AppSpecError {
    .because("the ACL entry (\(text)) is not of the form [default:](user|group|mask|other)[:name]:permission.")
  }
}
