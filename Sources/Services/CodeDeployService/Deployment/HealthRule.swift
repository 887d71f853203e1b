/// How many hosts must stay healthy, as a deployment configuration says it.
enum HealthyHostsSpec: Codable, Hashable, Sendable {
  case hostCount(Int)
  case fleetPercent(Int)
  /// `CodeDeployDefault.OneAtATime`: at most so many hosts down at a time. Users cannot set this kind.
  case mostConcurrency(Int)

  /// The name GetDeploymentConfig shows.
  var typeName: String {
    switch self {
    case .hostCount: "HOST_COUNT"
    case .fleetPercent: "FLEET_PERCENT"
    case .mostConcurrency: "MOST_CONCURRENCY"
    }
  }
  var value: Int {
    switch self {
    case .hostCount(let value), .fleetPercent(let value), .mostConcurrency(let value): value
    }
  }
}

/// The configuration's rule worked out for a fleet. Fixed when the deployment starts, so that hosts which come or go later do not move it.
struct HealthRule: Codable, Hashable, Sendable {
  /// The number of targets the rule was worked out for.
  let fleet: Int
  /// A deployment needs this many successes, and takes no host down that would leave fewer healthy.
  let minimum: Int
  /// A limit on hosts in progress besides the minimum; nil: none.
  let maximumAtOnce: Int?

  /// A percentage is rounded up: 50 % of nine hosts is five. `MOST_CONCURRENCY` n asks for all but the last n.
  init(_ hosts: HealthyHostsSpec, fleet: Int) {
    self.fleet = fleet
    switch hosts {
    case .hostCount(let count):
      minimum = max(0, count)
      maximumAtOnce = nil
    case .fleetPercent(let percent):
      minimum = (fleet * max(0, percent) + 99) / 100
      maximumAtOnce = nil
    case .mostConcurrency(let limit):
      minimum = max(0, fleet - max(1, limit))
      maximumAtOnce = max(1, limit)
    }
  }

  /// Whether the deployment must stop taking hosts: what can still be healthy at the end is no more than the minimum, so taking
  /// one more healthy host down would break the rule. `failed` counts the hosts that failed in this deployment.
  func stops(failed: Int) -> Bool { fleet - failed <= minimum }

  /// Whether one more host that is healthy now may be taken down. `available`: healthy hosts that are not in progress.
  func mayTakeHealthy(available: Int) -> Bool { available - 1 >= minimum }

  /// The last word when no host is left: enough successes, and at least one even if the minimum is 0.
  /// `current` counts hosts left alone because they already run the revision.
  func passes(succeeded: Int, current: Int) -> Bool {
    succeeded + current >= minimum && (succeeded >= 1 || (current == fleet && fleet > 0))
  }
}
