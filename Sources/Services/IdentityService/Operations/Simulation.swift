import FoundationEssentials
import RegionKit
import RegionStore
import WireModel

/// Policy simulation: the engine that decides real calls, asked about calls that nobody makes.
extension IAMOperations {
  /// What both simulations share, whatever the input's shape is called.
  private struct Question {
    let actions: [String]
    let resources: [String]
    let context: [String: [String]]
    let resourcePolicy: String?
    let resourceOwner: AccountID?

    init(_ fields: [String: WireValue]) throws {
      actions = [String](wire: fields["ActionNames"]) ?? []
      let arns = [String](wire: fields["ResourceArns"]) ?? []
      resources = arns.isEmpty ? ["*"] : arns
      resourcePolicy = fields["ResourcePolicy"]?.asString
      resourceOwner = fields["ResourceOwner"]?.asString.map { text in
        AccountID(ARN(text)?.account ?? text)
      }
      var context: [String: [String]] = [:]
      for entry in [Obj<ContextEntry>](wire: fields["ContextEntries"]) ?? [] {
        guard let name = entry[.contextKeyName] else { continue }
        context[name, default: []] += entry[.contextKeyValues] ?? []
      }
      self.context = context
      for action in actions where action.split(separator: ":").count != 2 {
        throw IAMErrors.invalidInputException("Invalid Entity Arn: \(action) is not an action, e.g. s3:GetObject.")
      }
    }
  }

  func simulatePrincipalPolicy(
    _ input: Obj<SimulatePrincipalPolicyRequest>, _ call: Call
  ) async throws -> Obj<SimulatePolicyResponse> {
    let source = input[.policySourceArn]
    var (principal, policies) = try await subject(source, call)
    if let caller = input[.callerArn], caller != source { principal = try await subject(caller, call).principal }
    for text in input[.policyInputList] ?? [] { policies.identity.append(try readable(text)) }
    if let boundary = input[.permissionsBoundaryPolicyInputList]?.first { policies.boundary = .policy(try readable(boundary)) }
    return try simulate(try Question(input.fields), principal, policies, input.fields, call)
  }

  func simulateCustomPolicy(
    _ input: Obj<SimulateCustomPolicyRequest>, _ call: Call
  ) async throws -> Obj<SimulatePolicyResponse> {
    var policies = PrincipalPolicies()
    for text in input[.policyInputList] { policies.identity.append(try readable(text)) }
    if let boundary = input[.permissionsBoundaryPolicyInputList]?.first { policies.boundary = .policy(try readable(boundary)) }
    var principal = Principal(
      kind: .user, account: call.account, arn: "arn:aws:iam::\(call.account):user/simulated", userId: "AIDASIMULATED")
    if let caller = input[.callerArn] { principal = try await subject(caller, call).principal }
    return try simulate(try Question(input.fields), principal, policies, input.fields, call)
  }

  private func readable(_ text: String) throws -> PolicyDocument {
    do {
      return try PolicyParser.parse(text, as: .identity)
    } catch {
      throw IAMErrors.invalidInputException("A policy in the request cannot be read: \(error.text)")
    }
  }

  /// The user, group or role that an ARN names, with its policies.
  private func subject(_ arn: String, _ call: Call) async throws -> (principal: Principal, policies: PrincipalPolicies) {
    guard let parsed = ARN(arn), parsed.service == "iam", parsed.account == call.account.rawValue else {
      throw IAMErrors.invalidInputException("\(arn) is not the ARN of a user, group or role of this account.")
    }
    let name = ARNName.last(arn)
    switch parsed.resource.prefix(while: { $0 != "/" }) {
    case "user":
      let user = try await core.user(name, call.account).value
      return (
        Principal(kind: .user, account: call.account, arn: user.arn(call.account), userId: user.id),
        try await core.load(user: user, call.account).policies
      )
    case "role":
      let role = try await core.role(name, call.account).value
      return (core.session(of: role, name: "simulation", call.account), try await core.load(role: role, call.account).policies)
    case "group":
      let group = try await core.group(name, call.account).value
      var policies = PrincipalPolicies()
      for text in group.inline.values { policies.identity.append(core.documents.document(text, .identity)) }
      for arn in group.attached {
        let text = try await core.managedDocument(arn, call.account)
        policies.identity.append(text.flatMap { core.documents.document($0, .identity) })
      }
      return (
        Principal(
          kind: .user, account: call.account, arn: "arn:aws:iam::\(call.account):user/simulated", userId: "AIDASIMULATED"),
        policies
      )
    default: throw IAMErrors.invalidInputException("\(arn) is not the ARN of a user, group or role.")
    }
  }

  private func simulate(
    _ question: Question, _ principal: Principal, _ policies: PrincipalPolicies, _ fields: [String: WireValue], _ call: Call
  ) throws -> Obj<SimulatePolicyResponse> {
    var resource = AccessEvaluator.ResourcePolicy.none
    if let text = question.resourcePolicy {
      do {
        resource = .policy(try PolicyParser.parse(text, as: .resource))
      } catch {
        throw IAMErrors.invalidInputException("ResourcePolicy cannot be read: \(error.text)")
      }
    }
    // A simulated call has only the context that the request gives, and the time.
    let facts = CallFacts(time: call.now, sourceIP: nil, userAgent: nil, secureTransport: true)
    var results: [(key: String, shape: Obj<EvaluationResult>)] = []
    for (index, action) in question.actions.enumerated() {
      for (place, arn) in question.resources.enumerated() {
        let request = AuthorizationRequest(action, on: arn, context: question.context, resourceAccount: question.resourceOwner)
        let context = PolicyContext(request: request, principal: principal, principalTags: policies.tags, facts: facts)
        let decision = AccessEvaluator(
          context: context, policies: policies, session: nil, resource: resource, isTrust: false
        ).decide()
        let shape = Obj<EvaluationResult> {
          $0[.evalActionName] = action
          $0[.evalResourceName] = arn
          $0[.evalDecision] = decision.simulated
          $0[.matchedStatements] = []
          $0[.missingContextValues] = missingKeys(policies, context)
          if case .policy(let boundary) = policies.boundary {
            $0[.permissionsBoundaryDecisionDetail] = Obj<PermissionsBoundaryDecisionDetail> {
              let verdict = boundary.verdict(in: context)
              $0[.allowedByPermissionsBoundary] = verdict.allowed && !verdict.denied
            }
          }
        }
        let number = index * question.resources.count + place
        results.append((String(1_000_000 + number), shape))
      }
    }
    let page = try PageRequest(Obj<NoMembers>(fields: fields), call).cut(results) { $0.key }
    return Obj {
      $0[.evaluationResults] = page.items.map(\.shape)
      page.close(&$0)
    }
  }

  /// Condition keys that the policies ask for and the request does not bring.
  private func missingKeys(_ policies: PrincipalPolicies, _ context: PolicyContext) -> [String] {
    var names: Set<String> = []
    for document in policies.identity.compactMap({ $0 }) {
      for statement in document.statements {
        for condition in statement.conditions where context.values(for: condition.key) == nil { names.insert(condition.key.name) }
      }
    }
    return names.sorted()
  }
}

extension AccessDecision {
  var simulated: PolicyEvaluationDecisionType {
    switch outcome {
    case .allowed: .allowed
    case .explicitDeny, .unreadable: .explicitDeny
    case .implicitDeny: .implicitDeny
    }
  }
}
