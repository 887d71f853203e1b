import FoundationEssentials
public import RegionKit

#if canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// Holds a region's home for this process. The lock ends with the process, however it ends.
public final class HomeLock: Sendable {
  /// Somebody else holds the home.
  public struct Held: Error, Sendable, CustomStringConvertible {
    public let home: String
    /// As the holder wrote them; empty when the file could not be read.
    public let pid: String
    public let since: String
    public let command: String
    public var description: String {
      let holder = pid.isEmpty ? "another process" : "process \(pid) since \(since) (\(command))"
      return "The home \(home) is in use by \(holder). Stop that process or choose another --home."
    }
  }
  /// The lock file could not be made.
  public struct Failed: Error, Sendable, CustomStringConvertible {
    public let description: String
  }

  private let descriptor: CInt

  /// Locks `home/lock`, making the directory (mode 0700) when it is absent. Throws `Held` or `Failed`.
  public init(home: String, clock: any RegionClock, command: String) throws {
    if mkdir(home, 0o700) != 0, errno != EEXIST {
      throw Failed(description: "The home \(home) cannot be made: \(String(cString: strerror(errno))).")
    }
    let path = home + "/lock"
    let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard file >= 0 else { throw Failed(description: "\(path) cannot be opened: \(String(cString: strerror(errno))).") }
    guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
      let reason = errno
      defer { close(file) }
      if reason == EWOULDBLOCK { throw Self.holder(of: home, file) }
      throw Failed(description: "\(path) cannot be locked: \(String(cString: strerror(reason))).")
    }
    let oneLine = command.map { $0.isNewline ? " " : $0 }
    var text = "pid=\(getpid())\nsince=\(clock.now().formatted(.iso8601))\ncommand=\(String(oneLine))\n"
    let written = text.withUTF8 { bytes in ftruncate(file, 0) == 0 && pwrite(file, bytes.baseAddress, bytes.count, 0) == bytes.count }
    guard written else {
      close(file)
      throw Failed(description: "\(path) cannot be written: \(String(cString: strerror(errno))).")
    }
    descriptor = file
  }

  deinit { close(descriptor) }

  private static func holder(of home: String, _ file: CInt) -> Held {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = pread(file, &bytes, bytes.count, 0)
    var fields: [Substring: String] = [:]
    for line in String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(separator: "\n") {
      let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      if parts.count == 2 { fields[parts[0]] = String(parts[1]) }
    }
    return Held(home: home, pid: fields["pid"] ?? "", since: fields["since"] ?? "?", command: fields["command"] ?? "?")
  }
}
