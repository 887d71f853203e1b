import Durable
import FoundationEssentials
import RegionKit
import RegionStore
import RoadsteadTesting
import Synchronization

let scope = Scope(account: AccountID("111111111111"), region: RegionName("us-east-1"))

/// A task handler made of closures.
struct Handler: TaskHandler {
  var kind = "k"
  var maximumAttempts = 10
  var machineCollection: String?
  var body: @Sendable (ClaimedTask) async throws -> TaskOutcome
  var giveUp: @Sendable (ClaimedTask, any Error) async throws -> StoreCommit = { _, _ in StoreCommit() }
  func run(_ task: ClaimedTask) async throws -> TaskOutcome { try await body(task) }
  func exhausted(_ task: ClaimedTask, error: any Error) async throws -> StoreCommit { try await giveUp(task, error) }
}

struct Counter: StoredRecord, Equatable {
  static let collection = "test.counter"
  var count = 0
}

/// What happened, in order; a test waits for it to happen.
final class Journal: Sendable {
  private struct State {
    var entries: [String] = []
    var waiters: [(count: Int, wake: CheckedContinuation<Void, Never>)] = []
  }
  private let state = Mutex(State())
  func add(_ entry: String) {
    let awake = state.withLock { state in
      state.entries.append(entry)
      let awake = state.waiters.filter { $0.count <= state.entries.count }
      state.waiters.removeAll { $0.count <= state.entries.count }
      return awake
    }
    for waiter in awake { waiter.wake.resume() }
  }
  var entries: [String] { state.withLock { $0.entries } }
  func wait(for count: Int) async {
    await withCheckedContinuation { (wake: CheckedContinuation<Void, Never>) in
      let ready = state.withLock { state in
        if state.entries.count >= count { return true }
        state.waiters.append((count, wake))
        return false
      }
      if ready { wake.resume() }
    }
  }
}

/// Opens once.
final class Gate: Sendable {
  private let journal = Journal()
  func open() { journal.add("open") }
  func wait() async { await journal.wait(for: 1) }
}

func add(_ store: any RegionStore, _ tasks: NewTask...) async throws {
  var commit = StoreCommit()
  commit.tasks = tasks
  try await store.commit(commit)
}

func task(
  _ id: String, kind: String = "k", subject: String? = nil, due: Date, expectedVersion: Int64? = nil
) -> NewTask {
  NewTask(id: id, kind: kind, scope: scope, subject: subject ?? id, due: due, expectedVersion: expectedVersion)
}
