import FoundationEssentials
import Ports
import RegionKit
import RegionStore

/// Who a host is, proven by the caller's signature.
struct IdentifiedHost: Hashable, Sendable {
  var key: HostKey
  /// As the agent wrote it; answers repeat it, since an agent drops commands for any other name.
  var identifier: String
}

extension DeploymentEngine {
  /// The host behind an agent's identifier, if the caller is that host: an EC2 instance's role session (named after the instance, of
  /// the role in its instance profile), or the IAM user or session that an on-premises instance is registered with.
  func identify(_ identifier: String, call: Call) async throws -> IdentifiedHost {
    if let arn = ARN(identifier), arn.service == "ec2", arn.resource.hasPrefix("instance/") {
      let id = String(arn.resource.dropFirst("instance/".count))
      guard arn.account == call.account.rawValue, arn.region == call.region.rawValue else {
        throw refused(call, identifier, "the identifier is of another account or region than the signature")
      }
      let key = HostKey(scope: call.scope, hostId: id)
      if !presence.isVerified(key, principal: call.principal.arn, now: clock.now()) {
        try await verify(instance: id, identifier, call)
        remember(key, call)
      }
      return IdentifiedHost(key: key, identifier: identifier)
    }
    guard identifier == call.principal.arn else {
      throw refused(
        call, identifier, "it is neither an EC2 instance's ARN nor the caller's own, under which on-premises instances are registered")
    }
    guard let own = try await store.get(OnPremisesIdentityRecord.self, in: call.scope, id: identifier) else {
      throw AWSError(
        "AccessDeniedException",
        "No on-premises instance is registered with \(identifier) in \(call.region). "
          + "Register it: aws deploy register-on-premises-instance --instance-name NAME --iam-user-arn|--iam-session-arn \(identifier).")
    }
    return IdentifiedHost(key: HostKey(scope: call.scope, hostId: own.value.name), identifier: identifier)
  }

  private func verify(instance id: String, _ identifier: String, _ call: Call) async throws {
    let principal = call.principal
    guard principal.kind == .assumedRole, let session = principal.arn.split(separator: "/").last, session == id else {
      throw refused(call, identifier, "only the instance's own role session, named \(id), may")
    }
    guard let instance = try await instances.instance(id, in: call.scope) else {
      throw refused(call, identifier, "there is no such instance")
    }
    guard let profileARN = instance.instanceProfileARN,
      let profile = try await roles.instanceProfile(profileARN, account: call.account), let role = profile.roleARN,
      role == principal.roleARN
    else { throw refused(call, identifier, "the session is not of the role in the instance's instance profile") }
  }

  /// For a minute, so that not every poll asks EC2 and IAM.
  private func remember(_ key: HostKey, _ call: Call) {
    let now = clock.now()
    presence.verified(key, principal: call.principal.arn, now: now, until: now.addingTimeInterval(60))
  }

  private func refused(_ call: Call, _ identifier: String, _ reason: String) -> AWSError {
    AWSError("AccessDeniedException", "\(call.principal.arn) may not speak for host \(identifier): \(reason).")
  }

  /// Notes that the agent lives; writes it down now and then.
  func noteContact(_ key: HostKey, version: String?) async throws {
    let now = clock.now()
    guard presence.heard(key, version: version, now: now, persistEvery: options.contactPersistence) else { return }
    try await settle {
      let known = try await store.get(AgentRecord.self, in: key.scope, id: key.hostId)
      let record = AgentRecord(
        version: version ?? known?.value.version, firstContact: known?.value.firstContact ?? now, lastContact: now)
      var commit = StoreCommit()
      try commit.put(
        record, in: key.scope, id: key.hostId, expecting: known.map { .version($0.version) } ?? .absent)
      return (commit, ())
    }
  }
}
