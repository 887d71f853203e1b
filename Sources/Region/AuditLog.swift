import FoundationEssentials
import Gateway
import RegionKit

#if canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// The append-only audit log: one JSON object a line, a file a day (UTC), mode 0600. Holds no secret and no body.
final class AuditLog: AuditSink {
  private let lines: AsyncStream<AuditRecord>.Continuation

  /// Throws when the directory cannot be made.
  init(directory: String, clock: any RegionClock) throws {
    if mkdir(directory, 0o700) != 0, errno != EEXIST {
      throw AWSError.internalFailure("The audit directory \(directory) cannot be made: \(String(cString: strerror(errno))).")
    }
    let (stream, continuation) = AsyncStream.makeStream(of: AuditRecord.self)
    lines = continuation
    let file = AuditFile(directory: directory)
    Task { for await record in stream { await file.append(record) } }
  }

  deinit { lines.finish() }

  func record(_ record: AuditRecord) { lines.yield(record) }
}

private actor AuditFile {
  private let directory: String
  private let encoder = JSONEncoder()
  private var day = ""
  private var descriptor: Int32 = -1

  init(directory: String) {
    self.directory = directory
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.dateEncodingStrategy = .iso8601
  }

  /// One line is one write, so that the lines of a crashing process are whole or absent.
  func append(_ record: AuditRecord) {
    let today = String(record.time.formatted(.iso8601).prefix(10))
    if today != day {
      if descriptor >= 0 { close(descriptor) }
      descriptor = open("\(directory)/\(today).jsonl", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
      day = today
    }
    guard descriptor >= 0, var bytes = try? encoder.encode(record) else { return }
    bytes.append(0x0a)
    _ = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
  }
}
