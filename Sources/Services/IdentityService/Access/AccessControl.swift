import RegionKit

extension IdentityCore {
  /// The full decision for one question, with every policy that takes part.
  func decide(_ request: AuthorizationRequest, principal: Principal, facts: CallFacts) async throws -> AccessDecision {
    let policies = try await policies(of: principal)
    let context = PolicyContext(request: request, principal: principal, principalTags: policies.tags, facts: facts)
    let isTrust = Self.isTrustAction(request.action)
    var resource = AccessEvaluator.ResourcePolicy.none
    if let text = request.resourcePolicy {
      resource = documents.document(text, isTrust ? .trust : .resource).map { .policy($0) } ?? .unreadable
    }
    return AccessEvaluator(
      context: context, policies: policies, session: try await sessionPolicies(principal), resource: resource, isTrust: isTrust
    ).decide()
  }

  /// Actions that a role's trust policy must allow besides everything else.
  static func isTrustAction(_ action: String) -> Bool {
    switch action.asciiLowercased {
    case "sts:assumerole", "sts:tagsession", "sts:setsourceidentity": true
    default: false
    }
  }

  /// A principal's session policies: nil when it has none; an entry that is nil cannot be read and denies.
  private func sessionPolicies(_ principal: Principal) async throws -> [PolicyDocument?]? {
    guard let text = principal.sessionPolicy else {
      // A federated session without session policies may do nothing by its issuer's identity policies (AWS: GetFederationToken).
      return principal.kind == .federatedUser ? [] : nil
    }
    guard text.hasPrefix("[") else { return [documents.document(text, .identity)] }
    guard case .array(let entries)? = try? JSONReader.read(text) else { return [nil] }
    var out: [PolicyDocument?] = []
    for entry in entries {
      guard case .string(let item) = entry else { return [nil] }
      if item.hasPrefix("arn:") {
        out.append(try await managedDocument(item, principal.account).flatMap { documents.document($0, .identity) })
      } else {
        out.append(documents.document(item, .identity))
      }
    }
    return out
  }

  /// What AWS refuses to sessions whatever their policies say.
  static func sessionRestriction(_ action: String, _ principal: Principal) -> AWSError? {
    guard principal.issuedAt != nil, principal.kind != .assumedRole else { return nil }
    let lower = action.asciiLowercased
    let allowedSTS = principal.kind == .federatedUser ? [] : ["sts:assumerole", "sts:tagsession", "sts:setsourceidentity"]
    if lower.hasPrefix("iam:") && lower != "iam:passrole" || lower.hasPrefix("sts:") && !allowedSTS.contains(lower) {
      return AWSError(
        "InvalidClientTokenId",
        "The security token included in the request is invalid: \(action) cannot be called with credentials of "
          + "\(principal.kind == .federatedUser ? "GetFederationToken" : "GetSessionToken"). Use a long-term key or a role.",
        status: 403)
    }
    return nil
  }
}
