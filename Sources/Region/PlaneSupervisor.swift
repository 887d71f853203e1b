import Logging
import RegionKit
import Synchronization

#if canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// Keeps a data plane's process going while the control plane runs. The plane has its own session and lives on when the control plane
/// dies; the next start finds it by its lock and leaves it alone.
final class PlaneSupervisor: Sendable {
  private let executable: String
  private let arguments: [String]
  private let lockPath: String
  private let logPath: String
  private let clock: any RegionClock
  private let logger: Logger
  private let stopping = Atomic(false)

  init(executable: String, arguments: [String], lockPath: String, logPath: String, clock: any RegionClock, logger: Logger) {
    self.executable = executable
    self.arguments = arguments
    self.lockPath = lockPath
    self.logPath = logPath
    self.clock = clock
    self.logger = logger
  }

  /// Runs until cancelled: starts the plane when nobody holds its lock, and again when it ends.
  func run() async {
    var delay = 0.1
    while !Task.isCancelled, !stopping.load(ordering: .relaxed) {
      do {
        if let holder = holder() {
          await ended(holder)
        } else {
          let pid = try spawn()
          logger.info("plane started", metadata: ["plane": "\(arguments.joined(separator: " "))", "pid": "\(pid)"])
          await ended(pid)
        }
      } catch { logger.error("plane does not start", metadata: ["error": "\(error)"]) }
      if stopping.load(ordering: .relaxed) { return }
      try? await clock.sleepReal(delay)
      delay = min(5, delay * 2)
    }
  }

  /// Ends the plane: SIGTERM, and it drains.
  func stop() async {
    stopping.store(true, ordering: .relaxed)
    guard let pid = holder() else { return }
    kill(pid, SIGTERM)
    await ended(pid, limit: 5)
    if alive(pid) { kill(pid, SIGKILL) }
  }

  /// The pid written in the lock file, while that lock is held.
  private func holder() -> pid_t? {
    let descriptor = open(lockPath, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    guard flock(descriptor, LOCK_SH | LOCK_NB) != 0 else { return nil }
    var bytes = [UInt8](repeating: 0, count: 32)
    let count = pread(descriptor, &bytes, bytes.count, 0)
    return count > 0 ? pid_t(String(decoding: bytes[..<count].prefix { (0x30...0x39).contains($0) }, as: UTF8.self)) : nil
  }

  private func spawn() throws -> pid_t {
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSID))
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, logPath, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    var argv: [UnsafeMutablePointer<CChar>?] = ([executable] + arguments).map { strdup($0) } + [nil]
    defer { for pointer in argv { free(pointer) } }
    var pid: pid_t = 0
    let status = posix_spawn(&pid, executable, &actions, &attributes, &argv, environ)
    guard status == 0 else { throw AWSError.internalFailure("\(executable) cannot be started: \(String(cString: strerror(status))).") }
    return pid
  }

  private func alive(_ pid: pid_t) -> Bool {
    var status: Int32 = 0
    if waitpid(pid, &status, WNOHANG) == pid { return false }
    return kill(pid, 0) == 0
  }

  /// Waits for the process's end without blocking a thread: a pidfd would say it at once, but an adopted plane's end may wait a second.
  private func ended(_ pid: pid_t, limit: Double = .infinity) async {
    var waited = 0.0
    while alive(pid), waited < limit, !Task.isCancelled {
      let step = limit.isFinite ? 0.02 : 1
      try? await clock.sleepReal(step)
      waited += step
    }
  }
}
