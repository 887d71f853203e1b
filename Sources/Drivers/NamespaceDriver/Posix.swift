import CInstance
import Glibc
internal import RegionKit

/// The driver's ways of saying no.
enum DriverFailure {
  static func unsupported(_ message: String) -> AWSError { AWSError("UnsupportedOperation", message, status: 400) }
  static func internalError(_ message: String) -> AWSError { AWSError("InternalError", message, status: 500, fault: .receiver) }
}

/// Files of the host, small and whole.
enum Posix {
  static func failure(_ what: String, _ code: Int32) -> AWSError {
    DriverFailure.internalError("Cannot \(what): \(String(cString: strerror(code))).")
  }
  /// Throws when a C function answered a negative errno.
  static func check(_ result: Int32, _ what: @autoclosure () -> String) throws {
    if result < 0 { throw failure(what(), -result) }
  }

  static func makeDirectories(_ path: String, mode: mode_t) throws {
    if mkdir(path, mode) == 0 || errno == EEXIST { return }
    let code = errno
    guard code == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
      throw failure("make the directory \(path)", code)
    }
    try makeDirectories(String(path[..<slash]), mode: mode)
    if mkdir(path, mode) < 0 && errno != EEXIST { throw failure("make the directory \(path)", errno) }
  }

  static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// The file's bytes, at most the last `limit`; nil when it cannot be read.
  static func read(_ path: String, last limit: Int = .max) -> [UInt8]? {
    let fd = open(path, O_RDONLY | O_CLOEXEC)
    guard fd >= 0 else { return nil }
    defer { close(fd) }
    if limit < Int.max {
      let size = Int(lseek(fd, 0, SEEK_END))
      lseek(fd, off_t(max(0, size - limit)), SEEK_SET)
    }
    var out: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 65536)
    while out.count < limit {
      let got = Glibc.read(fd, &piece, min(piece.count, limit - out.count))
      if got < 0 && errno == EINTR { continue }
      if got <= 0 { break }
      out.append(contentsOf: piece[..<got])
    }
    return out
  }
  static func text(_ path: String) -> String? { read(path).map { String(decoding: $0, as: UTF8.self) } }

  /// All or nothing; `durable` survives a power loss as well, at the cost of a sync.
  static func write(_ bytes: [UInt8], to path: String, mode: UInt32, durable: Bool = true) throws {
    try check(rs_write_atomic(path, bytes, bytes.count, mode, durable ? 1 : 0), "write \(path)")
  }
  /// Into an existing file of the kernel's, in one call.
  static func set(_ path: String, _ value: String) -> Int32 {
    let fd = open(path, O_WRONLY | O_CLOEXEC)
    guard fd >= 0 else { return -errno }
    defer { close(fd) }
    let bytes = Array(value.utf8)
    return Glibc.write(fd, bytes, bytes.count) < 0 ? -errno : 0
  }

  static func names(in directory: String) -> [String] {
    guard let stream = opendir(directory) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names
  }

  static func removeTree(_ path: String) throws { try check(rs_remove_tree(path), "remove \(path)") }
}
