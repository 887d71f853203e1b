/// The text of an AppSpec file to its value: a pure function that checks every rule of the format.
/// Rules as measured on the official agent, `version: 0.0`, for Linux.
public enum AppSpecReader {
  public static func read(_ bytes: [UInt8]) -> Result<AppSpec, AppSpecError> {
    do throws(AppSpecError) { return .success(try parse(bytes)) } catch { return .failure(error) }
  }
  public static func read(_ text: String) -> Result<AppSpec, AppSpecError> { read(Array(text.utf8)) }

  private static func parse(_ bytes: [UInt8]) throws(AppSpecError) -> AppSpec {
    let document: YAMLValue?
    switch YAMLReader.read(bytes) {
    case .success(let value): document = value
    case .failure(let fault):
      throw .because("the application specification file is not valid YAML: \(fault.message). Check its indentation and quotes.")
    }
    guard let document, document != .null, document != .bool(false) else {
      throw .because(
        "the application specification file was empty. Make sure your AppSpec file defines at minimum the 'version' "
          + "and 'os' properties.")
    }
    guard case .map(let map) = document else {
      throw .because("the application specification file must be a map with 'version' and 'os', but it is \(document.kind).")
    }
    var spec = AppSpec()
    try readHead(map, into: &spec)
    spec.files = try files(map["files"])
    spec.hooks = try HookReader.hooks(map["hooks"])
    spec.permissions = try PermissionReader.permissions(map["permissions"], warnings: &spec.warnings)
    return spec
  }

  private static func readHead(_ map: YAMLMap, into spec: inout AppSpec) throws(AppSpecError) {
    let version = map["version"] ?? .null
    switch version {
    case .int(0): spec.version = 0
    case .float(let value) where value == 0: spec.version = 0
    default:
      throw .because(
        "an invalid version value (\(show(version))) was entered in the application specification file. Make sure your "
          + "AppSpec file specifies \"0.0\", without quotes, as the version, and then try again.")
    }
    let os = map["os"] ?? .null
    guard case .string("linux") = os else {
      throw .because(
        "the application specification file specifies an unsupported operating system (\(show(os))). Specify either "
          + "\"linux\" or \"windows\" in the os section of the AppSpec file; this instance runs linux.")
    }
    if let behavior = map["file_exists_behavior"], behavior != .null {
      guard case .string(let text) = behavior, let value = AppSpec.FileExistsBehavior(rawValue: text) else {
        throw .because(
          "an invalid file_exists_behavior value (\(show(behavior))) was entered in the application specification file. "
            + "Use DISALLOW, OVERWRITE or RETAIN, in capitals.")
      }
      spec.fileExistsBehavior = value
    }
  }

  private static func files(_ value: YAMLValue?) throws(AppSpecError) -> [AppSpec.File] {
    guard let value, value != .null else { return [] }
    guard case .list(let items) = value else {
      throw .because(
        "the files section of the application specification file is \(value.kind); it must be a list of entries with "
          + "source and destination, each beginning with a dash.")
    }
    var files: [AppSpec.File] = []
    for item in items {
      guard case .map(let map) = item else {
        throw .because("an entry of the files section is \(item.kind) (\(show(item))); it must be a map with source and destination.")
      }
      let source = try path(map["source"], "source")
      let destination = try path(map["destination"], "destination")
      guard let source else {
        throw .because(
          "the application specification file specifies a destination file, but no source file "
            + "(\(destination ?? "")). Update the files section of the AppSpec file, and then try again.")
      }
      guard let destination else {
        throw .because(
          "the application specification file specifies only a source file (\(source)). Add the name of the "
            + "destination directory to the files section of the AppSpec file, and then try again.")
      }
      files.append(AppSpec.File(source: try inside(source, "a source"), destination: try absolute(destination)))
    }
    return files
  }

  private static func path(_ value: YAMLValue?, _ name: String) throws(AppSpecError) -> String? {
    guard let value, value != .null else { return nil }
    guard let text = value.text else { throw .because("a \(name) in the files section is \(value.kind); it must be a path.") }
    guard !text.utf8.contains(0) else { throw .because("a \(name) in the files section contains a zero byte.") }
    return text
  }

  /// A path that stays below the revision's directory, without its leading slashes.
  static func inside(_ path: String, _ what: String) throws(AppSpecError) -> String {
    guard let clean = RelativePath.clean(path) else {
      throw .because("\(what) in the application specification file (\(path)) leads outside of the revision.")
    }
    return clean
  }

  private static func absolute(_ path: String) throws(AppSpecError) -> String {
    guard path.hasPrefix("/") else {
      throw .because("a destination in the application specification file (\(path)) is not an absolute path. Begin it with a slash.")
    }
    return RelativePath.absolute(path)
  }

  /// A value as an error message quotes it.
  static func show(_ value: YAMLValue) -> String {
    value.text.map { String($0.prefix(200)) } ?? value.kind
  }
}
