import Glibc

/// Which deployment directories of a group make room for the next one.
enum Retention {
  struct Entry: Sendable, Equatable {
    var name: String
    /// Seconds and nanoseconds of the last change.
    var seconds: Int
    var nanoseconds: Int
  }

  /// The oldest ones beyond `maxRevisions`, the current one counted in; never one of `kept`. Pure.
  static func surplus(_ entries: [Entry], current: String, kept: Set<String>, maxRevisions: Int) -> [String] {
    let others = entries.filter { $0.name != current }
    let extra = others.count - max(1, maxRevisions) + 1
    guard extra > 0 else { return [] }
    return others.filter { !kept.contains($0.name) }
      .sorted { ($0.seconds, $0.nanoseconds, $0.name) < ($1.seconds, $1.nanoseconds, $1.name) }
      .prefix(extra).map(\.name)
  }

  /// Removes the surplus directories of the group, but not the last successful one and none with a command in progress.
  static func apply(_ layout: DiskLayout, group: String, current: String, maxRevisions: Int) throws(AgentError) {
    let directory = layout.groupDirectory(group)
    guard Disk.isDirectory(directory) else { return }
    var kept = Set(Tracking(directory: layout.trackingDirectory).entries().map(\.deploymentId))
    if let last = layout.target(of: layout.lastSuccessfulPointer(group)) { kept.insert(RelativePath.name(last)) }
    var entries: [Entry] = []
    for name in try Disk.names(directory) {
      guard let info = Disk.lstat(RelativePath.join(directory, name)) else { continue }
      entries.append(Entry(name: name, seconds: info.st_mtim.tv_sec, nanoseconds: info.st_mtim.tv_nsec))
    }
    for name in surplus(entries, current: current, kept: kept, maxRevisions: maxRevisions) {
      do { try Disk.removeTree(RelativePath.join(directory, name)) } catch {
        throw AgentError("Error deleting directories: \(error.message)")
      }
    }
  }
}
