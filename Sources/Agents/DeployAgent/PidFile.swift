import Glibc

/// One agent per pid directory: `<pid_dir>/<program>.pid`, guarded by a lock on `<program>.pid.lock` that ends with the process.
final class PidFile {
  private let lock: Int32
  private let path: String

  init(directory: String, program: String) throws(AgentError) {
    try Disk.makeDirectories(directory)
    path = RelativePath.join(directory, program + ".pid")
    let lockPath = path + ".lock"
    lock = open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard lock >= 0 else { throw Disk.failure("open", lockPath) }
    guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
      close(lock)
      let holder = (try? Disk.read(path, limit: 64)).map { " (pid \(trimmed(String(decoding: $0, as: UTF8.self))))" } ?? ""
      throw AgentError("Another CodeDeploy agent is running here\(holder): \(lockPath) is locked. Stop it first or set another pid_dir.")
    }
    try Disk.replace(path, "\(getpid())\n")
  }

  deinit {
    unlink(path)
    close(lock)
  }
}
