import CInstance
import Glibc

/// The process that holds an instance up: its id on the host, and the start time that makes it unique.
struct InitProcess: Sendable, Equatable {
  let pid: pid_t
  let startTime: UInt64

  init(pid: pid_t, startTime: UInt64) {
    self.pid = pid
    self.startTime = startTime
  }

  /// From the launcher's note `PID STARTTIME`.
  init?(note: String) {
    let parts = note.split(whereSeparator: \.isWhitespace)
    guard parts.count == 2, let pid = pid_t(parts[0]), let startTime = UInt64(parts[1]), pid > 1 else { return nil }
    self.init(pid: pid, startTime: startTime)
  }

  /// From `/proc/PID/stat`; nil for a process that has ended, whether or not somebody has reaped it.
  init?(pid: pid_t, stat: String) {
    guard let close = stat.lastIndex(of: ")") else { return nil }
    let fields = stat[stat.index(after: close)...].split(separator: " ")
    // Field 3 (state) is the first behind the name, field 22 (start time) the twentieth.
    guard fields.count >= 20, fields[0] != "Z", fields[0] != "X", let startTime = UInt64(fields[19]) else { return nil }
    self.init(pid: pid, startTime: startTime)
  }

  /// Still this process, and still in the instance's control group.
  func isAlive(inGroup group: String) -> Bool {
    guard let stat = Posix.text("/proc/\(pid)/stat"), InitProcess(pid: pid, stat: stat) == self else { return false }
    return (Posix.text("/proc/\(pid)/cgroup") ?? "").split(separator: "\n").contains { $0.hasSuffix(group) }
  }

  /// SIGTERM, then SIGKILL once `grace` seconds have passed; returns when every process of the instance is gone.
  func end(grace: Double) throws {
    let fd = rs_pidfd_open(pid)
    if fd == -ESRCH { return }
    try Posix.check(fd, "open process \(pid)")
    defer { close(fd) }
    // The descriptor now names one process for good; make sure it is the right one.
    guard let stat = Posix.text("/proc/\(pid)/stat"), InitProcess(pid: pid, stat: stat) == self else { return }
    if grace > 0 {
      let sent = rs_pidfd_signal(fd, SIGTERM)
      if sent == -ESRCH { return }
      try Posix.check(sent, "signal process \(pid)")
      if rs_pidfd_wait(fd, Int32(min(grace, 86400) * 1000)) == 1 { return }
    }
    let sent = rs_pidfd_signal(fd, SIGKILL)
    if sent == -ESRCH { return }
    try Posix.check(sent, "kill process \(pid)")
    guard rs_pidfd_wait(fd, 30000) == 1 else {
      throw DriverFailure.internalError("Process \(pid) does not end after SIGKILL; the kernel holds it (see /proc/\(pid)/stack).")
    }
  }
}
