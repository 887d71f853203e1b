import RegionKit
import RegionStore
import WireModel

/// IAM as the gateway sees it.
struct IAMModule: ServiceModule {
  let core: IdentityCore
  let handlers: [String: OperationHandler]
  var model: ServiceModel { IAMWire.model }

  init(core: IdentityCore, lastUse: LastUseRecorder) {
    self.core = core
    handlers = IAMWire.handlers(IAMOperations(core: core, lastUse: lastUse))
  }

  /// `iam:OPERATION` on the entity that the request names, with the tags and policies that conditions may ask about.
  func authorization(
    for operation: String, input: [String: WireValue], call: Call
  ) async throws -> [AuthorizationRequest] {
    let account = call.account
    let target = try await IAMTarget(operation, input, call, core)
    var context = target.context
    let tags = [Obj<Tag>](wire: input["Tags"]) ?? []
    for tag in tags { context["aws:RequestTag/\(tag[.key])"] = [tag[.value]] }
    let keys = tags.map { $0[.key] } + ([String](wire: input["TagKeys"]) ?? [])
    if !keys.isEmpty { context["aws:TagKeys"] = keys }
    if operation.hasPrefix("Attach") || operation.hasPrefix("Detach"), let arn = input["PolicyArn"]?.asString {
      context["iam:PolicyARN"] = [arn]
    }
    if let boundary = input["PermissionsBoundary"]?.asString ?? target.boundary {
      context["iam:PermissionsBoundary"] = [boundary]
    }
    if let service = input["AWSServiceName"]?.asString { context["iam:AWSServiceName"] = [service] }
    var requests = [AuthorizationRequest("iam:\(operation)", on: target.arn, context: context, resourceAccount: account)]
    if operation == "AddRoleToInstanceProfile", let name = input["RoleName"]?.asString {
      // Handing a role to an instance is passing it on.
      let role = try await core.find(RoleRecord.self, name, account)?.value
      requests.append(
        AuthorizationRequest(
          "iam:PassRole", on: role?.arn(account) ?? RoleRecord.arn(account, path: "/", name: name),
          context: ["iam:PassedToService": ["ec2.amazonaws.com"]], resourceAccount: account))
    }
    return requests
  }
}

/// The entity a request is about: its ARN, path included, and what conditions may ask of it.
private struct IAMTarget {
  var arn = "*"
  var context: [String: [String]] = [:]
  var boundary: String?

  /// Operations that mean the caller when `UserName` is absent.
  private static let ownUser: Set<String> = [
    "GetUser", "CreateAccessKey", "DeleteAccessKey", "ListAccessKeys", "UpdateAccessKey", "CreateLoginProfile", "GetLoginProfile",
    "DeleteLoginProfile", "ListSSHPublicKeys", "ListServiceSpecificCredentials", "UpdateServiceSpecificCredential",
    "DeleteServiceSpecificCredential", "ResetServiceSpecificCredential",
  ]
  private static let lists: [String: String] = [
    "ListUsers": "user", "ListGroups": "group", "ListRoles": "role", "ListInstanceProfiles": "instance-profile",
    "ListPolicies": "policy",
  ]

  init(_ operation: String, _ input: [String: WireValue], _ call: Call, _ core: IdentityCore) async throws {
    let account = call.account
    func text(_ member: String) -> String? { input[member]?.asString }
    if let noun = Self.lists[operation] {
      arn = "arn:aws:iam::\(account):\(noun)\(text("PathPrefix") ?? "/")"
    } else if operation == "CreatePolicy" {
      arn = PolicyRecord.arn(account, path: text("Path") ?? "/", name: text("PolicyName") ?? "")
    } else if let name = text("GroupName") {
      let record = try await core.find(GroupRecord.self, name, account)?.value
      arn = record?.arn(account) ?? GroupRecord.arn(account, path: text("Path") ?? "/", name: name)
    } else if let name = text("InstanceProfileName") {
      let record = try await core.find(InstanceProfileRecord.self, name, account)?.value
      arn = record?.arn(account) ?? InstanceProfileRecord.arn(account, path: text("Path") ?? "/", name: name)
      note(tags: record?.tags)
    } else if let name = text("RoleName") {
      let record = try await core.find(RoleRecord.self, name, account)?.value
      arn = record?.arn(account) ?? RoleRecord.arn(account, path: text("Path") ?? "/", name: name)
      note(tags: record?.tags)
      boundary = record?.boundary
    } else if let name = text("UserName") ?? Self.implied(operation, call) {
      let record = try await core.find(UserRecord.self, name, account)?.value
      arn = record?.arn(account) ?? UserRecord.arn(account, path: text("Path") ?? "/", name: name)
      note(tags: record?.tags)
      boundary = record?.boundary
    } else if operation == "GetAccessKeyLastUsed", let id = text("AccessKeyId") {
      let key = try await core.store.get(AccessKeyRecord.self, in: IdentityCore.scope(account), id: id)?.value
      if let name = key?.user, let user = try await core.find(UserRecord.self, name, account)?.value { arn = user.arn(account) }
    } else if let service = text("AWSServiceName") {
      let role = IAMOperations.linkedServices[service]?.role ?? "*"
      let suffix = text("CustomSuffix").map { "_\($0)" } ?? ""
      arn = RoleRecord.arn(account, path: "/aws-service-role/\(service)/", name: role + suffix)
    } else if let task = text("DeletionTaskId") {
      let parts = task.split(separator: "/")
      if parts.count == 5 { arn = "arn:aws:iam::\(account):role/\(parts[1])/\(parts[2])/\(parts[3])" }
    } else if let policy = text("PolicyArn") ?? text("PolicySourceArn") {
      arn = policy
      note(tags: try await core.policy(policy, account)?.value.tags)
    }
  }

  private mutating func note(tags: [TagRecord]?) {
    for tag in tags ?? [] {
      context["aws:ResourceTag/\(tag.key)"] = [tag.value]
      context["iam:ResourceTag/\(tag.key)"] = [tag.value]
    }
  }

  private static func implied(_ operation: String, _ call: Call) -> String? {
    ownUser.contains(operation) ? call.principal.userName : nil
  }
}
