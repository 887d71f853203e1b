import Synchronization

/// One writer at a time per name, first come first served. The store's expectations decide who wins; this only spares writers of
/// one key the races they would lose, and gives versions of a key their places in the order of their commits.
final class KeyLocks: Sendable {
  private let waiting = Mutex<[String: [CheckedContinuation<Void, Never>]]>([:])

  func withLock<Value: Sendable>(_ name: String, _ body: () async throws -> Value) async throws -> Value {
    await acquire(name)
    defer { release(name) }
    return try await body()
  }

  private func acquire(_ name: String) async {
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      let free = waiting.withLock { waiting in
        if waiting[name] != nil {
          waiting[name]?.append(continuation)
          return false
        }
        waiting[name] = []
        return true
      }
      if free { continuation.resume() }
    }
  }

  private func release(_ name: String) {
    let next = waiting.withLock { waiting -> CheckedContinuation<Void, Never>? in
      guard waiting[name]?.isEmpty == false else {
        waiting[name] = nil
        return nil
      }
      return waiting[name]?.removeFirst()
    }
    next?.resume()
  }
}
