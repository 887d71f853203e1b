import FoundationEssentials
import Logging
import Ports
import RegionKit
import RegionStore

extension EC2Service {
  /// At the region's start: finds every instance again. One that should run and does not (a host reboot, a stopped region) is started
  /// again on its own root; what the driver holds and no row names is removed.
  public func adopt() async throws {
    var known: Set<String> = []
    for stored in try await world.store.listAll(InstanceRecord.self) {
      if stored.value.state != .terminated { known.insert(stored.id) }
      guard stored.value.state == .running, let handle = stored.value.handle else { continue }
      let found = try await world.driver.recover(handle)
      if found == handle { continue }
      var commit = StoreCommit()
      var record = stored.value
      record.handle = found
      if found == nil {
        record.state = .pending
        record.rebooting = nil
        logger.notice("starting an instance again that was running before", metadata: ["instance": "\(stored.id)"])
        commit.tasks.append(
          NewTask(
            id: "\(InstanceTask.launch)/\(stored.scope)/\(stored.id)/\(stored.version + 1)", kind: InstanceTask.launch,
            scope: stored.scope, subject: stored.id, due: world.clock.now()))
      }
      try commit.put(record, in: stored.scope, id: stored.id, expecting: .version(stored.version))
      try await world.store.commit(commit)
    }
    for orphan in try await world.driver.list() where !known.contains(orphan) {
      logger.notice("removing an instance that no record names", metadata: ["instance": "\(orphan)"])
      try await world.driver.destroy(instanceId: orphan)
    }
  }

  /// At a clean stop of the region: instances stop and keep their state `running`, so that the next start starts them again.
  public func suspend() async {
    let running = (try? await world.store.listAll(InstanceRecord.self).filter { $0.value.handle != nil }) ?? []
    await withTaskGroup(of: Void.self) { group in
      for stored in running {
        guard let handle = stored.value.handle else { continue }
        group.addTask {
          do { try await world.driver.stop(handle, grace: 5) } catch {
            logger.error("instance does not stop", metadata: ["instance": "\(stored.id)", "error": "\(error)"])
          }
        }
      }
    }
  }

  /// Follows the ends of instances until cancelled: one whose init exits by itself is stopped, or terminated where it asked for that.
  public func followExits() async {
    let exits = world.driver.exits()
    // What ended before the subscription tells nobody any more.
    for stored in (try? await world.store.listAll(InstanceRecord.self)) ?? [] where stored.value.state == .running {
      await noteEnd(of: stored.id) { stored }
    }
    for await instanceId in exits {
      await noteEnd(of: instanceId) { try await world.store.listAll(InstanceRecord.self).first { $0.id == instanceId } }
    }
  }

  private func noteEnd(of instanceId: String, find: () async throws -> Stored<InstanceRecord>?) async {
    do {
      if let stored = try await find() { try await ended(stored) }
    } catch {
      logger.error("cannot note the end of an instance", metadata: ["instance": "\(instanceId)", "error": "\(error)"])
    }
  }

  private func ended(_ stored: Stored<InstanceRecord>) async throws {
    guard stored.value.state == .running, stored.value.rebooting != true, let handle = stored.value.handle else { return }
    let found = try await world.driver.inspect(handle)
    guard found.condition != .running else { return }
    let move: InstanceMove = stored.value.shutdownBehavior == "terminate" ? .terminate : .stopped
    // Init writes its status when it ends in order; killed from outside it leaves none.
    let reason =
      found.exitStatus == nil
      ? LifeReason(
        code: "Server.InternalError", message: "Server.InternalError: the instance's first process was killed from outside the instance")
      : LifeReason(code: "Client.InstanceInitiatedShutdown", message: "Client.InstanceInitiatedShutdown: Instance initiated shutdown")
    // Its link, control groups and credentials would outlive it otherwise.
    if move == .stopped {
      try await world.driver.stop(handle, grace: 0)
      try await world.metadata.withdraw(instanceId: stored.id)
    }
    try await world.machine.apply(move, to: stored.id, in: stored.scope) {
      if move == .stopped { $0.handle = nil }
      $0.stateReason = reason
    }
  }
}
