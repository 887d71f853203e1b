import FoundationEssentials
import RegionKit
import RegionStore
import WireModel

/// Events in the shape EventBridge gives them.
struct DeploymentEvents: Sendable {
  let random: any Randomness

  /// `START`, `SUCCESS`, `FAILURE`, `STOP` or `READY`.
  func deployment(_ deployment: DeploymentRecord, state: String, _ scope: Scope, _ now: Date) -> RegionEvent {
    event(
      "CodeDeploy Deployment State-change Notification", scope, now, resources(deployment, scope),
      [
        ("region", scope.region.rawValue), ("deploymentId", deployment.deploymentId),
        ("instanceGroupId", deployment.groupId), ("deploymentGroup", deployment.groupName), ("state", state),
        ("application", deployment.applicationName),
      ])
  }

  func instance(
    _ target: TargetRecord, of deployment: DeploymentRecord, state: String, _ scope: Scope, _ now: Date
  ) -> RegionEvent {
    event(
      "CodeDeploy Instance State-change Notification", scope, now,
      resources(deployment, scope) + [HostNames.targetARN(target.hostId, onPremises: target.onPremises, scope)],
      [
        ("instanceId", target.hostId), ("region", scope.region.rawValue), ("deploymentId", deployment.deploymentId),
        ("instanceGroupId", deployment.groupId), ("deploymentGroup", deployment.groupName), ("state", state),
        ("application", deployment.applicationName),
      ])
  }

  private func resources(_ deployment: DeploymentRecord, _ scope: Scope) -> [String] {
    [
      ARNs.group(deployment.applicationName, deployment.groupName, scope), ARNs.application(deployment.applicationName, scope),
    ]
  }

  private func event(
    _ type: String, _ scope: Scope, _ now: Date, _ resources: [String], _ detail: [(String, String)]
  ) -> RegionEvent {
    let json = JSONWriter.write(.object(detail.map { JSONMember($0.0, .string($0.1)) }))
    return RegionEvent(
      id: random.uuid(), source: "aws.codedeploy", detailType: type, scope: scope, time: now, resources: resources,
      detail: String(decoding: json, as: UTF8.self))
  }
}

/// The ARNs of CodeDeploy's own things.
enum ARNs {
  static func application(_ name: String, _ scope: Scope) -> String { make("application:\(name)", scope) }
  static func group(_ application: String, _ group: String, _ scope: Scope) -> String {
    make("deploymentgroup:\(application)/\(group)", scope)
  }
  static func config(_ name: String, _ scope: Scope) -> String { make("deploymentconfig:\(name)", scope) }
  static func instance(_ name: String, _ scope: Scope) -> String { make("instance:\(name)", scope) }
  private static func make(_ resource: String, _ scope: Scope) -> String {
    ARN(service: "codedeploy", scope: scope, resource: resource).description
  }
}

/// How hosts are named outside the service.
enum HostNames {
  /// `arn:aws:ec2:…:instance/i-…`, or `arn:aws:codedeploy:…:instance/NAME` for an on-premises instance.
  static func targetARN(_ hostId: String, onPremises: Bool, _ scope: Scope) -> String {
    ARN(service: onPremises ? "codedeploy" : "ec2", scope: scope, resource: "instance/\(hostId)").description
  }
  /// The host id behind a target id as a caller writes it: `i-…`, a name, or an ARN of either kind.
  static func hostId(_ targetId: String) -> String {
    guard let arn = ARN(targetId) else { return targetId }
    for prefix in ["instance/", "instance:"] where arn.resource.hasPrefix(prefix) { return String(arn.resource.dropFirst(prefix.count)) }
    return targetId
  }
}
