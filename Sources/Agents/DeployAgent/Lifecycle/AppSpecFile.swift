/// Finds and reads the AppSpec of an unpacked revision.
enum AppSpecFile {
  static func read(archive: String, name: String, alsoTry: [String] = []) throws(AgentError) -> AppSpec {
    for candidate in [name] + alsoTry {
      let path = RelativePath.join(archive, candidate)
      // The name comes from outside: what it resolves to must still be in the revision.
      guard let real = Disk.realPath(path) else { continue }
      guard let top = Disk.realPath(archive), real.hasPrefix(top + "/") else {
        throw AgentError("The AppSpec file \(candidate) leads outside of the revision.")
      }
      guard Disk.kind(real) == .file else { throw AgentError("The AppSpec file \(candidate) is not a regular file.") }
      switch AppSpecReader.read(try Disk.read(path, limit: YAMLReader.largestText)) {
      case .success(let spec): return spec
      case .failure(let error): throw AgentError(error.message)
      }
    }
    throw AgentError(
      "The CodeDeploy agent did not find an AppSpec file within the unpacked revision directory at revision-relative path \"\(name)\". "
        + "The revision was unpacked to directory \"\(archive)\", and the AppSpec file was expected but not found at path "
        + "\"\(RelativePath.join(archive, name))\". Put it at the top of the bundle or set the deployment's AppSpec file name.")
  }
}
