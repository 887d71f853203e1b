import RegionKit

extension DurableStore {
  /// Wakes whoever waits for a change, e.g. a long poll: one element per burst of commits for which `wants` answers true, from now on.
  /// An element says only that something has changed; read the store to see what. The stream ends when its consumer stops.
  /// - Parameter wants: called on the store's writer for each commit: compute, never block.
  public func changes(_ wants: @escaping @Sendable (CommitSummary) -> Bool) -> AsyncStream<Void> {
    let (stream, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let observer = ChangeObserver(wants: wants) { wake.yield() }
    observe(observer)
    // The store holds observers weakly: the stream keeps its own alive.
    wake.onTermination = { _ in withExtendedLifetime(observer) {} }
    return stream
  }
}

private final class ChangeObserver: StoreObserver {
  private let wants: @Sendable (CommitSummary) -> Bool
  private let wake: @Sendable () -> Void
  init(wants: @escaping @Sendable (CommitSummary) -> Bool, wake: @escaping @Sendable () -> Void) {
    self.wants = wants
    self.wake = wake
  }
  func storeDidCommit(_ summary: CommitSummary) { if wants(summary) { wake() } }
}
