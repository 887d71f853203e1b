import FoundationEssentials
import Logging
import Ports
public import RegionKit
import RegionStore

/// What the parts of the service share: the store, the ports, and the two things that live only in memory, both of which may be lost
/// at any moment: who polls, and who wants to be woken.
final class DeploymentEngine: Sendable {
  let store: any DurableStore
  let clock: any RegionClock
  let random: any Randomness
  let instances: any InstanceDirectory
  let roles: any RolePort
  let objects: any ObjectReader
  let traffic: (any TrafficPort)?
  let options: CodeDeployOptions
  let signals = WorkSignals()
  let presence: AgentPresence
  private let alarm: WakeOnCommit
  let logger: Logger

  init(
    store: any DurableStore, clock: any RegionClock, random: any Randomness, instances: any InstanceDirectory, roles: any RolePort,
    objects: any ObjectReader, traffic: (any TrafficPort)?, options: CodeDeployOptions, logger: Logger
  ) {
    self.store = store
    self.clock = clock
    self.random = random
    self.instances = instances
    self.roles = roles
    self.objects = objects
    self.traffic = traffic
    self.options = options
    self.logger = logger
    presence = AgentPresence(regionUp: clock.now())
    alarm = WakeOnCommit(signals)
    store.observe(alarm)
  }

  /// Reads, decides and commits; again from the reads when another commit came first. `attempt` answers nil when nothing is to change.
  func settle<Answer>(_ attempt: () async throws -> (StoreCommit?, Answer)) async throws -> Answer {
    var lost = 0
    while true {
      let (commit, answer) = try await attempt()
      guard let commit else { return answer }
      do {
        try await store.commit(commit)
        return answer
      } catch let conflict as StoreConflict {
        lost += 1
        // Every lost race is another one's success, so this ends; the bound catches a decision that asks for the impossible.
        guard lost < 200 else { throw AWSError.internalFailure("The change could not be stored.", cause: conflict) }
      }
    }
  }

  func deployment(_ id: String, in scope: Scope) async throws -> Stored<DeploymentRecord>? {
    try await store.get(DeploymentRecord.self, in: scope, id: id)
  }

  func target(_ deploymentId: String, _ hostId: String, in scope: Scope) async throws -> Stored<TargetRecord>? {
    try await store.get(TargetRecord.self, in: scope, id: TargetRecord.id(deploymentId, hostId))
  }

  /// The targets of a deployment in their order.
  func targets(_ deploymentId: String, in scope: Scope) async throws -> [Stored<TargetRecord>] {
    try await store.list(TargetRecord.self, in: scope, StoreQuery(prefix: deploymentId + "/"))
      .sorted { $0.value.rank < $1.value.rank }
  }

  /// By uuid: a group may have been renamed since the deployment began.
  func group(uuid: String, in scope: Scope) async throws -> Stored<DeploymentGroupRecord>? {
    try await store.list(DeploymentGroupRecord.self, in: scope, StoreQuery(limit: 1, index: ("groupId", uuid))).first
  }

  /// `d-` and nine of `[A-Z0-9]`.
  func newDeploymentId() -> String { "d-" + random.text(9, from: "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") }
}

/// Takes hosts out of the load balancers of a deployment and puts them back. The balancers come with their own issue; without a port
/// no group with load balancers can be made.
public protocol TrafficPort: Sendable {
  /// Begins (again) and answers whether it is done: the host is deregistered and drained.
  func blockTraffic(hostId: String, loadBalancers: [String], scope: Scope) async throws -> Bool
  /// Begins (again) and answers whether it is done: the host is registered and healthy.
  func allowTraffic(hostId: String, loadBalancers: [String], scope: Scope) async throws -> Bool
}

/// The kinds and ids of this service's task rows. Ids name their cause, so that a repeated transition schedules once and a new cause
/// is never taken for an old one.
enum DeploymentTasks {
  static let begin = "codedeploy.deployment.begin"
  static let advance = "codedeploy.deployment.advance"
  static let watch = "codedeploy.target.watch"
  static let traffic = "codedeploy.target.traffic"
  static let wake = "codedeploy.hosts.wake"

  static func begin(_ deploymentId: String, _ scope: Scope, _ now: Date) -> NewTask {
    NewTask(id: "codedeploy/begin/\(scope)/\(deploymentId)", kind: begin, scope: scope, subject: deploymentId, due: now)
  }
  static func advance(_ deploymentId: String, because cause: String, _ scope: Scope, _ now: Date) -> NewTask {
    NewTask(
      id: "codedeploy/advance/\(scope)/\(deploymentId)/\(cause)", kind: advance, scope: scope, subject: deploymentId, due: now)
  }
  static func watch(_ targetId: String, _ scope: Scope, _ due: Date) -> NewTask {
    NewTask(id: "codedeploy/watch/\(scope)/\(targetId)", kind: watch, scope: scope, subject: targetId, due: due)
  }
  static func traffic(_ targetId: String, position: Int, _ scope: Scope, _ due: Date) -> NewTask {
    NewTask(
      id: "codedeploy/traffic/\(scope)/\(targetId)/\(position)", kind: traffic, scope: scope, subject: targetId,
      payload: Array(String(position).utf8), due: due)
  }
  /// Wakes the open polls of hosts after the commit that gave them work.
  static func wake(_ hosts: [String], _ deploymentId: String, version: Int64, _ scope: Scope, _ now: Date) throws -> NewTask {
    NewTask(
      id: "codedeploy/wake/\(scope)/\(deploymentId)/\(version)", kind: wake, scope: scope, subject: deploymentId,
      payload: Array(try RecordCoding.encode(hosts)), due: now)
  }
}
