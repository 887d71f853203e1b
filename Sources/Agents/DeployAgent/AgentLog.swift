import FoundationEssentials
import Glibc
public import Logging
import RegionKit
import Synchronization

/// The agent's log: standard error, and `<log_dir>/<program>.log` with a new file each day, seven of them kept.
public struct AgentLog: LogHandler {
  public var metadata: Logger.Metadata = [:]
  public var logLevel: Logger.Level
  private let file: LogFile

  init(directory: String, program: String, verbose: Bool, clock: any RegionClock) {
    logLevel = verbose ? .debug : .info
    file = LogFile(path: RelativePath.join(directory, program + ".log"), clock: clock)
  }

  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  public func log(event: LogEvent) {
    let all = metadata.merging(event.metadata ?? [:]) { _, new in new }
    let facts = all.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
    file.write("\(event.level.rawValue.uppercased())\(facts) \(event.message)")
  }
}

private final class LogFile: Sendable {
  private struct State {
    var fd: Int32 = -1
    var day = ""
  }
  static let kept = 7
  private let path: String
  private let clock: any RegionClock
  private let state = Mutex(State())

  init(path: String, clock: any RegionClock) {
    self.path = path
    self.clock = clock
  }
  deinit { state.withLock { state in if state.fd >= 0 { close(state.fd) } } }

  func write(_ text: String) {
    let stamp = LogStamp.seconds(clock.now())
    let line = Array("\(stamp) \(text)\n".utf8)
    try? Disk.writeAll(STDERR_FILENO, line, "standard error")
    state.withLock { state in
      let today = String(stamp.prefix(10))
      if state.day != today {
        if state.fd >= 0 { close(state.fd) }
        state.fd = opened(today)
        state.day = today
      }
      if state.fd >= 0 { try? Disk.writeAll(state.fd, line, path) }
    }
  }

  /// Moves another day's file aside first.
  private func opened(_ today: String) -> Int32 {
    try? Disk.makeDirectories(RelativePath.parent(path))
    if let info = Disk.lstat(path) {
      let day = LogStamp.seconds(Date(timeIntervalSince1970: Double(info.st_mtim.tv_sec))).prefix(10)
      if day != today {
        rename(path, "\(path).\(day.filter { $0 != "-" })")
        prune()
      }
    }
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
  }

  private func prune() {
    let directory = RelativePath.parent(path)
    let prefix = RelativePath.name(path) + "."
    let old = ((try? Disk.names(directory)) ?? []).filter { name in
      name.hasPrefix(prefix) && name.dropFirst(prefix.count).count == 8 && name.dropFirst(prefix.count).allSatisfy(\.isNumber)
    }
    for name in old.dropLast(Self.kept) { unlink(RelativePath.join(directory, name)) }
  }
}
