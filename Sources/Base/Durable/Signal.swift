import RegionStore
import Synchronization

/// Turns any number of pokes from any thread into one call of `wake`, until `take` is called. So a thousand commits cost one wake-up.
final class Signal: StoreObserver {
  private let pending = Mutex(false)
  private let wants: @Sendable (CommitSummary) -> Bool
  private let wake: @Sendable () -> Void

  init(wants: @escaping @Sendable (CommitSummary) -> Bool, wake: @escaping @Sendable () -> Void) {
    self.wants = wants
    self.wake = wake
  }
  func storeDidCommit(_ summary: CommitSummary) { if wants(summary) { poke() } }
  func poke() {
    let first = pending.withLock { pending in
      defer { pending = true }
      return !pending
    }
    if first { wake() }
  }
  /// From now on a poke wakes again. Call it before looking, so that nothing is missed.
  func take() { pending.withLock { $0 = false } }
}
