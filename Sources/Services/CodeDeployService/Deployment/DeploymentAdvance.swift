import FoundationEssentials
import RegionKit
import RegionStore

extension DeploymentEngine {
  /// The next step of a running deployment: reads it, asks the planner, and answers what to commit; empty when nothing is due.
  /// May run any number of times at once: whoever changes anything also writes the deployment record, so one of two wins.
  func advance(_ deploymentId: String, in scope: Scope) async throws -> StoreCommit {
    guard let stored = try await deployment(deploymentId, in: scope), case .running(let running) = stored.value.phase else {
      return StoreCommit()
    }
    if stored.value.stop == nil, try await isJustWaiting(deploymentId, scope) { return StoreCommit() }
    let targets = try await targets(deploymentId, in: scope)
    return try await step(stored, running, targets)
  }

  /// Nothing to start and something still running: the common case of a wide rollout, found without reading every target.
  private func isJustWaiting(_ deploymentId: String, _ scope: Scope) async throws -> Bool {
    func has(_ phase: String) async throws -> Bool {
      let index = ("phase", TargetRecord.phaseIndex(deploymentId, phase))
      return try await !store.list(TargetRecord.self, in: scope, StoreQuery(prefix: deploymentId + "/", limit: 1, index: index)).isEmpty
    }
    if try await has("waiting") { return false }
    return try await has("running")
  }

  private func step(
    _ stored: Stored<DeploymentRecord>, _ running: DeploymentRecord.Running, _ targets: [Stored<TargetRecord>]
  ) async throws -> StoreCommit {
    var commit = StoreCommit()
    var after = targets.map(\.value)
    let plan = try await plan(
      stored.id, running.rule, after, stopping: stored.value.stop != nil, stored.scope, into: &commit)
    guard !plan.isEmpty || !commit.writes.isEmpty else { return StoreCommit() }
    let place = Dictionary(uniqueKeysWithValues: targets.enumerated().map { ($1.value.hostId, $0) })
    let now = clock.now()
    var end: RolloutEnd?
    for change in plan {
      switch change {
      case .start(let host):
        guard let index = place[host] else { continue }
        begin(&after[index], of: stored.value, stored.scope, into: &commit)
        try commit.put(after[index], in: stored.scope, id: after[index].id, expecting: .version(targets[index].version))
      case .skip(let host):
        guard let index = place[host] else { continue }
        after[index].skip(now: now)
        try commit.put(after[index], in: stored.scope, id: after[index].id, expecting: .version(targets[index].version))
      case .halt(let host):
        guard let index = place[host], let run = after[index].run, !run.halting else { continue }
        after[index].halt(now: now)
        try await write(after[index], was: targets[index], of: stored.value, into: &commit)
      case .end(let how): end = how
      }
    }
    guard end != nil || !commit.writes.isEmpty else { return StoreCommit() }
    if let end {
      let ending = self.ending(stored.value, running, after, end)
      try await conclude(stored, ending, targets: after, into: &commit)
    } else {
      try commit.put(
        stored.value, in: stored.scope, id: stored.id, expecting: .version(stored.version))
    }
    return commit
  }

  /// The planner's answer over hosts that can be had: one that another deployment works on is passed over, and the plan made again.
  func plan(
    _ deploymentId: String, _ rule: HealthRule, _ targets: [TargetRecord], stopping: Bool, _ scope: Scope,
    into commit: inout StoreCommit
  ) async throws -> [RolloutChange] {
    var busy: Set<String> = []
    var taken: Set<String> = []
    while true {
      let hosts = targets.map { $0.rolloutHost(busy: busy.contains($0.hostId)) }
      let snapshot = RolloutSnapshot(rule: rule, hosts: hosts, stopping: stopping)
      let changes = RolloutPlanner.plan(snapshot)
      var refused = false
      for case .start(let host) in changes where !taken.contains(host) {
        if try await take(host, for: deploymentId, scope, into: &commit) {
          taken.insert(host)
        } else {
          busy.insert(host)
          refused = true
        }
      }
      if !refused { return changes }
    }
  }

  func ending(
    _ deployment: DeploymentRecord, _ running: DeploymentRecord.Running, _ targets: [TargetRecord], _ end: RolloutEnd
  ) -> DeploymentRecord.Ending {
    let (status, error): (DeploymentState, FailureNote?) =
      switch end {
      case .succeeded: (.succeeded, nil)
      case .stopped: (.stopped, deployment.stop.map { Explanation.stopped($0, targets) })
      case .tooFewHealthy: (.failed, Explanation.tooFewHealthy(deployment, running.rule, targets))
      case .cannotStart: (.failed, Explanation.cannotStart(deployment, running.rule, targets))
      }
    return DeploymentRecord.Ending(
      status: status, start: running.start, time: clock.now(), error: error, overview: overview(targets))
  }

  func overview(_ targets: [TargetRecord]) -> [String: Int] {
    targets.reduce(into: [:]) { $0[$1.status.rawValue, default: 0] += 1 }
  }
}
