import Synchronization

/// Keeps bytes that somebody reads from being deleted under the reader. A deleter dooms an id first; it may do so only while
/// nobody holds it, and from then on nobody can take hold of it.
final class ContentLeases: Sendable {
  private struct State {
    var readers: [String: Int] = [:]
    var doomed: Set<String> = []
  }
  private let state = Mutex(State())

  /// Nil when the id is being deleted; the caller reads the object's row again.
  func acquire(_ id: String) -> ContentLease? {
    let taken = state.withLock { state in
      if state.doomed.contains(id) { return false }
      state.readers[id, default: 0] += 1
      return true
    }
    return taken ? ContentLease(id: id, leases: self) : nil
  }

  fileprivate func release(_ id: String) {
    state.withLock { state in
      let left = (state.readers[id] ?? 1) - 1
      state.readers[id] = left > 0 ? left : nil
    }
  }

  /// False while somebody reads it.
  func doom(_ id: String) -> Bool {
    state.withLock { state in
      if state.readers[id] != nil { return false }
      state.doomed.insert(id)
      return true
    }
  }

  /// The deletion is over; ids are never used again, so nothing needs to be remembered.
  func forget(_ id: String) { state.withLock { state in _ = state.doomed.remove(id) } }
}

/// A hold on stored bytes that ends when the last reference to it goes.
final class ContentLease: Sendable {
  private let id: String
  private let leases: ContentLeases
  fileprivate init(id: String, leases: ContentLeases) {
    self.id = id
    self.leases = leases
  }
  deinit { leases.release(id) }
}
