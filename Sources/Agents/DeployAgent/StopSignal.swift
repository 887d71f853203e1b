import Dispatch
import Glibc
import Synchronization

/// A wish to stop that can come at any time, from a signal or from a test.
public final class StopSignal: Sendable {
  private struct State {
    var stopped = false
    var next = 0
    var cancels: [Int: @Sendable () -> Void] = [:]
  }
  private let state = Mutex(State())
  public init() {}

  public func stop() {
    let cancels = state.withLock { state in
      state.stopped = true
      defer { state.cancels = [:] }
      return Array(state.cancels.values)
    }
    for cancel in cancels { cancel() }
  }
  public var isStopped: Bool { state.withLock { $0.stopped } }

  /// Waits for a task that a stop cancels; nil when it ended by that.
  func value<S: Sendable>(of task: Task<S, any Error>) async throws -> S? {
    let id = register { task.cancel() }
    defer { forget(id) }
    do { return try await task.value } catch is CancellationError where isStopped { return nil }
  }

  /// Waits for a task that a stop cancels.
  func wait(for task: Task<Void, Never>) async {
    let id = register { task.cancel() }
    defer { forget(id) }
    await task.value
  }

  private func register(_ cancel: @escaping @Sendable () -> Void) -> Int {
    let (id, now) = state.withLock { state in
      state.next += 1
      if !state.stopped { state.cancels[state.next] = cancel }
      return (state.next, state.stopped)
    }
    if now { cancel() }
    return id
  }
  private func forget(_ id: Int) { state.withLock { $0.cancels[id] = nil } }

  /// Stops on SIGTERM and SIGINT for as long as the result lives.
  func onTermination() -> [any DispatchSourceSignal] {
    [SIGTERM, SIGINT].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { self.stop() }
      source.resume()
      return source
    }
  }
}
