import FoundationEssentials
import RegionKit
import RegionStore
import Synchronization

/// What this process has seen of the agents. Lost with the process; `AgentRecord` keeps a coarse copy.
final class AgentPresence: Sendable {
  /// A command that was handed out and not yet acknowledged.
  struct Delivery: Hashable, Sendable {
    var deploymentId: String
    var position: Int
    var time: Date
    /// When the agent asked for the deployment's specification: it has the command.
    var specified: Date?
  }

  private struct Entry {
    var last: Date
    var openPolls = 0
    var epoch = 0
    var pollEnded: Date?
    var pause: Double = 0
    var delivery: Delivery?
    var version: String?
    var persisted: Date?
    var verified: (principal: String, until: Date)?
  }

  let regionUp: Date
  private let entries = Mutex<[HostKey: Entry]>([:])

  init(regionUp: Date) { self.regionUp = regionUp }

  /// The agent said something. Answers whether that should be written down now.
  func heard(_ key: HostKey, version: String?, now: Date, persistEvery seconds: Double) -> Bool {
    entries.withLock { entries in
      var entry = entries[key] ?? Entry(last: now)
      entry.last = max(entry.last, now)
      let isNews = entry.persisted.map { now.timeIntervalSince($0) >= seconds } ?? true
      let isOther = version != nil && version != entry.version
      if let version { entry.version = version }
      if isNews || isOther { entry.persisted = now }
      entries[key] = entry
      return isNews || isOther
    }
  }

  /// A newer poll of a host replaces the older: its connection is the one that lives.
  func beginPoll(_ key: HostKey, now: Date) -> Int {
    entries.withLock { entries in
      var entry = entries[key] ?? Entry(last: now)
      if let ended = entry.pollEnded, entry.openPolls == 0 {
        // Falls slowly, so that one quick poll does not hide a slow period.
        entry.pause = max(now.timeIntervalSince(ended), entry.pause * 0.9)
      }
      entry.openPolls += 1
      entry.epoch += 1
      entry.last = max(entry.last, now)
      entries[key] = entry
      return entry.epoch
    }
  }

  func isNewest(_ epoch: Int, _ key: HostKey) -> Bool { entries.withLock { $0[key]?.epoch == epoch } }

  func endPoll(_ key: HostKey, now: Date) {
    entries.withLock { entries in
      entries[key]?.openPolls -= 1
      // Not a sign of life: the connection of a poll that ran out may have been dead for long.
      entries[key]?.pollEnded = now
    }
  }

  func delivery(_ key: HostKey) -> Delivery? { entries.withLock { $0[key]?.delivery } }

  func delivered(_ delivery: Delivery, to key: HostKey) {
    entries.withLock { entries in
      var entry = entries[key] ?? Entry(last: delivery.time)
      entry.delivery = delivery
      entries[key] = entry
    }
  }

  /// The agent asked for the specification of a deployment.
  func specified(_ deploymentId: String, _ key: HostKey, now: Date) {
    entries.withLock { entries in
      guard entries[key]?.delivery?.deploymentId == deploymentId else { return }
      entries[key]?.delivery?.specified = now
    }
  }

  func isVerified(_ key: HostKey, principal: String, now: Date) -> Bool {
    entries.withLock { entries in
      guard let verified = entries[key]?.verified else { return false }
      return verified.principal == principal && now < verified.until
    }
  }

  func verified(_ key: HostKey, principal: String, now: Date, until: Date) {
    entries.withLock { entries in
      var entry = entries[key] ?? Entry(last: now)
      entry.verified = (principal, until)
      entries[key] = entry
    }
  }

  fileprivate func facts(_ key: HostKey) -> (last: Date, isPolling: Bool, pause: Double)? {
    entries.withLock { entries in entries[key].map { ($0.last, $0.openPolls > 0, $0.pause) } }
  }
}

extension DeploymentEngine {
  /// What is known of a host's agent, from memory or else from the store.
  func contact(_ hostId: String, in scope: Scope) async throws -> AgentContact {
    let facts = presence.facts(HostKey(scope: scope, hostId: hostId))
    var last = facts?.last
    if last == nil { last = try await store.get(AgentRecord.self, in: scope, id: hostId)?.value.lastContact }
    return AgentContact(
      last: last, isPolling: facts?.isPolling ?? false, regionUp: presence.regionUp, pollPause: facts?.pause ?? 0)
  }
}
