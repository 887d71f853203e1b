import Glibc

/// Unpacks a bundle into a new directory that it cannot leave. Symbolic links are made last, so nothing is ever written through one,
/// and each must resolve inside. Blocks its thread.
struct BundleExtractor {
  let limits: ArchiveLimits
  init(limits: ArchiveLimits = ArchiveLimits()) { self.limits = limits }

  /// Makes `destination` (which must be in an existing directory) the bundle's content. On any failure there is no `destination`.
  func extract(_ bundle: String, type: DeploymentSpecification.BundleType, to destination: String) throws(AgentError) {
    let fresh = destination + ".new"
    try Disk.removeTree(fresh)
    try Disk.removeTree(destination)
    do throws(AgentError) {
      guard mkdir(fresh, 0o755) == 0 else { throw Disk.failure("mkdir", fresh) }
      var work = Extraction(root: fresh)
      try work.run(ArchiveReader(path: bundle, type: type, limits: limits))
      let top = try Self.wrapper(fresh).map { RelativePath.join(fresh, $0) } ?? fresh
      try LinkCheck(root: top).check()
      guard rename(top, destination) == 0 else { throw Disk.failure("rename", top) }
      if top != fresh { try Disk.removeTree(fresh) }
    } catch {
      try? Disk.removeTree(fresh)
      throw error
    }
  }

  /// The single directory that wraps everything, when it holds something named like an AppSpec.
  static func wrapper(_ root: String) throws(AgentError) -> String? {
    let names = try Disk.names(root)
    guard names.count == 1, Disk.kind(RelativePath.join(root, names[0])) == .directory else { return nil }
    let inner = try Disk.names(RelativePath.join(root, names[0]))
    return inner.contains { $0.lowercased().contains("appspec") } ? names[0] : nil
  }
}

private struct Extraction {
  let root: String
  private let isRoot = geteuid() == 0
  private var directories: [(path: String, entry: ArchiveEntry)] = []
  private var links: [(path: String, target: String, entry: ArchiveEntry)] = []
  private var hardlinks: [(path: String, target: String)] = []

  init(root: String) { self.root = root }

  mutating func run(_ reader: ArchiveReader) throws(AgentError) {
    while let entry = try reader.next() {
      let path = RelativePath.join(root, entry.path)
      switch entry.kind {
      case .directory:
        try makeDirectories(entry.path)
        directories.append((path, entry))
      case .symlink(let target):
        guard !entry.path.isEmpty else { throw AgentError("The bundle's top is a link.") }
        links.append((path, target, entry))
      case .hardlink(let target):
        try makeDirectories(RelativePath.parent("/" + entry.path))
        hardlinks.append((path, RelativePath.join(root, target)))
      case .file: try file(entry, path, reader)
      }
    }
    for (path, target) in hardlinks { try hardlink(path, target) }
    for (path, target, entry) in links { try symlink(path, target, entry) }
    // Deepest first: a directory without write permission must not stop what is inside it.
    for (path, entry) in directories.reversed() { try finish(path, entry) }
  }

  private func makeDirectories(_ relative: String) throws(AgentError) {
    var path = root
    for part in relative.split(separator: "/") {
      path = RelativePath.join(path, String(part))
      if mkdir(path, 0o755) == 0 { continue }
      guard errno == EEXIST, Disk.kind(path) == .directory else {
        throw AgentError("The bundle holds both a file and a directory named \(path.dropFirst(root.utf8.count + 1)).")
      }
    }
  }

  private func file(_ entry: ArchiveEntry, _ path: String, _ reader: ArchiveReader) throws(AgentError) {
    guard !entry.path.isEmpty else { throw AgentError("The bundle's top is a file.") }
    try makeDirectories(RelativePath.parent("/" + entry.path))
    // A name that comes twice in a tar archive means the later one.
    if Disk.kind(path) == .file { unlink(path) }
    let fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard fd >= 0 else { throw Disk.failure("open", path) }
    defer { close(fd) }
    var end: Int64 = 0
    try reader.content { (bytes, offset) throws(AgentError) in
      var done = 0
      while done < bytes.count {
        let count = pwrite(fd, bytes.baseAddress! + done, bytes.count - done, off_t(offset) + off_t(done))
        if count < 0, errno == EINTR { continue }
        guard count > 0 else {
          throw errno == ENOSPC ? AgentError("The disk is (or was) full during extraction.") : Disk.failure("write", path)
        }
        done += count
      }
      end = max(end, offset + Int64(bytes.count))
    }
    guard ftruncate(fd, off_t(end)) == 0 else { throw Disk.failure("truncate", path) }
    if isRoot, let owner = entry.owner, fchown(fd, owner.user, owner.group) != 0 { throw Disk.failure("chown", path) }
    guard fchmod(fd, entry.mode == 0 ? 0o644 : entry.mode) == 0 else { throw Disk.failure("chmod", path) }
    if let modified = entry.modified {
      let times = [
        timespec(tv_sec: modified.seconds, tv_nsec: modified.nanoseconds),
        timespec(tv_sec: modified.seconds, tv_nsec: modified.nanoseconds),
      ]
      futimens(fd, times)
    }
  }

  private func hardlink(_ path: String, _ target: String) throws(AgentError) {
    guard Disk.kind(target) == .file else {
      throw AgentError("The bundle's hard link \(path.dropFirst(root.utf8.count + 1)) names no file of the bundle.")
    }
    if path == target { return }
    if Disk.kind(path) == .file { unlink(path) }
    guard link(target, path) == 0 else { throw Disk.failure("link", path) }
  }

  private func symlink(_ path: String, _ target: String, _ entry: ArchiveEntry) throws(AgentError) {
    try makeDirectories(RelativePath.parent("/" + entry.path))
    if let kind = Disk.kind(path), kind != .directory { unlink(path) }
    guard Glibc.symlink(target, path) == 0 else {
      throw AgentError("The bundle's link \(entry.path) cannot be made: \(Disk.failure("symlink", path).message)")
    }
    if isRoot, let owner = entry.owner { lchown(path, owner.user, owner.group) }
  }

  private func finish(_ path: String, _ entry: ArchiveEntry) throws(AgentError) {
    // A later link cannot have taken a directory's place: making it would have failed.
    guard Disk.kind(path) == .directory else { throw AgentError("The bundle's directory \(entry.path) is also something else.") }
    if isRoot, let owner = entry.owner, lchown(path, owner.user, owner.group) != 0 { throw Disk.failure("chown", path) }
    let mode = entry.mode == 0 ? 0o755 : entry.mode
    guard chmod(path, isRoot ? mode : mode | 0o700) == 0 else { throw Disk.failure("chmod", path) }
  }
}
