import Ports
import RegionKit
import RegionStore
import WireModel

extension EC2Operations {
  /// The profile a caller names, once the caller may pass its role to an instance.
  func profile(_ wire: Obj<IamInstanceProfileSpecification>?, _ call: Call) async throws -> InstanceProfileSummary? {
    guard let wire, let name = wire[.arn] ?? wire[.name] else { return nil }
    guard let profile = try await world.roles.instanceProfile(name, account: call.account) else {
      throw AWSError(
        "InvalidParameterValue", "Value (\(name)) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name")
    }
    guard let role = profile.roleARN else {
      throw AWSError(
        "InvalidParameterValue", "The instance profile \(profile.name) has no role. Add one with `aws iam add-role-to-instance-profile`.")
    }
    try await call.authorize(
      AuthorizationRequest("iam:PassRole", on: role, context: ["iam:PassedToService": ["ec2.amazonaws.com"]]))
    return profile
  }

  func associateIamInstanceProfile(_ input: Obj<AssociateIamInstanceProfileRequest>, _ call: Call) async throws
    -> Obj<AssociateIamInstanceProfileResult>
  {
    let profile = try await profile(input[.iamInstanceProfile], call)
    let associationId = "iip-assoc-" + random.hex(17)
    let record = try await modify(input[.instanceId], call) { record in
      guard record.profile == nil else {
        throw AWSError(
          "IncorrectState", "There is an existing association for instance \(record.instanceId). Replace or disassociate it.")
      }
      record.profile = profile
      record.profileAssociationId = associationId
    }
    try await credentialsNow(record, call)
    return Obj { $0[.iamInstanceProfileAssociation] = association(record) }
  }

  func replaceIamInstanceProfileAssociation(_ input: Obj<ReplaceIamInstanceProfileAssociationRequest>, _ call: Call) async throws
    -> Obj<ReplaceIamInstanceProfileAssociationResult>
  {
    let profile = try await profile(input[.iamInstanceProfile], call)
    let holder = try await holder(of: input[.associationId], call)
    let associationId = "iip-assoc-" + random.hex(17)
    let record = try await modify(holder.instanceId, call) { record in
      record.profile = profile
      record.profileAssociationId = associationId
    }
    try await credentialsNow(record, call)
    return Obj { $0[.iamInstanceProfileAssociation] = association(record) }
  }

  func disassociateIamInstanceProfile(_ input: Obj<DisassociateIamInstanceProfileRequest>, _ call: Call) async throws
    -> Obj<DisassociateIamInstanceProfileResult>
  {
    let holder = try await holder(of: input[.associationId], call)
    let record = try await modify(holder.instanceId, call) { record in
      record.profile = nil
      record.profileAssociationId = nil
    }
    try await credentialsNow(record, call)
    var gone = association(holder)
    gone[.state] = .disassociating
    return Obj { $0[.iamInstanceProfileAssociation] = gone }
  }

  func describeIamInstanceProfileAssociations(_ input: Obj<DescribeIamInstanceProfileAssociationsRequest>, _ call: Call) async throws
    -> Obj<DescribeIamInstanceProfileAssociationsResult>
  {
    let filters = filters(input[.filters])
    let ids = input[.associationIds] ?? []
    let all = try await store.list(InstanceRecord.self, in: call.scope).map(\.value).filter {
      $0.profileAssociationId != nil && $0.state != .terminated
    }
    let found = try all.filter { record in
      guard ids.isEmpty || ids.contains(record.profileAssociationId ?? "") else { return false }
      return try ResourceFilter.allMatch(filters, tags: [:]) { name in
        switch name {
        case "instance-id": [record.instanceId]
        case "state": ["associated"]
        default: nil
        }
      }
    }
    let (page, next) = try Paging.page(
      found.sorted { $0.instanceId < $1.instanceId }, id: \.instanceId, maxResults: input[.maxResults],
      token: input[.nextToken], binding: binding(call, filters))
    return Obj {
      $0[.iamInstanceProfileAssociations] = page.map(association)
      $0[.nextToken] = next
    }
  }

  private func holder(of associationId: String, _ call: Call) async throws -> InstanceRecord {
    let all = try await store.list(InstanceRecord.self, in: call.scope).map(\.value)
    guard let holder = all.first(where: { $0.profileAssociationId == associationId && $0.state != .terminated }) else {
      throw AWSError(
        "InvalidAssociationID.NotFound", "An invalid association-id of '\(associationId)' was given: no instance has it.")
    }
    return holder
  }

  /// A running instance sees its new role (or none) at once, and its credentials are kept fresh from now on.
  private func credentialsNow(_ record: InstanceRecord, _ call: Call) async throws {
    guard record.state == .running else { return }
    let credentials = try await world.publishMetadata(record, scope: call.scope)
    var commit = StoreCommit()
    if let next = world.credentialTask(record, scope: call.scope, until: credentials?.expiration) { commit.tasks.append(next) }
    try await store.commit(commit)
  }

  private func association(_ record: InstanceRecord) -> Obj<IamInstanceProfileAssociation> {
    Obj {
      $0[.associationId] = record.profileAssociationId
      $0[.instanceId] = record.instanceId
      $0[.state] = .associated
      if let profile = record.profile {
        $0[.iamInstanceProfile] = Obj {
          $0[.arn] = profile.arn
          $0[.id] = profile.id
        }
      }
    }
  }
}
