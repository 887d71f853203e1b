import CInstance
import Dispatch
import Glibc
import Synchronization

/// Copies the host's files that `BaseImage` names into a directory. Real copies: a hard link would be the live file, and changing
/// a file below a mounted overlay is undefined.
struct BaseImageBuilder: Sendable {
  let target: String
  /// Directories of this program that must not be copied into their own copy.
  let excluded: [String]
  let progress: @Sendable (String) -> Void

  private struct Plan {
    var directories: [String] = []
    var files: [String] = []
    var bytes: Int64 = 0
    var links: [String] = []
    /// Further names of a file that has several, and the first one.
    var hardLinks: [(path: String, first: String)] = []
    var firstName: [UInt64: String] = [:]
  }

  /// Answers the image's size in bytes.
  func build() throws -> Int64 {
    progress("base image: looking through this host's files")
    try Posix.makeDirectories(target, mode: 0o755)
    chmod(target, 0o755)
    var plan = Plan()
    for root in BaseImage.roots { scan(root, into: &plan) }
    for (path, mode) in BaseImageFiles.directories { try makeDirectory(path, mode) }
    for path in plan.directories { try makeDirectory(path, 0o755) }
    for path in plan.links { try copyLink(path) }
    try copyFiles(plan)
    for (path, first) in plan.hardLinks where link(target + first, target + path) < 0 {
      throw Posix.failure("link \(target)\(path)", errno)
    }
    // Deepest first, since work in a directory changes its times.
    for path in plan.directories.reversed() { _ = rs_copy_attributes(path, target + path) }
    for (path, mode) in BaseImageFiles.directories { chmod(target + path, mode) }
    let accounts = BaseImageFiles.accounts(
      passwd: Posix.text("/etc/passwd") ?? "", group: Posix.text("/etc/group") ?? "")
    for entry in accounts + BaseImageFiles.fixed { try write(entry) }
    for (path, linkTarget) in BaseImageFiles.links where !Posix.exists(target + path) {
      if symlink(linkTarget, target + path) < 0 && errno != EEXIST { throw Posix.failure("link \(target)\(path)", errno) }
    }
    return plan.bytes
  }

  private func write(_ entry: BaseImageFiles.Entry) throws {
    let path = target + entry.path
    unlink(path)
    let fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode_t(entry.mode))
    guard fd >= 0 else { throw Posix.failure("write \(path)", errno) }
    defer { close(fd) }
    let bytes = Array(entry.text.utf8)
    guard Glibc.write(fd, bytes, bytes.count) == bytes.count, fchmod(fd, mode_t(entry.mode)) == 0 else {
      throw Posix.failure("write \(path)", errno)
    }
  }

  private func makeDirectory(_ path: String, _ mode: UInt32) throws {
    try Posix.makeDirectories(target + path, mode: mode_t(mode))
  }

  private func scan(_ path: String, into plan: inout Plan) {
    var status = stat()
    guard lstat(path, &status) == 0, !excluded.contains(path), path != target else { return }
    switch status.st_mode & S_IFMT {
    case S_IFDIR:
      guard BaseImage.includes(path, kind: .directory) else { return }
      plan.directories.append(path)
      for name in Posix.names(in: path) { scan(path + "/" + name, into: &plan) }
    case S_IFLNK:
      if BaseImage.includes(path, kind: .link) { plan.links.append(path) }
    case S_IFREG:
      guard BaseImage.includes(path, kind: .file, size: Int64(status.st_size), mode: status.st_mode) else { return }
      if path.hasPrefix("/etc/"), status.st_size < 1 << 20, BaseImage.holdsCredentials(Posix.text(path) ?? "") { return }
      if status.st_nlink > 1 {
        if let first = plan.firstName[UInt64(status.st_ino)] {
          plan.hardLinks.append((path, first))
          return
        }
        plan.firstName[UInt64(status.st_ino)] = path
      }
      plan.files.append(path)
      plan.bytes += Int64(status.st_size)
    default: break
    }
  }

  private func copyLink(_ path: String) throws {
    var text = [CChar](repeating: 0, count: 4096)
    let size = readlink(path, &text, text.count - 1)
    guard size > 0 else { return }
    if symlink(text, target + path) < 0 && errno != EEXIST { throw Posix.failure("link \(target)\(path)", errno) }
    _ = rs_copy_attributes(path, target + path)
  }

  private struct Count {
    var files = 0
    var bytes: Int64 = 0
    var failure: (any Error)?
    var reportedAt: Int
  }

  private func copyFiles(_ plan: Plan) throws {
    let total = plan.files.count
    let files = plan.files
    let state = Mutex(Count(reportedAt: Self.seconds()))
    let piece = 64
    DispatchQueue.concurrentPerform(iterations: (total + piece - 1) / piece) { index in
      if state.withLock({ $0.failure != nil }) { return }
      var bytes: Int64 = 0
      let range = (index * piece)..<min(total, (index + 1) * piece)
      for path in files[range] {
        let size = rs_copy_file(path, target + path)
        // A file that went away between the look and the copy is no part of the image.
        if size == -Int64(ENOENT) { continue }
        if size < 0 {
          state.withLock { $0.failure = $0.failure ?? Posix.failure("copy \(path)", Int32(-size)) }
          return
        }
        bytes += size
      }
      let line: String? = state.withLock { count in
        count.files += range.count
        count.bytes += bytes
        let now = Self.seconds()
        guard now > count.reportedAt else { return nil }
        count.reportedAt = now
        return "base image: \(count.files) of \(total) files, \(count.bytes >> 20) of \(plan.bytes >> 20) MiB"
      }
      if let line { progress(line) }
    }
    if let failure = state.withLock({ $0.failure }) { throw failure }
  }

  private static func seconds() -> Int {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec
  }
}
