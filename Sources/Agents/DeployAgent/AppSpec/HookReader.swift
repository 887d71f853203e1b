/// The `hooks` section: event name to list of scripts.
enum HookReader {
  /// Seconds a script may take when its entry does not say.
  static let defaultTimeout = 3600

  static func hooks(_ value: YAMLValue?) throws(AppSpecError) -> [String: [AppSpec.Script]] {
    guard let value, value != .null else { return [:] }
    guard case .map(let map) = value else {
      throw .because(
        "the hooks section of the application specification file is \(value.kind); it must map event names to lists of "
          + "scripts.")
    }
    var hooks: [String: [AppSpec.Script]] = [:]
    for pair in map.pairs {
      guard let event = pair.key.text else { throw .because("a key in the hooks section is \(pair.key.kind); it must be an event name.") }
      guard pair.value != .null else { continue }
      guard case .list(let items) = pair.value else {
        throw .because(
          "the hook \(event) in the application specification file is \(pair.value.kind); it must be a list of scripts, "
            + "each beginning with a dash.")
      }
      var scripts: [AppSpec.Script] = []
      for item in items { scripts.append(try script(item, event)) }
      hooks[event] = scripts
    }
    return hooks
  }

  private static func script(_ value: YAMLValue, _ event: String) throws(AppSpecError) -> AppSpec.Script {
    guard case .map(let map) = value else {
      throw .because("a script of the hook \(event) is \(value.kind) (\(AppSpecReader.show(value))); it must be a map with a location.")
    }
    guard let location = map["location"]?.text.map(trimmed), !location.isEmpty else {
      throw .because(
        "the application specification file specifies a script with no location value (hook \(event)). Specify the "
          + "location in the hooks section of the AppSpec file, and then try again.")
    }
    guard !location.utf8.contains(0) else { throw .because("a script location of the hook \(event) contains a zero byte.") }
    var runas: String?
    if let user = map["runas"], user != .null {
      guard let text = user.text else { throw .because("runas of the script \(location) is \(user.kind); it must be a user name.") }
      runas = trimmed(text)
    }
    let sudo =
      switch map["sudo"] {
      case nil, .null, .bool(false): false
      default: true
      }
    _ = try AppSpecReader.inside(location, "a script location")
    return AppSpec.Script(
      location: location, timeout: try timeout(map["timeout"], location),
      runas: runas, sudo: sudo)
  }

  private static func timeout(_ value: YAMLValue?, _ location: String) throws(AppSpecError) -> Int {
    let seconds: Int
    switch value ?? .null {
    case .null: return defaultTimeout
    case .int(let number): seconds = number
    case .float(let number): seconds = number.isFinite && abs(number) < 1e15 ? Int(number) : 0
    case .string(let text): seconds = YAMLScalar.leadingInteger(text)
    case .bool, .symbol, .list, .map: seconds = 0
    }
    guard seconds > 0 else {
      throw .because(
        "an invalid timeout value was provided for a script in the application specification file "
          + "(\(location): \(AppSpecReader.show(value ?? .null))). Make sure all script timeouts are numbers of seconds greater than 0.")
    }
    return seconds
  }
}
