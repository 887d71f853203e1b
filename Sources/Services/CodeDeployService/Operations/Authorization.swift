import RegionKit
import RegionStore
import WireModel

extension CodeDeployOperations {
  /// `codedeploy:<operation>` on each resource the input names.
  func authorization(for operation: String, input: [String: WireValue], call: Call) async throws -> [AuthorizationRequest] {
    let resources = try await resources(operation, input, call)
    var context: [String: [String]] = [:]
    for tag in (input["tags"] ?? input["Tags"])?.asList ?? [] {
      guard let key = tag.asObject?["Key"]?.asString else { continue }
      context["aws:RequestTag/\(key)"] = [tag.asObject?["Value"]?.asString ?? ""]
      context["aws:TagKeys", default: []].append(key)
    }
    return resources.map { AuthorizationRequest("codedeploy:\(operation)", on: $0, context: context, resourceAccount: call.account) }
  }

  private func resources(_ operation: String, _ input: [String: WireValue], _ call: Call) async throws -> [String] {
    let scope = call.scope
    func text(_ name: String) -> String? { input[name]?.asString }
    func texts(_ name: String) -> [String] { input[name]?.asList?.compactMap(\.asString) ?? [] }
    func orAll(_ arns: [String]) -> [String] { arns.isEmpty ? ["*"] : arns }
    switch operation {
    case "ListApplications", "ListDeploymentConfigs", "ListOnPremisesInstances": return ["*"]
    case "BatchGetApplications": return orAll(texts("applicationNames").map { ARNs.application($0, scope) })
    case "BatchGetDeploymentGroups":
      return orAll(texts("deploymentGroupNames").map { ARNs.group(text("applicationName") ?? "*", $0, scope) })
    case "CreateDeploymentGroup", "DeleteDeploymentGroup", "GetDeploymentGroup", "CreateDeployment", "ListDeployments":
      return [ARNs.group(text("applicationName") ?? "*", text("deploymentGroupName") ?? "*", scope)]
    case "UpdateDeploymentGroup":
      let names = [text("currentDeploymentGroupName"), text("newDeploymentGroupName")].compactMap { $0 }
      return orAll(names.map { ARNs.group(text("applicationName") ?? "*", $0, scope) })
    case "UpdateApplication":
      return orAll([text("applicationName"), text("newApplicationName")].compactMap { $0 }.map { ARNs.application($0, scope) })
    case "CreateDeploymentConfig", "DeleteDeploymentConfig", "GetDeploymentConfig":
      return [ARNs.config(text("deploymentConfigName") ?? "*", scope)]
    case "RegisterOnPremisesInstance", "DeregisterOnPremisesInstance", "GetOnPremisesInstance":
      return [ARNs.instance(text("instanceName") ?? "*", scope)]
    case "AddTagsToOnPremisesInstances", "RemoveTagsFromOnPremisesInstances", "BatchGetOnPremisesInstances":
      return orAll(texts("instanceNames").map { ARNs.instance($0, scope) })
    case "ListTagsForResource", "TagResource", "UntagResource": return [text("ResourceArn") ?? "*"]
    case "BatchGetDeployments": return try await groups(of: texts("deploymentIds"), call)
    default:
      if input["deploymentId"] != nil { return try await groups(of: [text("deploymentId") ?? ""], call) }
      return [ARNs.application(text("applicationName") ?? "*", scope)]
    }
  }

  /// A deployment is authorised as its group. One that does not exist stands for any.
  private func groups(of deployments: [String], _ call: Call) async throws -> [String] {
    var arns: [String] = []
    for id in deployments {
      let known = try await engine.deployment(id, in: call.scope)?.value
      let arn = ARNs.group(known?.applicationName ?? "*", known?.groupName ?? "*", call.scope)
      if !arns.contains(arn) { arns.append(arn) }
    }
    return arns.isEmpty ? ["*"] : arns
  }
}
