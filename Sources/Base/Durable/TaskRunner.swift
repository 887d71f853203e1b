import FoundationEssentials
public import Logging
public import RegionKit
public import RegionStore

/// Claims due tasks and runs their handlers. It sleeps until the next due time and is woken by commits, never polls. Tasks of one kind and
/// subject run one after another. A lease is kept alive while its handler runs; a runner that dies leaves its rows to whoever comes next.
public actor TaskRunner {
  public struct Options: Sendable {
    /// How many handlers run at once, at least 1.
    public var concurrency = 32
    /// Seconds (real time) after which the row of a dead runner is free again. Renewed at a third of it.
    public var lease = 30.0
    /// True when this process alone uses the store (`HomeLock`): leases of earlier processes are void at once.
    public var exclusive = true
    public init() {}
  }

  private let store: any DurableStore
  private let handlers: [String: any TaskHandler]
  private let clock: any RegionClock
  private let log: Logger
  private let options: Options
  private let step: TaskStep
  /// Names this runner in leases. New for each runner, so a lease never looks like that of an earlier process.
  public nonisolated let owner: String

  private var signal: Signal?
  private var running: [String: (lease: TaskLease, task: Task<Void, Never>)] = [:]
  private var timer: (due: Date, task: Task<Void, Never>)?
  private var renewal: Task<Void, Never>?
  private var claiming = false
  private var wanted = false
  private var stopping = false
  private var drained: [CheckedContinuation<Void, Never>] = []

  public init(
    store: any DurableStore, handlers: [any TaskHandler], clock: any RegionClock, randomness: any Randomness,
    options: Options = Options(), log: Logger = Logger(label: "roadstead.tasks")
  ) {
    self.store = store
    self.handlers = Dictionary(handlers.map { ($0.kind, $0) }) { first, _ in first }
    precondition(self.handlers.count == handlers.count, "two task handlers have one kind")
    self.clock = clock
    self.log = log
    self.options = options
    step = TaskStep(store: store, clock: clock, log: log)
    owner = "runner-" + randomness.hex(16)
  }

  /// Begins to run tasks. Throws what the store throws.
  public func start() async throws {
    guard signal == nil, !stopping else { return }
    let signal = Signal(wants: { $0.earliestTask != nil || $0.endedTasks }) { [weak self] in
      Task { await self?.claim() }
    }
    self.signal = signal
    store.observe(signal)
    if options.exclusive {
      let taken = try await store.takeOverLeases(for: owner)
      if taken > 0 { log.notice("took over the tasks of an earlier process", metadata: ["count": "\(taken)"]) }
    }
    let orphans = Set(try await store.pendingTasks().map(\.kind)).subtracting(handlers.keys)
    if !orphans.isEmpty {
      log.error("tasks wait for which this program has no handler", metadata: ["kinds": "\(orphans.sorted())"])
    }
    await claim()
  }

  /// Looks for due work now. Not needed after commits through the same store object.
  public nonisolated func poke() { Task { await claim() } }

  /// Claims no more, waits up to `grace` seconds (real time) for running handlers, then cancels them; a cancelled handler's row is free
  /// again at once. Returns when none runs.
  public func shutdown(grace: Double = 10) async {
    stopping = true
    timer?.task.cancel()
    timer = nil
    if !isDrained {
      let clock = clock
      let limit = Task {
        try? await clock.sleepReal(grace)
        if !Task.isCancelled { self.cancelRunning() }
      }
      await withCheckedContinuation { drained.append($0) }
      limit.cancel()
    }
    renewal?.cancel()
    renewal = nil
    signal = nil
  }

  private var isDrained: Bool { running.isEmpty && !claiming }
  private func tellDrained() {
    guard stopping, isDrained else { return }
    for waiter in drained { waiter.resume() }
    drained = []
  }
  private func cancelRunning() { for (_, task) in running.values { task.cancel() } }

  private func claim() async {
    signal?.take()
    wanted = true
    if claiming { return }
    claiming = true
    defer {
      claiming = false
      tellDrained()
    }
    while wanted, !stopping {
      wanted = false
      let free = options.concurrency - running.count
      // A handler that ends calls again.
      if free <= 0 { return }
      let now = clock.now()
      do {
        let result = try await store.claimTasks(
          ClaimRequest(
            kinds: Set(handlers.keys), owner: owner, now: now, leaseUntil: now.addingTimeInterval(options.lease), limit: free))
        if stopping { return await release(result.tasks) }
        // A row whose lease was taken away may come back while its earlier run still goes on; it waits for the end of that run.
        let early = result.tasks.filter { running[$0.id] != nil }
        for row in result.tasks { begin(row) }
        await release(early, due: clock.deadline(afterReal: 1))
        wake(at: result.next, claimedAt: now)
      } catch {
        log.error("tasks cannot be claimed", metadata: ["error": "\(error)"])
        wake(at: clock.deadline(afterReal: 1), claimedAt: now)
      }
    }
  }

  /// Gives back what was claimed while the runner began to stop.
  private func release(_ rows: [TaskRow], due: Date? = nil) async {
    for row in rows {
      guard let lease = row.lease else { continue }
      do {
        try await store.reschedule(lease, due: due ?? row.due, failures: row.failures, error: row.lastError)
      } catch {
        log.warning("a task's lease was not given back; it ends by itself", metadata: ["task": "\(row.id)", "error": "\(error)"])
      }
    }
  }

  private func begin(_ row: TaskRow) {
    guard let handler = handlers[row.kind], let lease = row.lease, running[row.id] == nil else { return }
    let step = step
    let task = Task {
      do { _ = try await step.run(row, handler) } catch { await self.giveBack(row, lease, error) }
      await self.ended(row.id)
    }
    running[row.id] = (lease, task)
    if renewal == nil { renewal = Task { await self.keepLeases() } }
  }

  /// The store failed while a task ended. Its row is given back as soon as the store works again, or when the lease ends without us.
  private func giveBack(_ row: TaskRow, _ lease: TaskLease, _ error: any Error) async {
    log.error("a task's end could not be stored", metadata: ["task": "\(row.id)", "error": "\(error)"])
    var failures = row.failures
    while true {
      failures += 1
      guard (try? await clock.sleepReal(TaskStep.delay(afterFailures: failures))) != nil else { return }
      do {
        return try await store.reschedule(lease, due: clock.now(), failures: row.failures + 1, error: "\(error)")
      } catch is LeaseLost {
        return
      } catch {
        log.error("a task could not be given back", metadata: ["task": "\(row.id)", "error": "\(error)"])
      }
    }
  }

  private func ended(_ id: String) async {
    running[id] = nil
    if running.isEmpty {
      renewal?.cancel()
      renewal = nil
      tellDrained()
    }
    await claim()
  }

  /// One timer, for the earliest time at which something may be due.
  private func wake(at next: Date?, claimedAt now: Date) {
    if let timer, timer.due == next { return }
    timer?.task.cancel()
    timer = nil
    // What was due already and not claimed waits for a slot or for its subject, and the end of a handler calls.
    guard let next, next > now, !stopping else { return }
    let clock = clock
    timer = (
      next,
      Task { [weak self] in
        // The wall clock may be set while this sleeps, so it looks again at least once a minute.
        guard (try? await clock.sleepReal(min(60, next.timeIntervalSince(clock.now())))) != nil else { return }
        await self?.timerEnded(next)
      }
    )
  }

  private func timerEnded(_ due: Date) async {
    if timer?.due == due { timer = nil }
    await claim()
  }

  private func keepLeases() async {
    while !Task.isCancelled {
      guard (try? await clock.sleepReal(options.lease / 3)) != nil else { return }
      let leases = running.values.map(\.lease)
      do {
        let lost = try await store.renewLeases(leases, until: clock.deadline(afterReal: options.lease))
        // A task that ended meanwhile is lost in the same way, and is no longer in the list.
        for lease in lost { if let entry = running[lease.task], entry.lease == lease { entry.task.cancel() } }
      } catch {
        log.error("leases cannot be renewed", metadata: ["error": "\(error)"])
      }
    }
  }
}
