/// A policy that was read and compiled. Immutable, so that it can be cached and asked from many tasks.
struct PolicyDocument: Hashable, Sendable {
  enum Version: String, Sendable { case v2008 = "2008-10-17", v2012 = "2012-10-17" }
  enum Effect: String, Sendable { case allow = "Allow", deny = "Deny" }

  /// What a policy is for; the grammar differs.
  enum Kind: Sendable, Hashable {
    /// Attached to users, groups and roles, permissions boundaries and session policies: no principal, a resource.
    case identity
    /// A role's trust policy: a principal, no resource, only `sts:` actions.
    case trust
    /// Attached to a resource of another service: a principal and a resource.
    case resource
  }

  struct Statement: Hashable, Sendable {
    let sid: String?
    let effect: Effect
    /// Nil in identity policies.
    let principals: PrincipalSet?
    let actions: [ActionPattern]
    /// `NotAction`.
    let actionsNegated: Bool
    /// Empty only in trust policies, which apply to the role they belong to.
    let resources: [PolicyTemplate]
    let resourcesNegated: Bool
    let conditions: [PolicyCondition]
  }

  struct PrincipalSet: Hashable, Sendable {
    let members: [PrincipalPattern]
    /// `NotPrincipal`.
    let negated: Bool
  }

  let version: Version
  let id: String?
  let statements: [Statement]
}

/// `service:Action` with wildcards, compared without case.
struct ActionPattern: Hashable, Sendable {
  let text: String
  let glob: Glob
  init(_ text: String) {
    self.text = text
    glob = Glob(text.asciiLowercased)
  }
}

/// One entry of a `Principal` element.
enum PrincipalPattern: Hashable, Sendable {
  /// `"*"` or `{"AWS": "*"}`: everyone, the unsigned caller too.
  case everyone
  /// An account id or its root ARN: the account as a whole.
  case account(String)
  /// The ARN of a user, role, role session or federated user.
  case arn(String)
  /// A unique id (`AIDA…`, `AROA…`), as AWS shows principals that were deleted.
  case uniqueId(String)
  case service(String)
  /// Identity providers: never matched by a principal that this region signs in itself.
  case federated(String)
  case canonicalUser(String)
}

/// What is wrong with a policy, as a sentence for `MalformedPolicyDocument`.
struct PolicyProblem: Error, Hashable, Sendable, CustomStringConvertible {
  let text: String
  init(_ text: String) { self.text = text }
  var description: String { text }
}
