import Glibc

/// When a file last changed, finely enough to see a replacement.
struct FileStamp: Equatable, Sendable {
  var device: UInt64
  var inode: UInt64
  var size: Int64
  var seconds: Int
  var nanoseconds: Int
}

/// The C structure under a name that the C function of the same name does not hide.
typealias FileStatus = stat
private func status(_ path: String, _ info: inout FileStatus) -> Int32 { stat(path, &info) }

/// POSIX files with errors that name the path. Nothing here follows a symbolic link unless it says so.
enum Disk {
  enum Kind: Sendable, Equatable { case file, directory, symlink, other }

  static func failure(_ what: String, _ path: String, _ code: Int32 = errno) -> AgentError {
    AgentError("\(String(cString: strerror(code))) @ \(what) - \(path)")
  }

  static func lstat(_ path: String) -> FileStatus? {
    var info = FileStatus()
    return Glibc.lstat(path, &info) == 0 ? info : nil
  }
  /// Follows links.
  static func stat(_ path: String) -> FileStatus? {
    var info = FileStatus()
    return status(path, &info) == 0 ? info : nil
  }
  static func kind(_ info: FileStatus) -> Kind {
    switch info.st_mode & S_IFMT {
    case S_IFREG: .file
    case S_IFDIR: .directory
    case S_IFLNK: .symlink
    default: .other
    }
  }
  /// The kind of the object itself.
  static func kind(_ path: String) -> Kind? { lstat(path).map(kind) }
  /// Permission bits, links followed.
  static func permissions(_ path: String) -> UInt32? { stat(path).map { UInt32($0.st_mode & 0o7777) } }
  /// Follows links.
  static func isDirectory(_ path: String) -> Bool { stat(path).map(kind) == .directory }
  /// Follows links.
  static func exists(_ path: String) -> Bool { stat(path) != nil }

  static func stamp(_ path: String) throws(AgentError) -> FileStamp {
    guard let info = stat(path) else { throw failure("stat", path) }
    return FileStamp(
      device: UInt64(info.st_dev), inode: UInt64(info.st_ino), size: Int64(info.st_size), seconds: info.st_mtim.tv_sec,
      nanoseconds: info.st_mtim.tv_nsec)
  }

  /// The whole file, at most `limit` bytes.
  static func read(_ path: String, limit: Int) throws(AgentError) -> [UInt8] {
    let fd = open(path, O_RDONLY | O_CLOEXEC)
    guard fd >= 0 else { throw failure("open", path) }
    defer { close(fd) }
    var out: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = Glibc.read(fd, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw failure("read", path) }
      if count == 0 { return out }
      guard out.count + count <= limit else { throw AgentError("\(path) is larger than \(limit) bytes.") }
      out.append(contentsOf: buffer[..<count])
    }
  }

  static func writeAll(_ fd: Int32, _ bytes: some Collection<UInt8>, _ path: String) throws(AgentError) {
    let all = Array(bytes)
    var at = 0
    while at < all.count {
      let count = all.withUnsafeBytes { Glibc.write(fd, $0.baseAddress! + at, all.count - at) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw failure("write", path) }
      at += count
    }
  }

  /// Writes beside the path, syncs and renames: after a crash the file is the old one or the new one.
  static func replace(_ path: String, _ text: String, mode: mode_t = 0o644) throws(AgentError) {
    let temporary = path + ".new"
    unlink(temporary)
    let fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
    guard fd >= 0 else { throw failure("open", temporary) }
    do throws(AgentError) {
      defer { close(fd) }
      try writeAll(fd, text.utf8, temporary)
      guard fsync(fd) == 0 else { throw failure("fsync", temporary) }
    } catch {
      unlink(temporary)
      throw error
    }
    guard rename(temporary, path) == 0 else { throw failure("rename", path) }
  }

  /// `mkdir -p`.
  static func makeDirectories(_ path: String, mode: mode_t = 0o755) throws(AgentError) {
    if isDirectory(path) { return }
    let parent = RelativePath.parent(path)
    if parent != path, parent != "." { try makeDirectories(parent, mode: mode) }
    if mkdir(path, mode) != 0, errno != EEXIST || !isDirectory(path) { throw failure("mkdir", path) }
  }

  /// The names in a directory, sorted by their bytes so that plans do not depend on the disk.
  static func names(_ path: String) throws(AgentError) -> [String] {
    guard let directory = opendir(path) else { throw failure("opendir", path) }
    defer { closedir(directory) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(directory) else {
        if errno != 0 { throw failure("readdir", path) }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
      }
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(validatingCString: $0) }
      }
      guard let name else { throw AgentError("\(path) holds a file whose name is not UTF-8.") }
      if name != ".", name != ".." { names.append(name) }
    }
  }

  /// `rm -rf`; a missing path is fine. Links are removed, never followed.
  static func removeTree(_ path: String) throws(AgentError) {
    guard let kind = kind(path) else { return }
    if kind == .directory {
      for name in try rawNames(path) { try removeTree(bytes: Array(path.utf8) + [0x2f] + name) }
      guard rmdir(path) == 0 || errno == ENOENT else { throw failure("rmdir", path) }
    } else {
      guard unlink(path) == 0 || errno == ENOENT else { throw failure("unlink", path) }
    }
  }

  // Names as bytes: a deployment archive that a hook has filled may hold names that are not UTF-8, and retention must still remove it.
  private static func removeTree(bytes path: [UInt8]) throws(AgentError) {
    let shown = String(decoding: path, as: UTF8.self)
    let c = path.map { CChar(bitPattern: $0) } + [0]
    var info = FileStatus()
    guard Glibc.lstat(c, &info) == 0 else { return }
    if kind(info) == .directory {
      for name in try rawNames(c, shown) { try removeTree(bytes: path + [0x2f] + name) }
      guard rmdir(c) == 0 || errno == ENOENT else { throw failure("rmdir", shown) }
    } else {
      guard unlink(c) == 0 || errno == ENOENT else { throw failure("unlink", shown) }
    }
  }
  private static func rawNames(_ path: String) throws(AgentError) -> [[UInt8]] {
    try rawNames(path.utf8.map { CChar(bitPattern: $0) } + [0], path)
  }
  private static func rawNames(_ path: [CChar], _ shown: String) throws(AgentError) -> [[UInt8]] {
    guard let directory = opendir(path) else { throw failure("opendir", shown) }
    defer { closedir(directory) }
    var names: [[UInt8]] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
      if name != [0x2e], name != [0x2e, 0x2e] { names.append(name) }
    }
    return names
  }

  static func readLink(_ path: String) throws(AgentError) -> String {
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = readlink(path, &buffer, buffer.count)
    guard count >= 0 else { throw failure("readlink", path) }
    guard let text = String(validating: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) else {
      throw AgentError("\(path) points to a name that is not UTF-8.")
    }
    return text
  }

  /// The path without links; nil when it does not exist.
  static func realPath(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(validatingCString: resolved)
  }
}
