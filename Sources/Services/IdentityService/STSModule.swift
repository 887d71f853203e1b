import RegionKit
import RegionStore
import WireModel

/// STS as the gateway sees it.
struct STSModule: ServiceModule {
  let core: IdentityCore
  let handlers: [String: OperationHandler]
  var model: ServiceModel { STSWire.model }

  init(core: IdentityCore, tokens: SessionTokens, lastUse: LastUseRecorder) {
    self.core = core
    handlers = STSWire.handlers(STSOperations(core: core, tokens: tokens, lastUse: lastUse))
  }

  /// GetCallerIdentity and GetSessionToken are open to every signed caller, as AWS documents it.
  func authorization(
    for operation: String, input: [String: WireValue], call: Call
  ) async throws -> [AuthorizationRequest] {
    switch operation {
    case "GetCallerIdentity", "GetSessionToken":
      return []
    case "AssumeRole":
      return try await assumeRole(Obj(fields: input))
    case "GetFederationToken":
      let input = Obj<GetFederationTokenRequest>(fields: input)
      let arn = "arn:aws:sts::\(call.account):federated-user/\(input[.name])"
      let tags = tagContext(input[.tags] ?? [])
      var requests = [AuthorizationRequest("sts:GetFederationToken", on: arn, context: tags)]
      if !tags.isEmpty { requests.append(AuthorizationRequest("sts:TagSession", on: arn, context: tags)) }
      return requests
    default:
      return [AuthorizationRequest("sts:\(operation)")]
    }
  }

  private func tagContext(_ tags: [Obj<STSTag>]) -> [String: [String]] {
    var context: [String: [String]] = [:]
    for tag in tags { context["aws:RequestTag/\(tag[.key])"] = [tag[.value]] }
    if !tags.isEmpty { context["aws:TagKeys"] = tags.map { $0[.key] } }
    return context
  }

  /// The role's trust policy takes part as its resource policy. A role that does not exist has none, so that the answer is the
  /// same denial and tells a stranger nothing.
  private func assumeRole(_ input: Obj<AssumeRoleRequest>) async throws -> [AuthorizationRequest] {
    let arn = input[.roleArn]
    let account = AccountID(ARN(arn)?.account ?? "")
    let role = account.isWellFormed ? try await core.role(arn: arn, account) : nil
    let tags = tagContext(input[.tags] ?? [])
    var context = tags
    context["sts:RoleSessionName"] = [input[.roleSessionName]]
    if let id = input[.externalId] { context["sts:ExternalId"] = [id] }
    for tag in role?.tags ?? [] {
      context["aws:ResourceTag/\(tag.key)"] = [tag.value]
      context["iam:ResourceTag/\(tag.key)"] = [tag.value]
    }
    func request(_ action: String) -> AuthorizationRequest {
      AuthorizationRequest(
        action, on: arn, context: context, resourcePolicy: role?.trust, resourceAccount: account.isWellFormed ? account : nil)
    }
    return [request("sts:AssumeRole")] + (tags.isEmpty ? [] : [request("sts:TagSession")])
  }
}
