import FoundationEssentials
import Glibc
import Synchronization

/// `deployment-logs/<program>-deployments.log`: the output of every deployment's scripts, rotated at 64 MiB, seven old files kept.
public final class DeploymentsLog: Sendable {
  static let largest: Int64 = 64 << 20
  static let kept = 8
  private let path: String
  private let state = Mutex<Int32>(-1)

  public init(path: String) { self.path = path }
  deinit { state.withLock { fd in if fd >= 0 { close(fd) } } }

  /// A log that cannot be written does not stop a deployment.
  func append(_ entries: [String], deploymentId: String, at date: Date) {
    let stamp = "[\(LogStamp.milliseconds(date))] [\(deploymentId)]"
    var text = ""
    for entry in entries { text += stamp + entry }
    state.withLock { fd in
      if fd >= 0 {
        var info = FileStatus()
        if fstat(fd, &info) == 0, Int64(info.st_size) >= Self.largest {
          close(fd)
          fd = -1
          rotate()
        }
      }
      if fd < 0 {
        try? Disk.makeDirectories(RelativePath.parent(path))
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
      }
      if fd >= 0 { try? Disk.writeAll(fd, text.utf8, path) }
    }
  }

  private func rotate() {
    for number in (0..<Self.kept - 2).reversed() { rename("\(path).\(number)", "\(path).\(number + 1)") }
    rename(path, "\(path).0")
  }
}
