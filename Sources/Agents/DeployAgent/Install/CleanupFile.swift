import Glibc

/// What an Install has created, one path per line in the order of creation, so that the next one can remove it. Written line by line:
/// after a crash an unfinished last line is skipped.
enum CleanupFile {
  enum Line: Equatable, Sendable {
    case path(String)
    case semanage(String)
  }

  /// The complete lines. Pure.
  static func lines(_ bytes: [UInt8]) -> [Line] {
    guard let end = bytes.lastIndex(of: 0x0a) else { return [] }
    return bytes[..<end].split(separator: 0x0a).compactMap { raw in
      guard let text = String(validating: raw, as: UTF8.self) else { return nil }
      if text.hasPrefix("semanage\0") { return .semanage(String(text.dropFirst("semanage\0".count))) }
      return text.hasPrefix("/") ? .path(text) : nil
    }
  }

  /// Removes what the file lists, last line first, then the file. A missing file or path is fine; a directory goes only when empty.
  static func run(_ path: String, tools: SystemTools) throws(AgentError) {
    guard Disk.exists(path) else { return }
    for line in lines(try Disk.read(path, limit: 1 << 30)).reversed() {
      switch line {
      case .semanage(let target): try tools.removeContext(target)
      case .path(let target): try remove(target)
      }
    }
    guard unlink(path) == 0 || errno == ENOENT else { throw Disk.failure("unlink", path) }
  }

  private static func remove(_ path: String) throws(AgentError) {
    switch Disk.kind(path) {
    case nil: return
    case .directory:
      guard rmdir(path) == 0 || [ENOENT, ENOTEMPTY, EEXIST, EBUSY].contains(errno) else { throw Disk.failure("rmdir", path) }
    default: guard unlink(path) == 0 || errno == ENOENT else { throw Disk.failure("unlink", path) }
    }
  }

  /// Appends lines to a cleanup file while an Install runs.
  final class Writer {
    private let fd: Int32
    private let path: String
    init(_ path: String) throws(AgentError) {
      self.path = path
      fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_TRUNC | O_CLOEXEC, 0o644)
      guard fd >= 0 else { throw Disk.failure("open", path) }
    }
    deinit { close(fd) }
    func add(_ line: Line) throws(AgentError) {
      switch line {
      case .path(let path):
        guard !path.utf8.contains(0x0a) else {
          throw AgentError("\(path.debugDescription) cannot be installed: its name has a line break.")
        }
        try Disk.writeAll(fd, Array((path + "\n").utf8), self.path)
      case .semanage(let target): try Disk.writeAll(fd, Array("semanage\0\(target)\n".utf8), path)
      }
    }
    func sync() { fdatasync(fd) }
  }
}
