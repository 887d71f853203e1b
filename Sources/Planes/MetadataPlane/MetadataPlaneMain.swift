import CInstance
import Dispatch
import Glibc
public import Logging
public import RegionKit

/// `roadstead plane metadata --home DIR`: the metadata plane as a process of its own, and how the region keeps one running.
public enum MetadataPlaneMain {
  /// Serves until SIGTERM or SIGINT. Throws when another process serves this home already.
  public static func run(
    home: String, clock: any RegionClock = SystemClock(), randomness: any Randomness = SystemRandomness(),
    logger: Logger = Logger(label: "roadstead.metadata-plane")
  ) async throws {
    _ = try MetadataFiles.directory(home: home)
    // Listening before the lock: who sees the lock held may send SIGTERM at once, and it must not be lost.
    let (ends, end) = AsyncStream.makeStream(of: Void.self)
    var sources: [any DispatchSourceSignal] = []
    for number in [SIGTERM, SIGINT] { sources.append(await listen(for: number) { end.finish() }) }
    defer { sources.forEach { $0.cancel() } }
    let lock = rs_lock_file(lockFile(home), 0)
    if lock == -EWOULDBLOCK {
      throw AWSError(
        "ResourceInUse", "The metadata plane of \(home) runs already, as process \(runningProcess(home: home).map(String.init) ?? "?").")
    }
    if lock < 0 { throw MetadataFiles.failure("lock \(lockFile(home))", -lock) }
    defer { close(lock) }
    ftruncate(lock, 0)
    let note = Array("\(getpid())\n".utf8)
    _ = pwrite(lock, note, note.count, 0)
    let plane = try MetadataPlane(home: home, clock: clock, randomness: randomness, logger: logger)
    let serving = Task { try await plane.run() }
    let ending = Task {
      for await _ in ends {}
      serving.cancel()
    }
    defer { ending.cancel() }
    try await serving.value
  }

  /// Returns when the signal is listened for.
  private static func listen(for number: Int32, _ handler: @escaping @Sendable () -> Void) async -> any DispatchSourceSignal {
    signal(number, SIG_IGN)
    let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
    source.setEventHandler(handler: handler)
    let (registered, done) = AsyncStream.makeStream(of: Void.self)
    source.setRegistrationHandler { done.finish() }
    source.resume()
    for await _ in registered {}
    return source
  }

  /// Keeps a plane running for as long as the calling task is not cancelled: adopts one that runs, starts one where none does, and
  /// starts it again a second after it ended. The plane itself outlives the caller.
  /// - Parameter binary: the roadstead executable.
  public static func supervise(
    home: String, binary: String, clock: any RegionClock, logger: Logger = Logger(label: "roadstead.metadata-plane")
  ) async throws {
    while !Task.isCancelled {
      let pid: pid_t
      var isChild = false
      if let running = runningProcess(home: home) {
        pid = running
      } else {
        pid = try start(home: home, binary: binary)
        isChild = true
      }
      let process = rs_pidfd_open(pid)
      if process >= 0 {
        await end(of: process)
        // One that has just been started and does not serve yet cannot be found by `stop`.
        if Task.isCancelled, isChild, runningProcess(home: home) != pid { _ = rs_pidfd_signal(process, SIGKILL) }
        close(process)
      }
      if Task.isCancelled { return }
      if isChild { _ = rs_wait_child(pid) }
      logger.warning("the metadata plane ended; it is started again", metadata: ["pid": "\(pid)"])
      try await clock.sleepReal(1)
    }
  }

  /// Starts the plane in a session of its own, its log in `HOME/planes/metadata.log`. Answers its process id.
  @discardableResult
  public static func start(home: String, binary: String) throws -> Int32 {
    _ = try MetadataFiles.directory(home: home)
    var pid: pid_t = 0
    let words = [binary, "plane", "metadata", "--home", home]
    let arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    defer { arguments.forEach { free($0) } }
    let result = rs_spawn_detached(arguments, home + "/planes/metadata.log", &pid)
    if result < 0 { throw MetadataFiles.failure("start \(binary)", -result) }
    return pid
  }

  /// The process that serves a home, if one does.
  public static func runningProcess(home: String) -> Int32? {
    guard access(lockFile(home), F_OK) == 0 else { return nil }
    let lock = rs_lock_file(lockFile(home), 0)
    if lock >= 0 {
      close(lock)
      return nil
    }
    let note = String(decoding: MetadataFiles.read(lockFile(home)) ?? [], as: UTF8.self)
    return note.split(separator: "\n").first.flatMap { Int32($0) }
  }

  /// Asks the plane of a home to end, and waits for it, for `roadstead down`.
  public static func stop(home: String) async throws {
    for _ in 0..<100 {
      let lock = rs_lock_file(lockFile(home), 0)
      if lock != -EWOULDBLOCK {
        if lock >= 0 { close(lock) }
        return
      }
      if let pid = runningProcess(home: home) {
        let process = rs_pidfd_open(pid)
        if process >= 0 {
          defer { close(process) }
          _ = rs_pidfd_signal(process, SIGTERM)
          await end(of: process)
          return
        }
      }
      // It holds the lock and has not written its number yet.
      try await SystemClock().sleepReal(0.02)
    }
  }

  private static func lockFile(_ home: String) -> String { home + "/planes/metadata.lock" }

  /// Returns when the process has ended or the calling task was cancelled.
  private static func end(of process: Int32) async {
    let copy = fcntl(process, F_DUPFD_CLOEXEC, 0)
    if copy < 0 { return }
    let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
    let source = DispatchSource.makeReadSource(fileDescriptor: copy, queue: .global())
    source.setEventHandler { continuation.finish() }
    source.setCancelHandler { close(copy) }
    source.resume()
    for await _ in stream {}
    source.cancel()
  }
}
