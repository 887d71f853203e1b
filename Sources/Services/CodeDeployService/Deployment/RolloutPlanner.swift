/// What is known of a host before a deployment touches it. The order of the cases is the order of deployment.
enum HostStanding: Int, Codable, Sendable, Comparable, CaseIterable {
  /// The last deployment to it failed, or it was left half done.
  case unhealthy
  /// No deployment of this group has reached it.
  case unknown
  /// It runs another revision than the group's last successful one.
  case old
  case current
  static func < (a: HostStanding, b: HostStanding) -> Bool { a.rawValue < b.rawValue }
}

/// A host as the planner sees it.
struct RolloutHost: Hashable, Sendable {
  enum Phase: Hashable, Sendable {
    case waiting, running, succeeded, failed, skipped
    /// Left alone because it already runs the revision.
    case current
    /// Not running when the deployment began: counts as failed, though nothing was done to it.
    case down
  }
  var id: String
  var standing: HostStanding
  var phase: Phase
  /// Another deployment works on it now; it is passed over until it is free.
  var busy = false
}

/// All that a decision depends on.
struct RolloutSnapshot: Hashable, Sendable {
  var rule: HealthRule
  /// In order of deployment.
  var hosts: [RolloutHost]
  /// Somebody asked to stop.
  var stopping: Bool
}

enum RolloutEnd: Hashable, Sendable {
  case succeeded
  case stopped
  /// The rule stopped it on the way, or too few hosts succeeded.
  case tooFewHealthy
  /// The rule forbids the very first host; nothing was touched.
  case cannotStart
}

enum RolloutChange: Hashable, Sendable {
  case start(String)
  case skip(String)
  /// Let the lifecycle event that runs there finish, and skip the rest.
  case halt(String)
  case end(RolloutEnd)
}

/// Decides which hosts are next, which are skipped, and when a deployment ends and how. No clock, no store: the same snapshot
/// always gives the same answer, and applying the answer leads to a snapshot that asks for nothing new until a host changes.
enum RolloutPlanner {
  static func plan(_ snapshot: RolloutSnapshot) -> [RolloutChange] {
    let count = Counts(snapshot.hosts)
    if snapshot.stopping { return stop(snapshot, count) }
    if count.waiting == 0 { return count.running == 0 ? [.end(verdict(snapshot.rule, count))] : [] }
    if snapshot.rule.stops(failed: count.failed) {
      let skips = snapshot.hosts.filter { $0.phase == .waiting }.map { RolloutChange.skip($0.id) }
      if count.running > 0 { return skips }
      return skips + [.end(!snapshot.wasTouched ? .cannotStart : .tooFewHealthy)]
    }
    return starts(snapshot, count)
  }

  /// The order of deployment: unhealthy first, then unknown, old and current; inside a class by zone, then what failed last, then id.
  static func order<Host>(
    _ hosts: [Host], by facts: (Host) -> (standing: HostStanding, zone: String, lastFailure: Double, id: String)
  ) -> [Host] {
    hosts.map { ($0, facts($0)) }.sorted { a, b in
      if a.1.standing != b.1.standing { return a.1.standing < b.1.standing }
      if a.1.zone != b.1.zone { return a.1.zone < b.1.zone }
      if a.1.lastFailure != b.1.lastFailure { return a.1.lastFailure > b.1.lastFailure }
      return a.1.id < b.1.id
    }.map(\.0)
  }

  private static func starts(_ snapshot: RolloutSnapshot, _ count: Counts) -> [RolloutChange] {
    var available = snapshot.hosts.count { $0.isAvailable }
    var running = count.running
    var changes: [RolloutChange] = []
    for host in snapshot.hosts where host.phase == .waiting && !host.busy {
      if let limit = snapshot.rule.maximumAtOnce, running >= limit { break }
      // An unhealthy host is down already: working on it takes nothing away.
      if host.standing != .unhealthy {
        guard snapshot.rule.mayTakeHealthy(available: available) else { break }
        available -= 1
      }
      running += 1
      changes.append(.start(host.id))
    }
    return changes
  }

  private static func stop(_ snapshot: RolloutSnapshot, _ count: Counts) -> [RolloutChange] {
    let changes = snapshot.hosts.compactMap { host -> RolloutChange? in
      switch host.phase {
      case .waiting: .skip(host.id)
      case .running: .halt(host.id)
      default: nil
      }
    }
    guard count.running == 0 else { return changes }
    // A stop that came too late to spare any host changes nothing about how the deployment went.
    let cameTooLate = count.waiting == 0 && count.skipped == 0
    return changes + [.end(cameTooLate ? verdict(snapshot.rule, count) : .stopped)]
  }

  private static func verdict(_ rule: HealthRule, _ count: Counts) -> RolloutEnd {
    rule.passes(succeeded: count.succeeded, current: count.current) ? .succeeded : .tooFewHealthy
  }

  private struct Counts {
    var waiting = 0
    var running = 0
    var succeeded = 0
    var failed = 0
    var current = 0
    var skipped = 0
    init(_ hosts: [RolloutHost]) {
      for host in hosts {
        switch host.phase {
        case .waiting: waiting += 1
        case .running: running += 1
        case .succeeded: succeeded += 1
        case .failed, .down: failed += 1
        case .current: current += 1
        case .skipped: skipped += 1
        }
      }
    }
  }
}

extension RolloutHost {
  /// Healthy, and not being worked on.
  var isAvailable: Bool {
    switch phase {
    case .succeeded, .current: true
    case .waiting, .skipped: standing != .unhealthy
    case .running, .failed, .down: false
    }
  }
}

extension RolloutSnapshot {
  /// Whether this deployment has done anything to any host.
  fileprivate var wasTouched: Bool {
    hosts.contains { $0.phase == .running || $0.phase == .succeeded || $0.phase == .failed }
  }
}
