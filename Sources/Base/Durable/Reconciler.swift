public import Logging
public import RegionKit
public import RegionStore

/// Compares what is wanted of one thing with what is, and does what is missing. It is told a key and nothing else, so it must look at the
/// store and the world each time; running it too often does no harm.
public protocol Reconciler: Sendable {
  var name: String { get }
  /// Seconds of region time (scaled) between two rounds over every key.
  var period: Double { get }
  /// Every key there is.
  func keys() async throws -> [StoreKey]
  /// The keys that a commit may concern. Called on the store's writer: compute, never block.
  func keys(touchedBy commit: CommitSummary) -> [StoreKey]
  /// Throwing makes the runner try again with growing delays (0.1 s doubling to 60 s, real time).
  func reconcile(_ key: StoreKey) async throws
}

extension Reconciler {
  public func keys(touchedBy commit: CommitSummary) -> [StoreKey] { [] }
}

/// Runs one reconciler: at start and each period over all keys, and at once for keys that commits touch. One key is never in work twice at
/// a time; a key touched while it is in work is done once more after it.
public actor ReconcilerRunner {
  private let reconciler: any Reconciler
  private let store: any DurableStore
  private let clock: any RegionClock
  private let log: Logger
  private let concurrency: Int
  private var queue: [StoreKey] = []
  private var queued: Set<StoreKey> = []
  private var inWork: Set<StoreKey> = []
  private var failures: [StoreKey: Int] = [:]
  private var tasks: [Int: Task<Void, Never>] = [:]
  private var nextTask = 0
  private var observer: KeyObserver?
  private var stopping = false

  /// - Parameter concurrency: how many keys are in work at once, at least 1.
  public init(
    _ reconciler: any Reconciler, store: any DurableStore, clock: any RegionClock, concurrency: Int = 8,
    log: Logger = Logger(label: "roadstead.reconcile")
  ) {
    self.reconciler = reconciler
    self.store = store
    self.clock = clock
    self.concurrency = max(1, concurrency)
    self.log = log
  }

  public func start() {
    guard observer == nil, !stopping else { return }
    let reconciler = reconciler
    let observer = KeyObserver(keys: { reconciler.keys(touchedBy: $0) }) { [weak self] keys in
      Task { await self?.poke(keys) }
    }
    self.observer = observer
    store.observe(observer)
    spawn { await self.rounds() }
  }

  /// Puts keys to work as soon as there is room.
  public func poke(_ keys: [StoreKey]) {
    for key in keys where queued.insert(key).inserted { queue.append(key) }
    work()
  }

  /// Cancels what is in work and returns when nothing is.
  public func shutdown() async {
    stopping = true
    observer = nil
    for task in tasks.values { task.cancel() }
    for task in tasks.values { await task.value }
  }

  private func spawn(_ body: @escaping @Sendable () async -> Void) {
    if stopping { return }
    nextTask += 1
    let id = nextTask
    tasks[id] = Task {
      await body()
      self.forget(id)
    }
  }
  private func forget(_ id: Int) { tasks[id] = nil }

  private func rounds() async {
    repeat {
      do { poke(try await reconciler.keys()) } catch {
        log.error("the keys to reconcile cannot be listed", metadata: ["reconciler": "\(reconciler.name)", "error": "\(error)"])
      }
    } while (try? await clock.sleepScaled(reconciler.period)) != nil
  }

  private func work() {
    while !stopping, inWork.count < concurrency, let index = queue.firstIndex(where: { !inWork.contains($0) }) {
      let key = queue.remove(at: index)
      queued.remove(key)
      inWork.insert(key)
      spawn { await self.reconcile(key) }
    }
  }

  private func reconcile(_ key: StoreKey) async {
    do {
      try await reconciler.reconcile(key)
      failures[key] = nil
    } catch {
      if !Task.isCancelled { retry(key, error) }
    }
    inWork.remove(key)
    work()
  }

  private func retry(_ key: StoreKey, _ error: any Error) {
    let count = failures[key, default: 0] + 1
    failures[key] = count
    log.error(
      "reconciling failed and is tried again",
      metadata: ["reconciler": "\(reconciler.name)", "key": "\(key)", "failures": "\(count)", "error": "\(error)"])
    let clock = clock
    spawn {
      if (try? await clock.sleepReal(TaskStep.delay(afterFailures: count))) != nil { await self.poke([key]) }
    }
  }
}

private final class KeyObserver: StoreObserver {
  private let keys: @Sendable (CommitSummary) -> [StoreKey]
  private let found: @Sendable ([StoreKey]) -> Void
  init(keys: @escaping @Sendable (CommitSummary) -> [StoreKey], found: @escaping @Sendable ([StoreKey]) -> Void) {
    self.keys = keys
    self.found = found
  }
  func storeDidCommit(_ summary: CommitSummary) {
    let keys = keys(summary)
    if !keys.isEmpty { found(keys) }
  }
}
