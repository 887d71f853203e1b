import Dispatch
import Synchronization

/// Runs blocking calls on a bounded number of threads of its own, first come first served, so that a slow disk never holds up the threads
/// that Swift's tasks run on.
final class BlockingThreads: Sendable {
  private struct State: Sendable {
    var waiting: [@Sendable () -> Void] = []
    /// Index of the next waiting job; the array is cut now and then.
    var head = 0
    var active = 0
  }
  private let state = Mutex(State())
  private let queue: DispatchQueue
  private let limit: Int

  init(_ label: String, limit: Int) {
    queue = DispatchQueue(label: label, qos: .userInitiated, attributes: .concurrent)
    self.limit = limit
  }

  func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withUnsafeThrowingContinuation { continuation in
      submit { continuation.resume(with: Swift.Result { try body() }) }
    }
  }

  private func submit(_ job: @escaping @Sendable () -> Void) {
    let start = state.withLock { state in
      state.waiting.append(job)
      if state.active >= limit { return false }
      state.active += 1
      return true
    }
    if start { queue.async { self.work() } }
  }

  private func work() {
    while true {
      let job: (@Sendable () -> Void)? = state.withLock { state in
        guard state.head < state.waiting.count else {
          state.waiting.removeAll(keepingCapacity: state.head < 1024)
          state.head = 0
          state.active -= 1
          return nil
        }
        let job = state.waiting[state.head]
        state.head += 1
        if state.head > 256, state.head * 2 > state.waiting.count {
          state.waiting.removeFirst(state.head)
          state.head = 0
        }
        return job
      }
      guard let job else { return }
      job()
    }
  }
}
