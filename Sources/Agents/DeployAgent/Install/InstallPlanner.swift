/// From an AppSpec, an unpacked revision and the disk as it is after the cleanup to the instructions that install it. Changes nothing.
public struct InstallPlanner {
  let archive: String
  let files: any FileView
  /// In capitals; what the AppSpec says goes before what the deployment says.
  let behavior: String

  public init(archive: String, files: any FileView, fileExistsBehavior: String) {
    self.archive = archive
    self.files = files
    behavior = fileExistsBehavior
  }

  /// The plan, or the first rule it breaks.
  public func plan(_ spec: AppSpec) throws(AgentError) -> InstallPlan {
    var draft = Draft()
    let behavior = spec.fileExistsBehavior?.rawValue ?? self.behavior
    for file in spec.files {
      let source = RelativePath.join(archive, file.source)
      if files.resolvedKind(source) == .directory {
        try makeAncestors(of: file.destination, &draft)
        try copyDirectory(source, file.destination, behavior, above: [], &draft)
      } else {
        let destination = RelativePath.join(file.destination, RelativePath.name(file.source))
        try makeAncestors(of: destination, &draft)
        try copyFile(source, destination, behavior, &draft)
      }
    }
    for permission in spec.permissions { try PermissionPlanner(files: files).apply(permission, &draft) }
    return draft.plan
  }

  private func makeAncestors(of path: String, _ draft: inout Draft) throws(AgentError) {
    var missing: [String] = []
    var at = RelativePath.parent(path)
    while at != "/", at != ".", files.resolvedKind(at) != .directory, !draft.directories.contains(at) {
      missing.append(at)
      at = RelativePath.parent(at)
    }
    for directory in missing.reversed() { try makeDirectory(directory, &draft) }
  }

  private func makeDirectory(_ path: String, _ draft: inout Draft) throws(AgentError) {
    if draft.directories.contains(path) || files.resolvedKind(path) == .directory { return }
    if let source = draft.copies[path] {
      throw because("the application specification file calls for creating the directory \(path), but \(source) is to be copied there.")
    }
    if files.kind(path) != nil {
      throw because("a directory is needed at this location, but a file already exists there: \(path)")
    }
    draft.directories.insert(path)
    draft.plan.instructions.append(.mkdir(directory: path))
  }

  private func copyDirectory(
    _ source: String, _ destination: String, _ behavior: String, above: [String], _ draft: inout Draft
  ) throws(AgentError) {
    // A link to a directory is followed, so a link to a parent would never end.
    let identity = files.identity(source) ?? source
    guard !above.contains(identity), above.count < 256 else {
      throw because("the source directory \(source) contains itself through a link.")
    }
    try makeDirectory(destination, &draft)
    for name in try files.names(source) {
      let from = RelativePath.join(source, name)
      let to = RelativePath.join(destination, name)
      if files.resolvedKind(from) == .directory {
        try copyDirectory(from, to, behavior, above: above + [identity], &draft)
      } else {
        try copyFile(from, to, behavior, &draft)
      }
    }
  }

  private func copyFile(_ source: String, _ destination: String, _ behavior: String, _ draft: inout Draft) throws(AgentError) {
    if let other = draft.copies[destination] {
      throw because(
        "the application specification file specifies two source files named \(other) and \(source) for the same destination "
          + "(\(destination)). Remove one of them from the AppSpec file, and then try again.")
    }
    if draft.directories.contains(destination) {
      throw because("the application specification file calls for copying \(source) to \(destination), but a directory is to be there.")
    }
    if let existing = files.kind(destination) {
      switch behavior {
      case "DISALLOW": throw because("a specified file already exists at this location: \(destination)")
      case "RETAIN": return
      case "OVERWRITE":
        guard existing != .directory else {
          throw because("a file is to be copied over a directory, which OVERWRITE does not replace: \(destination)")
        }
      default:
        throw because(
          "an invalid option was specified for fileExistsBehavior: \(behavior). Valid options are DISALLOW, OVERWRITE and RETAIN.")
      }
    }
    draft.copies[destination] = source
    draft.plan.instructions.append(.copy(source: source, destination: destination))
  }

  private func because(_ reason: String) -> AgentError { AgentError("The deployment failed because \(reason)") }
}

/// What the plan holds so far.
struct Draft {
  var plan = InstallPlan()
  /// Destination to source.
  var copies: [String: String] = [:]
  var directories: Set<String> = []
  /// Targets that already have a permissions setting.
  var settled: Set<String> = []
}
