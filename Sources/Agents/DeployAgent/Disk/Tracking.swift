import Glibc

/// The files that tell a restarted agent which commands were running: one per deployment, holding the host command identifier, from
/// after the acknowledgement until the completion is delivered.
struct Tracking: Sendable {
  struct Entry: Sendable, Equatable {
    var deploymentId: String
    var hostCommandIdentifier: String
    /// When the file was written, seconds since 1970.
    var modified: Int
  }
  let directory: String

  func begin(_ deploymentId: String, _ command: String) throws(AgentError) {
    try Disk.makeDirectories(directory)
    try Disk.replace(RelativePath.join(directory, deploymentId), command)
  }

  /// Removes the file unless another command has taken it over meanwhile.
  func end(_ deploymentId: String, _ command: String) {
    let path = RelativePath.join(directory, deploymentId)
    guard let bytes = try? Disk.read(path, limit: 1 << 16), String(decoding: bytes, as: UTF8.self) == command else { return }
    unlink(path)
  }

  /// Newest first.
  func entries() -> [Entry] {
    guard let names = try? Disk.names(directory) else { return [] }
    return names.compactMap { name -> Entry? in
      let path = RelativePath.join(directory, name)
      guard !name.hasSuffix(".new"), let info = Disk.lstat(path), let bytes = try? Disk.read(path, limit: 1 << 16) else { return nil }
      let command = trimmed(String(decoding: bytes, as: UTF8.self))
      return command.isEmpty ? nil : Entry(deploymentId: name, hostCommandIdentifier: command, modified: info.st_mtim.tv_sec)
    }.sorted { $0.modified > $1.modified }
  }
}
