import Ports
import RegionKit
import RegionStore
import WireModel

/// What EC2 registers with the gateway.
struct EC2Module: ServiceModule {
  let api: EC2Operations

  var model: ServiceModel { EC2Wire.model }

  /// Every operation honours DryRun: the permission was checked when the handler runs, so the answer is the documented
  /// `DryRunOperation`. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
  var handlers: [String: OperationHandler] {
    EC2Wire.handlers(api).mapValues { handler in
      { input, call in
        if case .bool(true)? = input["DryRun"] {
          throw AWSError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", status: 412)
        }
        return try await handler(input, call)
      }
    }
  }

  func authorization(for operation: String, input: [String: WireValue], call: Call) async throws -> [AuthorizationRequest] {
    let action = "ec2:" + operation
    func arn(_ resource: String) -> String { ARN(service: "ec2", scope: call.scope, resource: resource).description }
    func ids(_ member: String) -> [String] { (input[member]?.asList ?? []).compactMap(\.asString) }
    switch operation {
    case "StartInstances", "StopInstances", "RebootInstances", "TerminateInstances":
      return await withTags(ids("InstanceIds"), action: action, call: call)
    case "GetConsoleOutput", "ModifyInstanceAttribute", "ModifyInstanceMetadataOptions":
      return await withTags([input["InstanceId"]?.asString ?? "*"], action: action, call: call)
    case "RunInstances":
      var context: [String: [String]] = [:]
      if let type = input["InstanceType"]?.asString { context["ec2:InstanceType"] = [type] }
      for (key, value) in Self.requestTags(input) { context["aws:RequestTag/\(key)"] = [value] }
      return [
        AuthorizationRequest(action, on: arn("instance/*"), context: context),
        AuthorizationRequest(action, on: "arn:aws:ec2:\(call.region)::image/\(input["ImageId"]?.asString ?? "*")", context: context),
      ]
    case "CreateTags", "DeleteTags":
      return ids("Resources").map { AuthorizationRequest(action, on: arn("\(ResourceKind.of($0)?.rawValue ?? "*")/\($0)")) }
    case "CreateSecurityGroup": return [AuthorizationRequest(action, on: arn("security-group/*"))]
    case "DeleteSecurityGroup":
      return [AuthorizationRequest(action, on: arn("security-group/\(input["GroupId"]?.asString ?? "*")"))]
    case "AssociateIamInstanceProfile":
      return await withTags([input["InstanceId"]?.asString ?? "*"], action: action, call: call)
    default: return [AuthorizationRequest(action)]
    }
  }

  /// One question per instance, with its tags as condition keys.
  private func withTags(_ instanceIds: [String], action: String, call: Call) async -> [AuthorizationRequest] {
    var out: [AuthorizationRequest] = []
    for id in instanceIds {
      var context: [String: [String]] = [:]
      if let record = try? await api.world.store.get(InstanceRecord.self, in: call.scope, id: id) {
        for (key, value) in record.value.tags { context["aws:ResourceTag/\(key)"] = [value] }
      }
      out.append(
        AuthorizationRequest(action, on: ARN(service: "ec2", scope: call.scope, resource: "instance/\(id)").description, context: context))
    }
    return out
  }

  private static func requestTags(_ input: [String: WireValue]) -> [(String, String)] {
    (input["TagSpecifications"]?.asList ?? []).flatMap { specification in
      (specification.asObject?["Tags"]?.asList ?? []).compactMap { tag in
        guard let key = tag.asObject?["Key"]?.asString else { return nil }
        return (key, tag.asObject?["Value"]?.asString ?? "")
      }
    }
  }
}

/// The kinds of resource this region has, by the prefix of their ids.
enum ResourceKind: String, CaseIterable {
  case instance
  case securityGroup = "security-group"
  case vpc, subnet, image

  var prefix: String {
    switch self {
    case .instance: "i-"
    case .securityGroup: "sg-"
    case .vpc: "vpc-"
    case .subnet: "subnet-"
    case .image: "ami-"
    }
  }

  static func of(_ id: String) -> ResourceKind? { allCases.first { id.hasPrefix($0.prefix) } }
}
