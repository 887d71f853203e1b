import RegionKit
import RegionStore
import Synchronization

/// A host in an account and region.
struct HostKey: Hashable, Sendable {
  let scope: Scope
  let hostId: String
}

/// Wakes polls that are held open. A signal is a hint, never the truth: whoever wakes reads the store. Nothing is lost when the
/// process dies, since every poll then begins anew.
final class WorkSignals: Sendable {
  private struct Slot {
    var generation = 0
    var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
  }
  private struct State {
    var slots: [HostKey: Slot] = [:]
    var nextWaiter = 0
  }
  private let state = Mutex(State())

  /// Take one before looking for work; `wait` returns at once if a signal came in between.
  func ticket(_ key: HostKey) -> Int { state.withLock { $0.slots[key]?.generation ?? 0 } }

  func wake(_ key: HostKey) {
    let waiters = state.withLock { state in
      state.slots[key, default: Slot()].generation += 1
      defer { state.slots[key]?.waiters = [:] }
      return state.slots[key].map { Array($0.waiters.values) } ?? []
    }
    for waiter in waiters { waiter.resume() }
  }

  /// Returns after a signal later than `ticket`, after `seconds`, or when the task is cancelled.
  func wait(_ key: HostKey, after ticket: Int, seconds: Double, clock: any RegionClock) async {
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.suspend(key, ticket) }
      // A cancelled sleep just ends the wait: the other side of the race has won.
      group.addTask { do { try await clock.sleepReal(seconds) } catch {} }
      await group.next()
      group.cancelAll()
    }
  }

  private func suspend(_ key: HostKey, _ ticket: Int) async {
    let id = state.withLock { state in
      state.nextWaiter += 1
      return state.nextWaiter
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isOver = state.withLock { state in
          if Task.isCancelled || state.slots[key]?.generation ?? 0 != ticket { return true }
          state.slots[key, default: Slot()].waiters[id] = continuation
          return false
        }
        if isOver { continuation.resume() }
      }
    } onCancel: {
      let waiter = state.withLock { $0.slots[key]?.waiters.removeValue(forKey: id) }
      waiter?.resume()
    }
  }
}

/// Wakes a host's polls the moment the commit that takes the host for a deployment is on disk, or the one that frees it.
final class WakeOnCommit: StoreObserver {
  private let signals: WorkSignals
  init(_ signals: WorkSignals) { self.signals = signals }
  func storeDidCommit(_ summary: CommitSummary) {
    for key in summary.keys where key.collection == HostRecord.collection {
      signals.wake(HostKey(scope: key.scope, hostId: key.id))
    }
  }
}
