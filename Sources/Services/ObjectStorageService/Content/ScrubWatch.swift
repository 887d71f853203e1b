import Synchronization

/// What versions name while a scrub runs. A version may move between the rows of current and older ones behind the scrub's back, so
/// every version that is written meanwhile vouches for its bytes.
final class ScrubWatch: Sendable {
  private struct State {
    var running = 0
    var named: Set<String> = []
  }
  private let state = Mutex(State())

  func begin() { state.withLock { $0.running += 1 } }
  func end() {
    state.withLock { state in
      state.running -= 1
      if state.running == 0 { state.named = [] }
    }
  }
  var isRunning: Bool { state.withLock { $0.running > 0 } }
  func isNamed(_ id: String) -> Bool { state.withLock { $0.named.contains(id) } }

  /// Called before the commit that writes the version.
  func name(_ reference: ContentReference) {
    let id: String
    switch reference {
    case .empty: return
    case .inline(let row): id = row
    case .file(let file): id = file
    case .manifest(let row): id = row
    }
    state.withLock { state in if state.running > 0 { state.named.insert(id) } }
  }
}
