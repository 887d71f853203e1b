import RegionKit
import RegionStore
import WireModel

/// Roles that a service owns: their names, paths and trust are the service's, and nobody else can change them.
extension IAMOperations {
  /// Service principal to role name and what the role may do. Only services whose role this region knows what to do with.
  static let linkedServices: [String: (role: String, actions: [String], suffix: Bool)] = [
    "autoscaling.amazonaws.com": (
      "AWSServiceRoleForAutoScaling",
      [
        "cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm", "ec2:AttachClassicLinkVpc",
        "ec2:CancelSpotInstanceRequests", "ec2:CreateFleet", "ec2:CreateTags", "ec2:DeleteTags", "ec2:Describe*",
        "ec2:DetachClassicLinkVpc", "ec2:GetInstanceTypesFromInstanceRequirements", "ec2:ModifyInstanceAttribute",
        "ec2:RequestSpotInstances", "ec2:RunInstances", "ec2:StartInstances", "ec2:StopInstances", "ec2:TerminateInstances",
        "elasticloadbalancing:Deregister*", "elasticloadbalancing:Describe*", "elasticloadbalancing:Register*", "sns:Publish",
      ], true
    ),
    "elasticloadbalancing.amazonaws.com": (
      "AWSServiceRoleForElasticLoadBalancing",
      [
        "ec2:AssignIpv6Addresses", "ec2:AssignPrivateIpAddresses", "ec2:AssociateAddress", "ec2:AttachNetworkInterface",
        "ec2:AuthorizeSecurityGroupIngress", "ec2:CreateNetworkInterface", "ec2:CreateSecurityGroup",
        "ec2:DeleteNetworkInterface",
        "ec2:Describe*", "ec2:DetachNetworkInterface", "ec2:DisassociateAddress", "ec2:ModifyNetworkInterfaceAttribute",
        "ec2:UnassignPrivateIpAddresses", "logs:CreateLogDelivery", "logs:DeleteLogDelivery",
      ], false
    ),
    "ecs.amazonaws.com": (
      "AWSServiceRoleForECS",
      [
        "autoscaling:Describe*", "autoscaling:PutScalingPolicy", "autoscaling:UpdateAutoScalingGroup", "cloudwatch:DeleteAlarms",
        "cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm", "ec2:AttachNetworkInterface", "ec2:CreateNetworkInterface",
        "ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterface", "ec2:Describe*", "ec2:DetachNetworkInterface",
        "elasticloadbalancing:Deregister*", "elasticloadbalancing:Describe*", "elasticloadbalancing:Register*",
        "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents", "route53:ChangeResourceRecordSets",
      ], false
    ),
  ]

  func createServiceLinkedRole(
    _ input: Obj<CreateServiceLinkedRoleRequest>, _ call: Call
  ) async throws -> Obj<CreateServiceLinkedRoleResponse> {
    let service = input[.aWSServiceName]
    guard let known = Self.linkedServices[service] else {
      throw IAMErrors.invalidInputException(
        "This region has no service-linked role for \(service). It has one for: "
          + Self.linkedServices.keys.sorted().joined(separator: ", "))
    }
    if input[.customSuffix] != nil && !known.suffix {
      throw IAMErrors.invalidInputException("Custom suffix is not allowed for \(service)")
    }
    let name = known.role + (input[.customSuffix].map { "_\($0)" } ?? "")
    let trust =
      "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"\(service)\"},"
      + "\"Action\":\"sts:AssumeRole\"}]}"
    let actions = known.actions.map { "\"\($0)\"" }.joined(separator: ",")
    let role = try await core.change(call.account) { commit in
      guard try await core.find(RoleRecord.self, name, call.account) == nil else {
        throw IAMErrors.invalidInputException(
          "Service role name \(name) has been taken in this account, please try a different suffix.")
      }
      var role = RoleRecord(
        name: name, path: "/aws-service-role/\(service)/", id: core.uniqueId("AROA"), created: call.now, trust: trust,
        description: input[.description], maxSession: 3_600)
      role.linkedService = service
      role.inline["ServiceRolePolicy"] =
        "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[\(actions)],\"Resource\":\"*\"}]}"
      try commit.save(role, call.account, version: nil)
      return role
    }
    return Obj { $0[.role] = role.shape(call.account, full: true) }
  }

  /// Nothing holds such a role but the service's own resources, and none of these services keeps any on it yet, so the deletion
  /// is done when this answers; the task can be asked about all the same.
  func deleteServiceLinkedRole(
    _ input: Obj<DeleteServiceLinkedRoleRequest>, _ call: Call
  ) async throws -> Obj<DeleteServiceLinkedRoleResponse> {
    let task = try await core.change(call.account) { commit in
      let stored = try await core.role(input[.roleName], call.account)
      guard let service = stored.value.linkedService else {
        throw IAMErrors.noSuchEntityException("\(stored.value.name) is not a service-linked role. Use DeleteRole.")
      }
      let id = "task/aws-service-role/\(service)/\(stored.value.name)/\(core.random.uuid())"
      commit.remove(stored)
      try commit.put(RoleDeletionRecord(succeeded: true), in: stored.scope, id: id, expecting: .absent)
      return id
    }
    return Obj { $0[.deletionTaskId] = task }
  }

  func getServiceLinkedRoleDeletionStatus(
    _ input: Obj<GetServiceLinkedRoleDeletionStatusRequest>, _ call: Call
  ) async throws -> Obj<GetServiceLinkedRoleDeletionStatusResponse> {
    let id = input[.deletionTaskId]
    guard let record = try await core.store.get(RoleDeletionRecord.self, in: IdentityCore.scope(call.account), id: id) else {
      throw IAMErrors.noSuchEntityException("No deletion task \(id) exists.")
    }
    return Obj { $0[.status] = record.value.succeeded ? .succeeded : .failed }
  }
}
