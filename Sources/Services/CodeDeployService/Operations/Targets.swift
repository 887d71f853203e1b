import FoundationEssentials
import RegionKit
import RegionStore
import WireModel

/// The hosts of a deployment, in the style of targets and in the older style of instances.
extension CodeDeployOperations {
  func getDeploymentTarget(
    _ input: Obj<GetDeploymentTargetInput>, _ call: Call
  ) async throws -> Obj<GetDeploymentTargetOutput> {
    let stored = try await deployment(input.fields["deploymentId"]?.asString, call)
    guard let id = input.fields["targetId"]?.asString, !id.isEmpty else {
      throw CodeDeployErrors.deploymentTargetIdRequiredException("targetId is required.")
    }
    let target = try await target(id, of: stored.value, call.scope, CodeDeployErrors.deploymentTargetDoesNotExistException)
    return Obj { $0[.deploymentTarget] = Self.describe(target, call.scope) }
  }

  func batchGetDeploymentTargets(
    _ input: Obj<BatchGetDeploymentTargetsInput>, _ call: Call
  ) async throws -> Obj<BatchGetDeploymentTargetsOutput> {
    let stored = try await deployment(input.fields["deploymentId"]?.asString, call)
    let ids = input[.targetIds]
    guard !ids.isEmpty else { throw CodeDeployErrors.deploymentTargetIdRequiredException("targetIds is empty.") }
    guard ids.count <= 25 else {
      throw CodeDeployErrors.deploymentTargetListSizeExceededException("targetIds has \(ids.count) entries; at most 25 are allowed.")
    }
    var found: [Obj<DeploymentTarget>] = []
    for id in ids {
      let target = try await target(id, of: stored.value, call.scope, CodeDeployErrors.deploymentTargetDoesNotExistException)
      found.append(Self.describe(target, call.scope))
    }
    return Obj { $0[.deploymentTargets] = found }
  }

  func listDeploymentTargets(
    _ input: Obj<ListDeploymentTargetsInput>, _ call: Call
  ) async throws -> Obj<ListDeploymentTargetsOutput> {
    let stored = try await deployment(input.fields["deploymentId"]?.asString, call)
    let filters = input[.targetFilters] ?? [:]
    if let odd = filters.keys.first(where: { $0 != "TargetStatus" && $0 != "ServerInstanceLabel" }) {
      throw CodeDeployErrors.invalidTargetFilterNameException("'\(odd)' is no target filter: TargetStatus and ServerInstanceLabel are.")
    }
    // Blue and Green label hosts of blue/green deployments, of which there are none.
    let none = filters["ServerInstanceLabel"]?.isEmpty == false
    let page = try await hosts(
      stored.value, statuses: filters["TargetStatus"] ?? [], none: none, "ListDeploymentTargets", input[.nextToken], call.scope)
    return Obj {
      $0[.targetIds] = page.elements
      $0[.nextToken] = page.nextToken
    }
  }

  func getDeploymentInstance(
    _ input: Obj<GetDeploymentInstanceInput>, _ call: Call
  ) async throws -> Obj<GetDeploymentInstanceOutput> {
    let stored = try await deployment(input.fields["deploymentId"]?.asString, call)
    guard let id = input.fields["instanceId"]?.asString, !id.isEmpty else {
      throw CodeDeployErrors.instanceIdRequiredException("instanceId is required.")
    }
    let target = try await target(id, of: stored.value, call.scope, CodeDeployErrors.instanceDoesNotExistException)
    return Obj { $0[.instanceSummary] = Self.summary(target, call.scope) }
  }

  func batchGetDeploymentInstances(
    _ input: Obj<BatchGetDeploymentInstancesInput>, _ call: Call
  ) async throws -> Obj<BatchGetDeploymentInstancesOutput> {
    let stored = try await deployment(input.fields["deploymentId"]?.asString, call)
    let ids = try Check.batch(input[.instanceIds], limit: 25, CodeDeployErrors.instanceIdRequiredException, "instanceIds")
    var found: [Obj<InstanceSummary>] = []
    var missing: [String] = []
    for id in ids {
      if let target = try await engine.target(stored.id, HostNames.hostId(id), in: call.scope)?.value {
        found.append(Self.summary(target, call.scope))
      } else {
        missing.append(id)
      }
    }
    return Obj {
      $0[.instancesSummary] = found
      if !missing.isEmpty { $0[.errorMessage] = "Not instances of \(stored.id): " + missing.joined(separator: ", ") }
    }
  }

  func listDeploymentInstances(
    _ input: Obj<ListDeploymentInstancesInput>, _ call: Call
  ) async throws -> Obj<ListDeploymentInstancesOutput> {
    let stored = try await deployment(input.fields["deploymentId"]?.asString, call)
    if let odd = (input[.instanceTypeFilter] ?? []).first(where: { $0 != .blue && $0 != .green }) {
      throw CodeDeployErrors.invalidInstanceTypeException("'\(odd.rawValue)' is no instance type: Blue and Green are.")
    }
    let none = input[.instanceTypeFilter]?.isEmpty == false
    let page = try await hosts(
      stored.value, statuses: (input[.instanceStatusFilter] ?? []).map(\.rawValue), none: none, "ListDeploymentInstances",
      input[.nextToken], call.scope)
    return Obj {
      $0[.instancesList] = page.elements
      $0[.nextToken] = page.nextToken
    }
  }

  private func hosts(
    _ deployment: DeploymentRecord, statuses: [String], none: Bool, _ operation: String, _ token: String?, _ scope: Scope
  ) async throws -> Page<String> {
    let known = HostStatus.allCases.map(\.rawValue) + ["Unknown", "Ready"]
    if let odd = statuses.first(where: { !known.contains($0) }) {
      throw CodeDeployErrors.invalidInstanceStatusException("'\(odd)' is no status: \(known.joined(separator: ", ")) are.")
    }
    if case .created = deployment.phase {
      throw CodeDeployErrors.deploymentNotStartedException("Deployment \(deployment.deploymentId) has not started yet.")
    }
    var targets = try await engine.targets(deployment.deploymentId, in: scope).map(\.value)
    if !statuses.isEmpty { targets = targets.filter { statuses.contains($0.status.rawValue) } }
    if none { targets = [] }
    let binding = "\(operation) \(scope) \(deployment.deploymentId) \(statuses.sorted().joined(separator: ",")) \(none)"
    return try Page(targets.map(\.hostId), token: token, binding: binding) { $0 }
  }

  private func target(
    _ id: String, of deployment: DeploymentRecord, _ scope: Scope, _ missing: ErrorCode
  ) async throws -> TargetRecord {
    guard let target = try await engine.target(deployment.deploymentId, HostNames.hostId(id), in: scope)?.value else {
      throw missing("\(id) is no instance of deployment \(deployment.deploymentId).")
    }
    return target
  }

  private static func describe(_ target: TargetRecord, _ scope: Scope) -> Obj<DeploymentTarget> {
    Obj { output in
      output[.deploymentTargetType] = .instanceTarget
      output[.instanceTarget] = Obj {
        $0[.deploymentId] = target.deploymentId
        $0[.targetId] = target.hostId
        $0[.targetArn] = HostNames.targetARN(target.hostId, onPremises: target.onPremises, scope)
        $0[.status] = TargetStatus(rawValue: target.status.rawValue)
        $0[.lastUpdatedAt] = target.updated
        $0[.lifecycleEvents] = target.events.map(lifecycleEvent)
      }
    }
  }

  private static func summary(_ target: TargetRecord, _ scope: Scope) -> Obj<InstanceSummary> {
    Obj {
      $0[.deploymentId] = target.deploymentId
      $0[.instanceId] = HostNames.targetARN(target.hostId, onPremises: target.onPremises, scope)
      $0[.status] = InstanceStatus(rawValue: target.status.rawValue)
      $0[.lastUpdatedAt] = target.updated
      $0[.lifecycleEvents] = target.events.map(lifecycleEvent)
    }
  }

  private static func lifecycleEvent(_ event: EventRecord) -> Obj<LifecycleEvent> {
    Obj { output in
      output[.lifecycleEventName] = event.name
      output[.status] = LifecycleEventStatus(rawValue: event.status.rawValue)
      output[.startTime] = event.start
      output[.endTime] = event.end
      if let diagnostics = event.diagnostics {
        output[.diagnostics] = Obj {
          $0[.errorCode] = LifecycleErrorCode(rawValue: diagnostics.errorCode)
          $0[.scriptName] = diagnostics.scriptName
          $0[.message] = diagnostics.message
          $0[.logTail] = diagnostics.logTail
        }
      }
    }
  }
}
