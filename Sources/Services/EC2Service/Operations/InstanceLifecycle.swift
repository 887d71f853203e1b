import FoundationEssentials
import Ports
import RegionKit
import RegionStore
import WireModel

extension EC2Operations {
  func startInstances(_ input: Obj<StartInstancesRequest>, _ call: Call) async throws -> Obj<StartInstancesResult> {
    let changes = try await moveAll(input[.instanceIds], .start, already: [.pending, .running], call) {
      $0.stateReason = LifeReason(code: "pending", message: "pending")
      $0.transitionReason = ""
      $0.launchTime = call.now
    }
    return Obj { $0[.startingInstances] = changes }
  }

  func stopInstances(_ input: Obj<StopInstancesRequest>, _ call: Call) async throws -> Obj<StopInstancesResult> {
    if input[.hibernate] ?? false {
      throw AWSError("UnsupportedHibernationConfiguration", "Instances of this region cannot hibernate. Stop without Hibernate.")
    }
    for stored in try await instances(input[.instanceIds], in: call.scope) where stored.value.disableApiStop {
      throw protected(stored.id, attribute: "disableApiStop", verb: "stopped")
    }
    let changes = try await moveAll(input[.instanceIds], .stop, already: [.stopping, .stopped], call) {
      $0.stateReason = LifeReason(
        code: "Client.UserInitiatedShutdown", message: "Client.UserInitiatedShutdown: User initiated shutdown")
      $0.transitionReason = "User initiated (\(Self.gmt(call.now)))"
    }
    return Obj { $0[.stoppingInstances] = changes }
  }

  func rebootInstances(_ input: Obj<RebootInstancesRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    _ = try await moveAll(input[.instanceIds], .reboot, already: [], call) { _ in }
    return Obj()
  }

  func terminateInstances(_ input: Obj<TerminateInstancesRequest>, _ call: Call) async throws -> Obj<TerminateInstancesResult> {
    for stored in try await instances(input[.instanceIds], in: call.scope) where stored.value.disableApiTermination {
      throw protected(stored.id, attribute: "disableApiTermination", verb: "terminated")
    }
    let changes = try await moveAll(input[.instanceIds], .terminate, already: [.shuttingDown, .terminated], call) {
      $0.stateReason = LifeReason(
        code: "Client.UserInitiatedShutdown", message: "Client.UserInitiatedShutdown: User initiated shutdown")
      $0.transitionReason = "User initiated (\(Self.gmt(call.now)))"
    }
    return Obj { $0[.terminatingInstances] = changes }
  }

  /// Moves all the instances named in one commit or none of them. One that is `already` where the call wants it is answered unchanged.
  private func moveAll(
    _ ids: [String], _ move: InstanceMove, already: Set<LifeState>, _ call: Call, change: (inout InstanceRecord) -> Void
  ) async throws -> [Obj<InstanceStateChange>] {
    while true {
      var commit = StoreCommit()
      var changes: [Obj<InstanceStateChange>] = []
      for stored in try await instances(ids, in: call.scope) {
        let before = stored.value.state
        // Only what is still on its way can be stuck there; the same code on an ended instance says how it ended.
        let isStuck = stored.value.stateReason?.code == LifeReason.stuck && move.legalSources.contains(before)
        if already.contains(before), !isStuck {
          changes.append(stateChange(stored.id, from: before, to: before))
          continue
        }
        guard move.legalSources.contains(before) else {
          throw AWSError(
            "IncorrectInstanceState",
            "The instance '\(stored.id)' is not in a state from which it can do this: it is \(before.rawValue), allowed is "
              + move.legalSources.map(\.rawValue).sorted().joined(separator: ", ") + ".")
        }
        let record = try world.machine.prepare(move, stored: stored, into: &commit, change: change)
        changes.append(stateChange(stored.id, from: before, to: record.state))
      }
      do {
        try await store.commit(commit)
        return changes
      } catch is StoreConflict { continue }
    }
  }

  private func protected(_ id: String, attribute: String, verb: String) -> AWSError {
    AWSError(
      "OperationNotPermitted",
      "The instance '\(id)' may not be \(verb). Modify its '\(attribute)' instance attribute and try again.")
  }

  private static func gmt(_ date: Date) -> String {
    let text = ISO8601.text(date)
    return text.prefix(10) + " " + text.dropFirst(11).prefix(8) + " GMT"
  }

  func getConsoleOutput(_ input: Obj<GetConsoleOutputRequest>, _ call: Call) async throws -> Obj<GetConsoleOutputResult> {
    _ = try await instances([input[.instanceId]], in: call.scope)
    let bytes = try await world.driver.consoleOutput(instanceId: input[.instanceId])
    return Obj {
      $0[.instanceId] = input[.instanceId]
      $0[.timestamp] = call.now
      $0[.output] = Data(bytes).base64EncodedString()
    }
  }

  func describeInstanceStatus(_ input: Obj<DescribeInstanceStatusRequest>, _ call: Call) async throws
    -> Obj<DescribeInstanceStatusResult>
  {
    let ids = input[.instanceIds] ?? []
    let filters = filters(input[.filters])
    var records =
      try await ids.isEmpty
      ? store.list(InstanceRecord.self, in: call.scope).map(\.value) : instances(ids, in: call.scope).map(\.value)
    if !(input[.includeAllInstances] ?? false) { records = records.filter { $0.state == .running } }
    records = try records.filter { record in
      try ResourceFilter.allMatch(filters, tags: [:]) { name in
        switch name {
        case "availability-zone": [record.availabilityZone]
        case "instance-state-name": [record.state.rawValue]
        case "instance-state-code": [String(record.state.code)]
        default: nil
        }
      }
    }
    let (page, next) = try Paging.page(
      records.sorted { $0.instanceId < $1.instanceId }, id: \.instanceId, maxResults: input[.maxResults],
      token: input[.nextToken], binding: binding(call, filters))
    var statuses: [Obj<InstanceStatus>] = []
    for record in page { statuses.append(await status(of: record)) }
    return Obj {
      $0[.instanceStatuses] = statuses
      $0[.nextToken] = next
    }
  }

  /// Both checks ask the driver now: whether the machine can be inspected (system) and whether its init runs (instance).
  private func status(of record: InstanceRecord) async -> Obj<InstanceStatus> {
    var system = "not-applicable"
    var instance = "not-applicable"
    if record.state == .running, let handle = record.handle {
      let inspection = try? await world.driver.inspect(handle)
      system = inspection == nil ? "impaired" : "ok"
      instance = inspection?.condition == .running ? "ok" : "impaired"
    }
    func summary(_ status: String) -> Obj<InstanceStatusSummary> {
      Obj {
        $0[.status] = SummaryStatus(rawValue: status)
        if status == "ok" || status == "impaired" {
          $0[.details] = [
            Obj {
              $0[.name] = .reachability
              $0[.status] = status == "ok" ? .passed : .failed
            }
          ]
        }
      }
    }
    return Obj {
      $0[.instanceId] = record.instanceId
      $0[.availabilityZone] = record.availabilityZone
      $0[.instanceState] = wireState(record.state)
      $0[.systemStatus] = summary(system)
      $0[.instanceStatus] = summary(instance)
      $0[.events] = []
    }
  }
}
