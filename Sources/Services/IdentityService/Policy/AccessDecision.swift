import RegionKit

/// Every policy that has a say about a principal, besides the resource's own.
struct PrincipalPolicies: Sendable {
  /// Inline and managed policies of the user and its groups, or of the role. A policy that cannot be read is nil and denies
  /// everything.
  var identity: [PolicyDocument?] = []
  /// The permissions boundary, when one is set.
  var boundary: Boundary = .none
  /// Tags of the user or role.
  var tags: [String: String] = [:]
  /// False when the user or role behind the principal is gone (or another one has its name now): nothing is allowed then.
  var exists = true

  enum Boundary: Sendable {
    case none
    case policy(PolicyDocument)
    /// Set, but it cannot be found or read: it allows nothing.
    case unreadable
  }
}

/// The answer to an authorization question, with the kind of policy that decided it.
struct AccessDecision: Sendable, Equatable {
  enum Source: String, Sendable {
    case identity = "identity-based policy"
    case boundary = "permissions boundary"
    case session = "session policy"
    case resource = "resource-based policy"
    case trust = "role trust policy"
  }
  enum Outcome: Sendable, Equatable {
    case allowed
    case explicitDeny(Source)
    /// No policy of this kind allows it.
    case implicitDeny(Source)
    /// A policy of this kind cannot be read, so it is taken as a denial.
    case unreadable(Source)
  }
  let outcome: Outcome
  var isAllowed: Bool { outcome == .allowed }
}

/// The rules that combine policies, as "Policy evaluation logic" in the IAM User Guide documents them. Pure.
struct AccessEvaluator: Sendable {
  /// What a resource brings along.
  enum ResourcePolicy: Sendable {
    case none
    case policy(PolicyDocument)
    case unreadable
  }

  let context: PolicyContext
  let policies: PrincipalPolicies
  /// Nil: no session policies. Otherwise each may allow, as their union; nil entries cannot be read.
  let session: [PolicyDocument?]?
  let resource: ResourcePolicy
  /// The resource policy is a role's trust policy, which must allow in any case.
  let isTrust: Bool

  func decide() -> AccessDecision { AccessDecision(outcome: outcome()) }

  private var resourceSource: AccessDecision.Source { isTrust ? .trust : .resource }

  private func outcome() -> AccessDecision.Outcome {
    var granted = PolicyVerdict.Grant.none
    switch resource {
    case .none: break
    case .unreadable: return .unreadable(resourceSource)
    case .policy(let document):
      let verdict = document.verdict(in: context)
      if verdict.denied { return .explicitDeny(resourceSource) }
      granted = verdict.grant
    }
    let principal = context.principal
    if principal.kind == .anonymous || principal.kind == .service {
      return granted > .none ? .allowed : .implicitDeny(resourceSource)
    }
    let ownAccount = principal.account == context.resourceAccount
    if !policies.exists { return .implicitDeny(.identity) }
    let gates = Gates(self)
    if let denial = gates.denial { return denial }
    if isTrust || !ownAccount {
      // Both sides must say yes. A trust policy that names a caller of its own account directly is enough by itself.
      guard granted > .none else { return .implicitDeny(resourceSource) }
      if !ownAccount || granted == .account { return gates.outcome }
    }
    return combine(granted, gates)
  }

  /// Inside one account a direct grant of the resource policy stands beside the identity policies.
  private func combine(_ granted: PolicyVerdict.Grant, _ gates: Gates) -> AccessDecision.Outcome {
    switch granted {
    case .none, .account: return gates.outcome
    case .caller: return .allowed
    // A grant to the role is limited by the boundary and the session policy, but needs no identity policy.
    case .role: return gates.limits ?? .allowed
    }
  }

  /// The principal's own policies: each kind is a gate that must be open.
  private struct Gates {
    let denial: AccessDecision.Outcome?
    let identityAllows: Bool
    /// Which of boundary and session policy does not allow, if any.
    let limits: AccessDecision.Outcome?

    /// Nil outcome of every gate is an allowance.
    var outcome: AccessDecision.Outcome { identityAllows ? limits ?? .allowed : .implicitDeny(.identity) }

    init(_ evaluator: AccessEvaluator) {
      let context = evaluator.context
      var denial: AccessDecision.Outcome?
      var allows = context.principal.isAccountRoot
      for document in evaluator.policies.identity {
        guard let document else {
          denial = denial ?? .unreadable(.identity)
          continue
        }
        let verdict = document.verdict(in: context)
        if verdict.denied { denial = .explicitDeny(.identity) }
        allows = allows || verdict.allowed
      }
      var limits: AccessDecision.Outcome?
      switch evaluator.policies.boundary {
      case .none: break
      case .unreadable: denial = denial ?? .unreadable(.boundary)
      case .policy(let document):
        let verdict = document.verdict(in: context)
        if verdict.denied { denial = denial ?? .explicitDeny(.boundary) }
        if !verdict.allowed { limits = .implicitDeny(.boundary) }
      }
      if let session = evaluator.session {
        var sessionAllows = false
        for document in session {
          guard let document else {
            denial = denial ?? .unreadable(.session)
            continue
          }
          let verdict = document.verdict(in: context)
          if verdict.denied { denial = denial ?? .explicitDeny(.session) }
          sessionAllows = sessionAllows || verdict.allowed
        }
        if !sessionAllows { limits = limits ?? .implicitDeny(.session) }
      }
      self.denial = denial
      self.identityAllows = allows
      self.limits = limits
    }
  }
}

extension Principal {
  /// The account itself, or a federated session that the account's root opened: no identity policy limits it.
  var isAccountRoot: Bool { kind == .root || (kind == .federatedUser && roleARN == "arn:aws:iam::\(account):root") }
}

extension AccessDecision {
  /// The sentence AWS answers a denied call with.
  func message(action: String, resource: String, principal: Principal) -> String {
    let who = principal.kind == .anonymous ? "anonymous" : principal.arn
    let start = "User: \(who) is not authorized to perform: \(action) on resource: \(resource)"
    switch outcome {
    case .allowed: return start
    case .explicitDeny(let source): return "\(start) with an explicit deny in \(source.withArticle)"
    case .implicitDeny(let source): return "\(start) because no \(source.rawValue) allows the \(action) action"
    case .unreadable(let source):
      return "\(start) because \(source.withArticle) that applies cannot be read; correct or remove it"
    }
  }
}

extension AccessDecision.Source {
  var withArticle: String {
    switch self {
    case .identity: "an identity-based policy"
    case .boundary: "a permissions boundary"
    case .session: "a session policy"
    case .resource: "a resource-based policy"
    case .trust: "the role trust policy"
    }
  }
}
