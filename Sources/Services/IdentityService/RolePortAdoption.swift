import FoundationEssentials
public import Ports
public import RegionKit
import RegionStore
import WireModel

extension IdentityService {
  public func instanceProfile(_ nameOrARN: String, account: AccountID) async throws -> InstanceProfileSummary? {
    var name = nameOrARN
    if nameOrARN.hasPrefix("arn:") {
      guard let arn = ARN(nameOrARN), arn.service == "iam", arn.account == account.rawValue,
        arn.resource.hasPrefix("instance-profile/")
      else { return nil }
      name = ARNName.last(nameOrARN)
    }
    guard let profile = try await core.find(InstanceProfileRecord.self, name, account)?.value else { return nil }
    if nameOrARN.hasPrefix("arn:"), profile.arn(account) != nameOrARN { return nil }
    var role: RoleRecord?
    if let name = profile.role { role = try await core.find(RoleRecord.self, name, account)?.value }
    return InstanceProfileSummary(
      arn: profile.arn(account), id: profile.id, name: profile.name, roleName: role?.name, roleARN: role?.arn(account))
  }

  public func instanceCredentials(
    profileARN: String, instanceId: String, account: AccountID, lifetime: Double
  ) async throws -> TemporaryCredentials {
    guard let profile = try await instanceProfile(profileARN, account: account) else {
      throw IAMErrors.noSuchEntityException("Instance Profile \(profileARN) cannot be found.")
    }
    guard let roleARN = profile.roleARN else {
      throw IAMErrors.noSuchEntityException(
        "Instance Profile \(profile.name) holds no role. Add one with AddRoleToInstanceProfile.")
    }
    let principal = try await servicePrincipal(
      roleARN: roleARN, service: "ec2.amazonaws.com", sessionName: instanceId, account: account)
    return try tokens.issue(for: principal, now: core.clock.now(), lifetime: lifetime)
  }

  public func canAssume(roleARN: String, service: String, account: AccountID) async throws -> Bool {
    guard let role = try await core.role(arn: roleARN, account) else { return false }
    return try await core.trusts(role, service: service, account)
  }

  public func servicePrincipal(
    roleARN: String, service: String, sessionName: String, account: AccountID
  ) async throws -> Principal {
    guard let role = try await core.role(arn: roleARN, account) else {
      throw IAMErrors.noSuchEntityException("The role with ARN \(roleARN) cannot be found.")
    }
    guard try await core.trusts(role, service: service, account) else {
      throw IdentityErrors.accessDenied(
        "\(service) is not authorized to perform: sts:AssumeRole on resource: \(roleARN) because no role trust policy allows the "
          + "sts:AssumeRole action")
    }
    return core.session(of: role, name: sessionName, account)
  }
}

extension IdentityCore {
  /// A role by its ARN, which must be the one the role has now.
  func role(arn: String, _ account: AccountID) async throws -> RoleRecord? {
    guard let parsed = ARN(arn), parsed.service == "iam", parsed.account == account.rawValue,
      parsed.resource.hasPrefix("role/"), let role = try await find(RoleRecord.self, ARNName.last(arn), account)?.value,
      role.arn(account) == arn
    else { return nil }
    return role
  }

  /// Whether the role's trust policy lets a service assume it.
  func trusts(_ role: RoleRecord, service: String, _ account: AccountID) async throws -> Bool {
    let principal = Principal(kind: .service, account: account, arn: service.asciiLowercased, userId: service)
    let facts = CallFacts(time: clock.now(), sourceIP: nil, userAgent: service, secureTransport: true)
    let request = AuthorizationRequest(
      "sts:AssumeRole", on: role.arn(account), context: ["aws:SourceAccount": [account.rawValue]], resourcePolicy: role.trust,
      resourceAccount: account)
    return try await decide(request, principal: principal, facts: facts).isAllowed
  }

  /// A session of the role, not yet with credentials. The session's ARN leaves the role's path out, as AWS's does.
  func session(
    of role: RoleRecord, name: String, _ account: AccountID, policy: String? = nil, tags: [String: String] = [:]
  ) -> Principal {
    Principal(
      kind: .assumedRole, account: account, arn: "arn:aws:sts::\(account):assumed-role/\(role.name)/\(name)",
      userId: "\(role.id):\(name)", roleARN: role.arn(account), sessionPolicy: policy, sessionTags: tags)
  }
}
