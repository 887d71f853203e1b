import FoundationEssentials
import Glibc
import RegionKit

/// What one lifecycle event's scripts print: goes to scripts.log, to the deployments log and, the newest part, into the diagnostics.
/// Memory stays flat however much is printed; bytes that are not UTF-8 become replacement characters. Used by one thread at a time.
final class ScriptLog {
  /// A line longer than this is cut into several entries.
  static let longestLine = 65_536
  private let fd: Int32
  private let path: String
  private let deployments: DeploymentsLog?
  private let deploymentId: String
  private let clock: any RegionClock
  private var tail = LogTail()
  private var partial: [ChildProcess.Stream: [UInt8]] = [:]

  init(path: String, deployments: DeploymentsLog?, deploymentId: String, clock: any RegionClock) throws(AgentError) {
    self.path = path
    self.deployments = deployments
    self.deploymentId = deploymentId
    self.clock = clock
    try Disk.makeDirectories(RelativePath.parent(path))
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o644)
    guard fd >= 0 else { throw Disk.failure("open", path) }
  }
  deinit { close(fd) }

  var tailText: String { tail.text }

  func event(_ name: String) { write(["LifecycleEvent - \(name)\n"]) }
  func script(_ location: String) { write(["Script - \(location)\n"]) }

  /// Output as it comes; whole lines are written at once, the rest waits for its end.
  func output(_ stream: ChildProcess.Stream, _ bytes: UnsafeBufferPointer<UInt8>) {
    var entries: [String] = []
    var rest = bytes[...]
    var line = partial.removeValue(forKey: stream) ?? []
    while let newline = rest.firstIndex(of: 0x0a) {
      line.append(contentsOf: rest[..<newline])
      entries.append(entry(stream, line))
      line.removeAll(keepingCapacity: true)
      rest = rest[(newline + 1)...]
    }
    line.append(contentsOf: rest)
    while line.count > Self.longestLine {
      entries.append(entry(stream, Array(line.prefix(Self.longestLine))))
      line.removeFirst(Self.longestLine)
    }
    if !line.isEmpty { partial[stream] = line }
    if !entries.isEmpty { write(entries) }
  }

  /// Writes last lines without a line break; call when a script has ended.
  func flush() {
    let entries = [ChildProcess.Stream.stdout, .stderr].compactMap { stream in
      partial.removeValue(forKey: stream).map { entry(stream, $0) }
    }
    if !entries.isEmpty { write(entries) }
  }

  private func entry(_ stream: ChildProcess.Stream, _ line: [UInt8]) -> String {
    let bytes = line.last == 0x0d ? line.dropLast() : line[...]
    return "[\(stream == .stdout ? "stdout" : "stderr")]\(String(decoding: bytes, as: UTF8.self))\n"
  }

  private func write(_ entries: [String]) {
    let now = clock.now()
    let stamp = LogStamp.seconds(now) + " "
    var text = ""
    for entry in entries {
      text += stamp
      text += entry
      tail.append(entry)
    }
    try? Disk.writeAll(fd, text.utf8, path)
    deployments?.append(entries, deploymentId: deploymentId, at: now)
  }
}
