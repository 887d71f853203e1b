import FoundationEssentials
import RegionKit

#if canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// The append-only audit log: one JSON object a line, a file a day (UTC), mode 0600. Holds no secret and no body.
actor AuditLog {
  private let directory: String
  private let clock: any RegionClock
  private var day = ""
  private var descriptor: Int32 = -1

  init(directory: String, clock: any RegionClock) throws {
    if mkdir(directory, 0o700) != 0, errno != EEXIST {
      throw AWSError.internalFailure("The audit directory \(directory) cannot be made: \(String(cString: strerror(errno))).")
    }
    self.directory = directory
    self.clock = clock
  }

  /// One line is one write, so that lines of a crashing process are whole or absent.
  func append(_ line: [UInt8]) {
    let today = String(clock.now().formatted(.iso8601).prefix(10))
    if today != day {
      if descriptor >= 0 { close(descriptor) }
      descriptor = open("\(directory)/\(today).jsonl", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
      day = today
    }
    guard descriptor >= 0 else { return }
    let bytes = line + [0x0a]
    _ = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
  }
}
