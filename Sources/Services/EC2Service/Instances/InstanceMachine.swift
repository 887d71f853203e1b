import FoundationEssentials
import RegionKit
import RegionStore

/// Kinds of the task rows that move instances.
enum InstanceTask {
  static let launch = "ec2.instance.launch"
  static let stop = "ec2.instance.stop"
  static let terminate = "ec2.instance.terminate"
  static let reboot = "ec2.instance.reboot"
  static let credentials = "ec2.instance.credentials"
  static let forget = "ec2.instance.forget"
}

/// The legal moves of an instance. Each yields the new record; the caller commits it with the task and event that follow.
enum InstanceMove: Sendable {
  case start, stop, terminate, reboot, launched, stopped, terminated

  var legalSources: Set<LifeState> {
    switch self {
    case .start: [.stopped]
    case .stop: [.running, .pending, .stopping]
    case .terminate: [.pending, .running, .stopping, .stopped, .shuttingDown]
    case .reboot: [.running]
    case .launched: [.pending]
    case .stopped: [.stopping, .running]
    case .terminated: [.shuttingDown, .pending]
    }
  }

  var target: LifeState {
    switch self {
    case .start: .pending
    case .stop: .stopping
    case .terminate: .shuttingDown
    case .reboot, .launched: .running
    case .stopped: .stopped
    case .terminated: .terminated
    }
  }

  /// The effect that the move sets off.
  var task: String? {
    switch self {
    case .start: InstanceTask.launch
    case .stop: InstanceTask.stop
    case .terminate: InstanceTask.terminate
    case .reboot: InstanceTask.reboot
    case .launched, .stopped: nil
    case .terminated: InstanceTask.forget
    }
  }
}

/// Applies moves to stored instances: legal source, new state, task and event in one commit, repeated when another writer came first.
struct InstanceMachine: Sendable {
  let store: any RegionStore
  let clock: any RegionClock
  let random: any Randomness

  /// How long a terminated instance stays visible, real seconds. EC2 says "a short while", usually an hour.
  /// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/terminating-instances.html
  static let terminatedVisible: Double = 3600

  /// Nil when the instance is gone or not in a legal source state any more.
  @discardableResult
  func apply(
    _ move: InstanceMove, to instanceId: String, in scope: Scope,
    change: @Sendable (inout InstanceRecord) -> Void = { _ in }
  ) async throws -> InstanceRecord? {
    while true {
      guard let stored = try await store.get(InstanceRecord.self, in: scope, id: instanceId),
        move.legalSources.contains(stored.value.state)
      else { return nil }
      var commit = StoreCommit()
      let record = try prepare(move, stored: stored, into: &commit, change: change)
      do {
        try await store.commit(commit)
        return record
      } catch is StoreConflict {
        continue
      }
    }
  }

  /// Puts the move of one stored instance into a commit, so that several can move together.
  func prepare(
    _ move: InstanceMove, stored: Stored<InstanceRecord>, into commit: inout StoreCommit,
    change: (inout InstanceRecord) -> Void = { _ in }
  ) throws -> InstanceRecord {
    var record = stored.value
    record.state = move.target
    record.rebooting = move == .reboot ? true : nil
    change(&record)
    try commit.put(record, in: stored.scope, id: stored.id, expecting: .version(stored.version))
    let now = clock.now()
    if let kind = move.task {
      let due = move == .terminated ? clock.deadline(afterReal: Self.terminatedVisible) : now
      commit.tasks.append(
        NewTask(
          id: "\(kind)/\(stored.scope)/\(stored.id)/\(stored.version + 1)", kind: kind, scope: stored.scope,
          subject: stored.id, due: due, expectedVersion: kind == InstanceTask.forget ? nil : stored.version + 1))
    }
    if stored.value.state != record.state {
      commit.events.append(Self.event(record, scope: stored.scope, id: random.uuid(), time: now))
    }
    return record
  }

  /// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-instance-state-changes.html
  static func event(_ record: InstanceRecord, scope: Scope, id: String, time: Date) -> RegionEvent {
    RegionEvent(
      id: id, source: "aws.ec2", detailType: "EC2 Instance State-change Notification", scope: scope, time: time,
      resources: [ARN(service: "ec2", scope: scope, resource: "instance/\(record.instanceId)").description],
      detail: #"{"instance-id":"\#(record.instanceId)","state":"\#(record.state.rawValue)"}"#)
  }
}
