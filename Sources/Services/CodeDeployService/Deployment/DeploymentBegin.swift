import FoundationEssentials
import Ports
import RegionKit
import RegionStore

extension DeploymentEngine {
  /// Created → InProgress, or straight to Failed: what only the moment of starting can tell. Finds the hosts, fixes the rule and
  /// starts the first ones, in one commit.
  func begin(_ deploymentId: String, in scope: Scope) async throws -> StoreCommit {
    guard let stored = try await deployment(deploymentId, in: scope), case .created = stored.value.phase else { return StoreCommit() }
    let deployment = stored.value
    if let stop = deployment.stop { return try await fail(stored, Explanation.stopped(stop, []), status: .stopped) }
    guard let group = try await group(uuid: deployment.groupId, in: scope)?.value else {
      return try await fail(
        stored,
        FailureNote(
          code: "DEPLOYMENT_GROUP_MISSING",
          message: "The deployment group \(deployment.groupName) was deleted before the deployment started."))
    }
    if let problem = try await precheck(deployment, scope) { return try await fail(stored, problem) }
    let selection = deployment.targetInstances ?? group.selection
    let hosts = selection.select(
      from: try await instances.instances(in: scope), try await store.list(OnPremisesRecord.self, in: scope).map(\.value))
    guard !hosts.isEmpty else { return try await fail(stored, Explanation.noInstances(deployment, selection)) }
    guard hosts.count <= options.maximumTargets else {
      return try await fail(
        stored,
        FailureNote(
          code: "OVER_MAX_INSTANCES",
          message: "The deployment group matches \(hosts.count) instances; a deployment may have \(options.maximumTargets). "
            + "Split the group by tags."))
    }
    return try await launch(stored, hosts, current: group.lastSuccessful?.revision)
  }

  private func precheck(_ deployment: DeploymentRecord, _ scope: Scope) async throws -> FailureNote? {
    let role = deployment.serviceRoleARN
    guard try await roles.canAssume(roleARN: role, service: "codedeploy.amazonaws.com", account: scope.account) else {
      return FailureNote(
        code: "IAM_ROLE_PERMISSIONS",
        message: "The service role \(role) does not exist any more or its trust policy does not allow codedeploy.amazonaws.com.")
    }
    guard deployment.checksRevision, case .s3(let s3) = deployment.revision else { return nil }
    guard let object = try await objects.head(bucket: s3.bucket, key: s3.key, versionId: s3.version) else {
      return FailureNote(
        code: "REVISION_MISSING",
        message: "The revision \(deployment.revision.text) does not exist. Upload it again (`aws deploy push`) and deploy that.")
    }
    if let wanted = s3.eTag, Self.bare(wanted) != Self.bare(object.eTag) {
      return FailureNote(
        code: "REVISION_MISSING",
        message: "The revision \(deployment.revision.text) was replaced: its ETag is \(Self.bare(object.eTag)) and the deployment "
          + "asks for \(Self.bare(wanted)). Name a version, or register the new bundle.")
    }
    return nil
  }

  private static func bare(_ eTag: String) -> String { String(eTag.filter { $0 != "\"" }) }

  private func launch(
    _ stored: Stored<DeploymentRecord>, _ hosts: [SelectedHost], current: Revision?
  ) async throws -> StoreCommit {
    let deployment = stored.value
    let now = clock.now()
    var commit = StoreCommit()
    var records = try await ranked(deployment, hosts, current, now, stored.scope)
    let running = DeploymentRecord.Running(start: now, rule: HealthRule(deployment.minimumHealthyHosts, fleet: records.count))
    let event = DeploymentEvents(random: random)
    commit.events.append(event.deployment(deployment, state: "START", stored.scope, now))
    for record in records where record.ending != nil {
      try await remember(record, of: deployment, stored.scope, into: &commit)
    }
    let place = Dictionary(uniqueKeysWithValues: records.enumerated().map { ($1.hostId, $0) })
    var end: RolloutEnd?
    for change in try await plan(stored.id, running.rule, records, stopping: false, stored.scope, into: &commit) {
      switch change {
      case .start(let host):
        if let index = place[host] { begin(&records[index], of: deployment, stored.scope, into: &commit) }
      case .skip(let host):
        if let index = place[host] { records[index].skip(now: now) }
      // Nothing runs yet that could be halted.
      case .halt: break
      case .end(let how): end = how
      }
    }
    for record in records { try commit.put(record, in: stored.scope, id: record.id, expecting: .absent) }
    if let end {
      try await conclude(stored, ending(deployment, running, records, end), targets: records, into: &commit)
    } else {
      var after = deployment
      after.phase = .running(running)
      try commit.put(after, in: stored.scope, id: stored.id, expecting: .version(stored.version))
    }
    return commit
  }

  /// The targets in their order, with what the group knows of each.
  private func ranked(
    _ deployment: DeploymentRecord, _ hosts: [SelectedHost], _ current: Revision?, _ now: Date, _ scope: Scope
  ) async throws -> [TargetRecord] {
    let prefix = deployment.groupId + "/"
    let known = try await store.list(HostStateRecord.self, in: scope, StoreQuery(prefix: prefix))
    let states = Dictionary(uniqueKeysWithValues: known.map { (String($0.id.dropFirst(prefix.count)), $0.value) })
    func standing(_ host: SelectedHost) -> HostStanding {
      guard let state = states[host.id] else { return .unknown }
      if !state.healthy { return .unhealthy }
      return state.revision == current ? .current : .old
    }
    let ordered = RolloutPlanner.order(hosts) { host in
      let failed = states[host.id].flatMap { $0.healthy ? nil : $0.time.timeIntervalSince1970 } ?? 0
      return (standing(host), host.zone, failed, host.id)
    }
    let events = LifecycleOrder.inPlace(trafficControl: !deployment.loadBalancers.isEmpty).map { EventRecord(name: $0) }
    return ordered.enumerated().map { rank, host in
      var target = TargetRecord(
        deploymentId: deployment.deploymentId, hostId: host.id, onPremises: host.onPremises, zone: host.zone, rank: rank,
        standing: standing(host), ignoresStopFailures: deployment.ignoreApplicationStopFailures, groupId: deployment.groupId,
        revision: deployment.revision, events: events, updated: now)
      let runsIt = states[host.id].map { $0.healthy && $0.revision == deployment.revision } ?? false
      if deployment.updateOutdatedInstancesOnly, runsIt {
        target.skip(.alreadyCurrent, now: now)
      } else if host.state != "running", host.state != "pending" {
        target.markDown(
          "The instance is \(host.state). It matches the deployment group and counts as failed; start or terminate it.", now: now)
      }
      return target
    }
  }

  private func fail(
    _ stored: Stored<DeploymentRecord>, _ note: FailureNote, status: DeploymentState = .failed
  ) async throws -> StoreCommit {
    var commit = StoreCommit()
    let ending = DeploymentRecord.Ending(status: status, start: nil, time: clock.now(), error: note, overview: [:])
    try await conclude(stored, ending, targets: [], into: &commit)
    return commit
  }
}
