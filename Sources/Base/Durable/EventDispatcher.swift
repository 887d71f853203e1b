public import FoundationEssentials
public import Logging
public import RegionKit
public import RegionStore

/// Hands events to one consumer in order. The position lies in the store and moves in the commit that the event led to, so an event's
/// effect in the store happens exactly once.
public struct EventDelivery: Sendable {
  public let consumer: any EventConsumer
  /// As it lies in the store.
  private var stored: Int64
  /// How far events were looked at; ahead of `stored` while none was wanted.
  private var seen: Int64
  private static let largestGap: Int64 = 256
  static let maximumConflicts = 100

  public init(_ consumer: any EventConsumer, store: any DurableStore) async throws {
    self.consumer = consumer
    stored = try await store.consumerPosition(consumer.name)
    seen = stored
  }

  /// Delivers the next wanted event. False when there is none. Throws what the consumer or the store throws; nothing has changed then.
  public mutating func deliverNext(from store: any DurableStore) async throws -> Bool {
    while true {
      let (events, scannedTo) = try await store.events(after: seen, limit: 64)
      if scannedTo == seen { break }
      for event in events where consumer.wants(event.event) {
        try await deliver(event, store)
        return true
      }
      seen = scannedTo
    }
    // Writing down every event that nobody wanted would cost a commit each.
    if seen - stored >= Self.largestGap { try await advance(to: seen, with: StoreCommit(), store) }
    return false
  }

  /// Whether an event waits that the consumer wants. Goes past those it does not want.
  public mutating func hasNext(in store: any DurableStore) async throws -> Bool {
    while true {
      let (events, scannedTo) = try await store.events(after: seen, limit: 64)
      if scannedTo == seen { return false }
      if let wanted = events.first(where: { consumer.wants($0.event) }) {
        seen = wanted.position - 1
        return true
      }
      seen = scannedTo
    }
  }

  /// Lets the consumer consume the next event without committing what it decides, as if the process had died in between (for tests).
  public mutating func rehearseNext(from store: any DurableStore) async throws {
    guard try await hasNext(in: store) else { return }
    let (events, _) = try await store.events(after: seen, limit: 1)
    if let event = events.first { _ = try await consumer.consume(event.event) }
  }

  /// Goes past the event that `deliverNext` fails on, keeping it in quarantine.
  public mutating func setAside(in store: any DurableStore, error: any Error, now: Date) async throws {
    var after = seen
    while true {
      let (events, scannedTo) = try await store.events(after: after, limit: 64)
      if let poison = events.first(where: { consumer.wants($0.event) }) {
        try await store.quarantine(
          QuarantinedRow(
            key: StoreKey(scope: poison.event.scope, collection: "undelivered." + consumer.name, id: String(poison.position)),
            version: 1, content: Array(try RecordCoding.encode(poison.event)), reason: "\(error)", time: now))
        return try await advance(to: poison.position, with: StoreCommit(), store)
      }
      if scannedTo == after { return }
      after = scannedTo
    }
  }

  private mutating func deliver(_ event: StoredEvent, _ store: any DurableStore) async throws {
    var conflicts = 0
    while true {
      do {
        return try await advance(to: event.position, with: try await consumer.consume(event.event), store)
      } catch let conflict as StoreConflict {
        conflicts += 1
        if conflicts >= Self.maximumConflicts { throw conflict }
        await Task.yield()
      }
    }
  }

  private mutating func advance(to position: Int64, with commit: StoreCommit, _ store: any DurableStore) async throws {
    do {
      try await store.commit(commit, advancing: ConsumerAdvance(consumer: consumer.name, from: stored, to: position))
      stored = position
      seen = position
    } catch let moved as PositionMoved {
      stored = try await store.consumerPosition(consumer.name)
      seen = stored
      throw moved
    }
  }
}

/// Delivers events to every consumer, each in order and independent of the others; woken by commits that hold events. An event on which a
/// consumer throws is tried again with growing delays (0.1 s doubling to 60 s); after `maximumAttempts` it goes to quarantine.
public actor EventDispatcher {
  private let store: any DurableStore
  private let consumers: [any EventConsumer]
  private let clock: any RegionClock
  private let log: Logger
  private let maximumAttempts: Int
  /// Seconds (real time) for which events are kept after every consumer has passed them.
  private let retention: Double
  private var loops: [Task<Void, Never>] = []
  private var signals: [Signal] = []

  public init(
    store: any DurableStore, consumers: [any EventConsumer], clock: any RegionClock, maximumAttempts: Int = 30,
    retention: Double = 86_400, log: Logger = Logger(label: "roadstead.events")
  ) {
    self.store = store
    self.consumers = consumers
    self.clock = clock
    self.maximumAttempts = maximumAttempts
    self.retention = retention
    self.log = log
  }

  public func start() {
    guard loops.isEmpty else { return }
    for consumer in consumers {
      let (wakeups, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
      let signal = Signal(wants: { !$0.events.isEmpty }) { wake.yield() }
      store.observe(signal)
      signals.append(signal)
      signal.poke()
      loops.append(Task { await self.serve(consumer, signal, wakeups) })
    }
    loops.append(Task { await self.prune() })
  }

  /// Returns when no consumer runs.
  public func shutdown() async {
    for loop in loops { loop.cancel() }
    for loop in loops { await loop.value }
    loops = []
    signals = []
  }

  private nonisolated func serve(_ consumer: any EventConsumer, _ signal: Signal, _ wakeups: AsyncStream<Void>) async {
    var delivery: EventDelivery?
    var failures = 0
    for await _ in wakeups {
      signal.take()
      var more = true
      while more, !Task.isCancelled {
        do {
          if delivery == nil { delivery = try await EventDelivery(consumer, store: store) }
          more = try await delivery?.deliverNext(from: store) ?? false
          failures = 0
        } catch {
          if Task.isCancelled { return }
          if error is PositionMoved { continue }
          failures += 1
          log.error(
            "an event could not be delivered",
            metadata: ["consumer": "\(consumer.name)", "failures": "\(failures)", "error": "\(error)"])
          if failures >= maximumAttempts, (try? await delivery?.setAside(in: store, error: error, now: clock.now())) != nil {
            failures = 0
          } else if (try? await clock.sleepReal(TaskStep.delay(afterFailures: failures))) == nil {
            return
          }
        }
      }
    }
  }

  private nonisolated func prune() async {
    while (try? await clock.sleepReal(3600)) != nil {
      do {
        var lowest = Int64.max
        for consumer in consumers { lowest = min(lowest, try await store.consumerPosition(consumer.name)) }
        _ = try await store.pruneEvents(through: lowest, before: clock.now().addingTimeInterval(-retention))
      } catch {
        log.error("old events cannot be deleted", metadata: ["error": "\(error)"])
      }
    }
  }
}
