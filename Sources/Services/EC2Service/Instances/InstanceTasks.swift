import Durable
import FoundationEssentials
import Logging
import Ports
import RegionKit
import RegionStore

/// What the task handlers share.
struct InstanceWorld: Sendable {
  let store: any RegionStore
  let clock: any RegionClock
  let machine: InstanceMachine
  let driver: any InstanceDriver
  let metadata: any MetadataPublisher
  let roles: any RolePort
  let images: ImageKeeper
  let vpcs: DefaultVPC
  let provisioning: any InstanceProvisioning
  let logger: Logger

  func record(_ task: ClaimedTask, in states: Set<LifeState>) async throws -> Stored<InstanceRecord>? {
    guard let stored = try await store.get(InstanceRecord.self, in: task.scope, id: task.subject),
      states.contains(stored.value.state)
    else { return nil }
    return stored
  }

  /// An instance that does not end keeps its state and says why; the same call made again tries again.
  func gaveUp(_ task: ClaimedTask, doing state: String, error: any Error) async throws -> StoreCommit {
    logger.error("instance does not end", metadata: ["instance": "\(task.subject)", "error": "\(error)"])
    var commit = StoreCommit()
    guard let stored = try await record(task, in: [.stopping, .shuttingDown]) else { return commit }
    var record = stored.value
    let text = (error as? AWSError)?.message ?? String(describing: error)
    record.stateReason = LifeReason(
      code: LifeReason.stuck, message: "Server.InternalError: still \(state): \(text) Make the same call again to try again.")
    try commit.put(record, in: task.scope, id: task.subject, expecting: .version(stored.version))
    return commit
  }

  /// Fresh credentials, if the instance has a role, and everything else the metadata service answers.
  func publishMetadata(_ record: InstanceRecord, scope: Scope) async throws -> TemporaryCredentials? {
    var credentials: TemporaryCredentials?
    if let profile = record.profile, profile.roleARN != nil {
      credentials = try await roles.instanceCredentials(
        profileARN: profile.arn, instanceId: record.instanceId, account: scope.account, lifetime: CredentialTask.lifetime)
    }
    let vpc = try await vpcs.get(in: scope)
    var groups: [SecurityGroupRecord] = []
    for id in record.securityGroupIds {
      if let group = try await store.get(SecurityGroupRecord.self, in: scope, id: id) { groups.append(group.value) }
    }
    try await metadata.publish(
      InstanceMetadataBuilder.metadata(record, scope: scope, vpc: vpc, groups: groups, credentials: credentials))
    return credentials
  }

  func credentialTask(_ record: InstanceRecord, scope: Scope, until expiration: Date?) -> NewTask? {
    guard let expiration else { return nil }
    let due = expiration.addingTimeInterval(-CredentialTask.lifetime / 2)
    return NewTask(
      id: "\(InstanceTask.credentials)/\(scope)/\(record.instanceId)/\(Int(due.timeIntervalSince1970))",
      kind: InstanceTask.credentials, scope: scope, subject: record.instanceId, due: due)
  }
}

/// pending → running: the image, the files, the driver's launch, the metadata.
struct LaunchTask: TaskHandler {
  let world: InstanceWorld
  let kind = InstanceTask.launch
  let maximumAttempts = 3

  func run(_ task: ClaimedTask) async throws -> TaskOutcome {
    guard let stored = try await world.record(task, in: [.pending]) else { return .done(StoreCommit()) }
    let record = stored.value
    let image = try await world.images.image()
    guard let type = InstanceSize.named(record.instanceType) else {
      throw AWSError.internalFailure("Instance type \(record.instanceType) of \(record.instanceId) is no longer known.")
    }
    let setup = try await world.provisioning.setup(instanceId: record.instanceId, scope: task.scope)
    let spec = InstanceSpec(
      instanceId: record.instanceId, scope: task.scope,
      hostname: "ip-" + record.privateIP.split(separator: ".").joined(separator: "-"), layers: image.layers,
      memoryBytes: type.memoryBytes, cpuMillis: type.cpuMillis, maxProcesses: type.maxProcesses,
      privateIP: record.privateIP, userData: record.userData, files: setup.files, agentCommand: setup.agentCommand)
    // The metadata is there before the first process asks for it.
    let credentials = try await world.publishMetadata(record, scope: task.scope)
    let handle = try await world.driver.launch(spec, fresh: record.neverLaunched)
    var commit = StoreCommit()
    let running = try world.machine.prepare(.launched, stored: stored, into: &commit) {
      $0.handle = handle
      $0.neverLaunched = false
      $0.stateReason = nil
      $0.transitionReason = ""
    }
    if let next = world.credentialTask(running, scope: task.scope, until: credentials?.expiration) { commit.tasks.append(next) }
    return .done(commit)
  }

  func exhausted(_ task: ClaimedTask, error: any Error) async throws -> StoreCommit {
    var commit = StoreCommit()
    guard let stored = try await world.record(task, in: [.pending]) else { return commit }
    try? await world.driver.destroy(instanceId: task.subject)
    try? await world.metadata.withdraw(instanceId: task.subject)
    let text = (error as? AWSError)?.message ?? String(describing: error)
    _ = try world.machine.prepare(.terminated, stored: stored, into: &commit) {
      $0.stateReason = LifeReason(code: "Server.InternalError", message: "Server.InternalError: the launch failed: \(text)")
      $0.transitionReason = "Server.InternalError"
      $0.handle = nil
    }
    commit.delete(AddressRecord.self, in: AddressRecord.scope, id: stored.value.privateIP)
    return commit
  }
}

/// stopping → stopped.
struct StopTask: TaskHandler {
  let world: InstanceWorld
  let kind = InstanceTask.stop
  /// Real seconds from SIGTERM to SIGKILL. EC2 gives a few minutes; nothing here needs them.
  static let grace = 30.0

  func run(_ task: ClaimedTask) async throws -> TaskOutcome {
    guard let stored = try await world.record(task, in: [.stopping]) else { return .done(StoreCommit()) }
    if let handle = stored.value.handle { try await world.driver.stop(handle, grace: Self.grace) }
    try await world.metadata.withdraw(instanceId: task.subject)
    var commit = StoreCommit()
    _ = try world.machine.prepare(.stopped, stored: stored, into: &commit) { $0.handle = nil }
    return .done(commit)
  }

  func exhausted(_ task: ClaimedTask, error: any Error) async throws -> StoreCommit {
    try await world.gaveUp(task, doing: "stopping", error: error)
  }
}

/// running → running, with new processes on the same root.
struct RebootTask: TaskHandler {
  let world: InstanceWorld
  let kind = InstanceTask.reboot

  func run(_ task: ClaimedTask) async throws -> TaskOutcome {
    guard let stored = try await world.record(task, in: [.running]) else { return .done(StoreCommit()) }
    if let handle = stored.value.handle { try await world.driver.stop(handle, grace: StopTask.grace) }
    var commit = StoreCommit()
    var record = stored.value
    record.state = .pending
    record.handle = nil
    record.rebooting = nil
    try commit.put(record, in: task.scope, id: task.subject, expecting: .version(stored.version))
    commit.tasks.append(
      NewTask(
        id: "\(InstanceTask.launch)/\(task.scope)/\(task.subject)/\(stored.version + 1)", kind: InstanceTask.launch,
        scope: task.scope, subject: task.subject, due: world.clock.now()))
    return .done(commit)
  }

  func exhausted(_ task: ClaimedTask, error: any Error) async throws -> StoreCommit {
    world.logger.error("instance does not reboot", metadata: ["instance": "\(task.subject)", "error": "\(error)"])
    var commit = StoreCommit()
    if let stored = try await world.record(task, in: [.running]) {
      var record = stored.value
      record.rebooting = nil
      try commit.put(record, in: task.scope, id: task.subject, expecting: .version(stored.version))
    }
    return commit
  }
}

/// shutting-down → terminated; nothing of the instance is left but its row.
struct TerminateTask: TaskHandler {
  let world: InstanceWorld
  let kind = InstanceTask.terminate
  /// Real seconds: what is terminated has nothing to save.
  static let grace = 2.0

  func run(_ task: ClaimedTask) async throws -> TaskOutcome {
    guard let stored = try await world.record(task, in: [.shuttingDown]) else { return .done(StoreCommit()) }
    if let handle = stored.value.handle { try await world.driver.stop(handle, grace: Self.grace) }
    try await world.metadata.withdraw(instanceId: task.subject)
    try await world.driver.destroy(instanceId: task.subject)
    var commit = StoreCommit()
    _ = try world.machine.prepare(.terminated, stored: stored, into: &commit) { $0.handle = nil }
    commit.delete(AddressRecord.self, in: AddressRecord.scope, id: stored.value.privateIP)
    return .done(commit)
  }

  func exhausted(_ task: ClaimedTask, error: any Error) async throws -> StoreCommit {
    try await world.gaveUp(task, doing: "shutting-down", error: error)
  }
}

/// New role credentials for a running instance at half the life of the old ones.
struct CredentialTask: TaskHandler {
  let world: InstanceWorld
  let kind = InstanceTask.credentials
  /// Real seconds; EC2's own are valid for about six hours.
  static let lifetime: Double = 6 * 3600
  let maximumAttempts = 1000

  func run(_ task: ClaimedTask) async throws -> TaskOutcome {
    guard let stored = try await world.record(task, in: [.running]) else { return .done(StoreCommit()) }
    let credentials = try await world.publishMetadata(stored.value, scope: task.scope)
    var commit = StoreCommit()
    if let next = world.credentialTask(stored.value, scope: task.scope, until: credentials?.expiration) { commit.tasks.append(next) }
    return .done(commit)
  }

  func exhausted(_ task: ClaimedTask, error: any Error) async throws -> StoreCommit { StoreCommit() }
}

/// Removes a terminated instance's row an hour later.
struct ForgetTask: TaskHandler {
  let world: InstanceWorld
  let kind = InstanceTask.forget

  func run(_ task: ClaimedTask) async throws -> TaskOutcome {
    var commit = StoreCommit()
    if let stored = try await world.record(task, in: [.terminated]) {
      commit.delete(InstanceRecord.self, in: task.scope, id: task.subject)
      if let token = stored.value.clientToken {
        // The token is forgotten with the last of its instances.
        let others = try await world.store.list(InstanceRecord.self, in: task.scope, StoreQuery(limit: 2, index: ("token", token)))
        if others.count == 1 { commit.delete(LaunchTokenRecord.self, in: task.scope, id: token) }
      }
    }
    return .done(commit)
  }

  func exhausted(_ task: ClaimedTask, error: any Error) async throws -> StoreCommit { StoreCommit() }
}
