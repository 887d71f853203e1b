/// The `permissions` section.
enum PermissionReader {
  static func permissions(_ value: YAMLValue?, warnings: inout [String]) throws(AppSpecError) -> [Permission] {
    guard let value, value != .null else { return [] }
    guard case .list(let items) = value else {
      throw .because(
        "the permissions section of the application specification file is \(value.kind); it must be a list of entries "
          + "with an object, each beginning with a dash.")
    }
    var permissions: [Permission] = []
    for item in items { permissions.append(try permission(item, &warnings)) }
    return permissions
  }

  private static func permission(_ value: YAMLValue, _ warnings: inout [String]) throws(AppSpecError) -> Permission {
    guard case .map(let map) = value else {
      throw .because(
        "an entry of the permissions section is \(value.kind) (\(AppSpecReader.show(value))); it must be a map with an "
          + "object.")
    }
    guard let object = map["object"]?.text.map(trimmed), !object.isEmpty else {
      throw .because(
        "a permission listed in the application specification file has no object value. Update the permissions section "
          + "of the AppSpec file, and then try again.")
    }
    var permission = Permission(object: RelativePath.absolute(object))
    if let pattern = map["pattern"], pattern != .null {
      guard let text = pattern.text else { throw shape("pattern", object, "a string", pattern) }
      permission.pattern = trimmed(text)
    }
    permission.except = try strings(map["except"], "except", object)
    if let kinds = map["type"], kinds != .null { permission.kinds = try self.kinds(kinds, object) }
    permission.owner = try name(map["owner"], "owner", object)
    permission.group = try name(map["group"], "group", object)
    permission.mode = try mode(map["mode"], object, &warnings)
    for entry in try strings(map["acls"], "acls", object) { permission.acls.append(try ACLEntry.parse(entry)) }
    if let context = map["context"], context != .null {
      guard case .map(let map) = context else { throw shape("context", object, "a map", context) }
      permission.context = try SecurityContext.parse(map)
    }
    return permission
  }

  private static func kinds(_ value: YAMLValue, _ object: String) throws(AppSpecError) -> [Permission.Kind] {
    var kinds: [Permission.Kind] = []
    for text in try strings(value, "type", object) {
      guard let kind = Permission.Kind(rawValue: text) else {
        throw .because(
          "the application specification file includes a permission for an object type not supported for permissions "
            + "(\(text)), for \(object). Use file, directory or both.")
      }
      kinds.append(kind)
    }
    return kinds
  }

  private static func name(_ value: YAMLValue?, _ key: String, _ object: String) throws(AppSpecError) -> Permission.Name? {
    switch value ?? .null {
    case .null: return nil
    case .string(let text), .symbol(let text): return Permission.Name(text: text, isNumber: false)
    case .int(let number): return Permission.Name(text: String(number), isNumber: true)
    case .float, .bool, .list, .map: throw shape(key, object, "a name", value ?? .null)
    }
  }

  private static func mode(_ value: YAMLValue?, _ object: String, _ warnings: inout [String]) throws(AppSpecError) -> String? {
    guard let value, value != .null else { return nil }
    guard var text = value.text.map(trimmed) else { throw shape("mode", object, "3 or 4 octal digits", value) }
    while text.utf8.count < 3 { text = "0" + text }
    guard text.utf8.count <= 4 else {
      throw .because("the mode \(text) for \(object) in the application specification file is longer than 4 digits.")
    }
    if let bad = text.first(where: { !("0"..."7").contains($0) }) {
      throw .because(
        "the mode \(text) for \(object) in the application specification file contains an invalid character (\(bad)). "
          + "Only digits 0 to 7 are valid. An unquoted mode that begins with 0 is an octal number in YAML: put it in quotes.")
    }
    if case .int = value, let bits = Int(text, radix: 8), (bits >> 3 | bits) & 7 & ~(bits >> 6) != 0 {
      warnings.append(
        "The mode \(text) for \(object) gives others more than the owner. If it was written as an octal number without "
          + "quotes, YAML has changed its digits: write mode: \"0644\" with quotes.")
    }
    return text
  }

  private static func strings(_ value: YAMLValue?, _ key: String, _ object: String) throws(AppSpecError) -> [String] {
    guard let value, value != .null else { return [] }
    guard case .list(let items) = value else { throw shape(key, object, "a list", value) }
    var out: [String] = []
    for item in items {
      guard let text = item.text else { throw shape("an item of \(key)", object, "a string", item) }
      out.append(text)
    }
    return out
  }

  private static func shape(_ key: String, _ object: String, _ wanted: String, _ value: YAMLValue) -> AppSpecError {
    .because("\(key) of the permission for \(object) in the application specification file is \(value.kind); it must be \(wanted).")
  }
}
