import RegionKit

/// What one policy says to one question.
struct PolicyVerdict: Sendable, Equatable {
  /// How directly a resource policy's Allow names the caller; the more direct, the fewer other policies limit it.
  enum Grant: Int, Sendable, Comparable {
    case none
    /// The caller's account: the account's own policies must allow too.
    case account
    /// The role of the calling session.
    case role
    /// The caller itself, or everyone.
    case caller
    static func < (a: Grant, b: Grant) -> Bool { a.rawValue < b.rawValue }
  }
  var denied = false
  var grant = Grant.none
  /// The Sid of the statement that denied, for whoever reads the result of a simulation.
  var deniedBy: String?
  var allowed: Bool { grant > .none }
  static let silent = PolicyVerdict()
}

extension PolicyDocument {
  /// Asks every statement. For identity policies an Allow is a grant to the caller.
  func verdict(in context: PolicyContext) -> PolicyVerdict {
    var verdict = PolicyVerdict()
    for statement in statements {
      // Nothing to learn from a weaker Allow.
      if statement.effect == .allow, verdict.grant == .caller { continue }
      let level = statement.applies(in: context)
      guard level > .none else { continue }
      if statement.effect == .deny {
        verdict.denied = true
        verdict.deniedBy = statement.sid
        return verdict
      }
      verdict.grant = max(verdict.grant, level)
    }
    return verdict
  }
}

extension PolicyDocument.Statement {
  /// `.none` when the statement does not speak about this question, else how directly it names the caller.
  func applies(in context: PolicyContext) -> PolicyVerdict.Grant {
    guard actions.contains(where: { $0.glob.matches(context.action) }) != actionsNegated else { return .none }
    guard matchesResource(in: context) else { return .none }
    var level = PolicyVerdict.Grant.caller
    if let principals {
      level = principals.level(of: context.principal)
      guard level > .none else { return .none }
    }
    for condition in conditions where !condition.holds(in: context, denying: effect == .deny) { return .none }
    return level
  }

  private func matchesResource(in context: PolicyContext) -> Bool {
    if resources.isEmpty { return true }
    var unresolved = false
    for template in resources {
      switch template {
      case .fixed(let glob, _):
        if glob.matches(context.resource) { return !resourcesNegated }
      case .parts:
        guard let glob = template.glob(in: context) else {
          unresolved = true
          continue
        }
        if glob.matches(context.resource) { return !resourcesNegated }
      }
    }
    // NotResource with a variable that has no value: an Allow must not widen because of it, a Deny may.
    return resourcesNegated && !(unresolved && effect == .allow)
  }
}

extension PolicyDocument.PrincipalSet {
  func level(of principal: Principal) -> PolicyVerdict.Grant {
    var level = PolicyVerdict.Grant.none
    for member in members { level = max(level, member.level(of: principal)) }
    if negated { return level == .none ? .caller : .none }
    return level
  }
}

extension PrincipalPattern {
  func level(of principal: Principal) -> PolicyVerdict.Grant {
    if case .everyone = self { return .caller }
    switch (self, principal.kind) {
    case (_, .anonymous): return .none
    case (.service(let name), .service):
      // `codedeploy.eu-west-1.amazonaws.com` is CodeDeploy in that region; a policy that names no region lets it in too.
      return name == principal.arn || name == Self.withoutRegion(principal.arn) ? .caller : .none
    case (_, .service): return .none
    case (.account(let id), let kind):
      guard id == principal.account.rawValue else { return .none }
      return kind == .root ? .caller : .account
    case (.arn(let arn), let kind):
      if arn == principal.arn { return .caller }
      return kind == .assumedRole && arn == principal.roleARN ? .role : .none
    case (.uniqueId(let id), let kind):
      if id == principal.userId { return .caller }
      return kind == .assumedRole && principal.userId.hasPrefix(id + ":") ? .role : .none
    case (.service, _), (.federated, _), (.canonicalUser, _), (.everyone, _): return .none
    }
  }

  private static func withoutRegion(_ service: String) -> String {
    let parts = service.split(separator: ".")
    guard parts.count == 4, parts[2] == "amazonaws", parts[3] == "com" else { return service }
    return "\(parts[0]).amazonaws.com"
  }
}
