import RegionKit
import RegionStore
import WireModel

/// Security groups as names that instances belong to. Their rules are not enforced yet, so the operations that set rules are not
/// listed and are refused by name.
extension EC2Operations {
  func createSecurityGroup(_ input: Obj<CreateSecurityGroupRequest>, _ call: Call) async throws -> Obj<CreateSecurityGroupResult> {
    let vpc = try await world.vpcs.get(in: call.scope)
    if let asked = input[.vpcId], asked != vpc.vpcId {
      throw AWSError("InvalidVpcID.NotFound", "The vpc ID '\(asked)' does not exist")
    }
    let name = input[.groupName]
    guard !name.isEmpty, name.count <= 255, !name.hasPrefix("sg-") else {
      throw AWSError(
        "InvalidParameterValue", "Value (\(name)) for parameter GroupName is invalid. 1 to 255 characters, not beginning with 'sg-'.")
    }
    guard name != "default" else { throw AWSError("InvalidParameterValue", "Cannot use reserved security group name: default") }
    guard !input[.description].isEmpty, input[.description].count <= 255 else {
      throw AWSError("InvalidParameterValue", "A description of 1 to 255 characters is needed for security group \(name).")
    }
    let record = SecurityGroupRecord(
      groupId: "sg-" + random.hex(17), groupName: name, description: input[.description], vpcId: vpc.vpcId,
      tags: try tags(input[.tagSpecifications], for: .securityGroup))
    var commit = StoreCommit()
    try commit.put(record, in: call.scope, id: record.groupId, expecting: .absent)
    try commit.put(GroupNameRecord(groupId: record.groupId), in: call.scope, id: "\(vpc.vpcId)/\(name)", expecting: .absent)
    do { try await store.commit(commit) } catch is StoreConflict {
      throw AWSError("InvalidGroup.Duplicate", "The security group '\(name)' already exists for VPC '\(vpc.vpcId)'")
    }
    return Obj {
      $0[.groupId] = record.groupId
      $0[.tags] = wireTags(record.tags)
      $0[.securityGroupArn] = ARN(service: "ec2", scope: call.scope, resource: "security-group/\(record.groupId)").description
    }
  }

  func deleteSecurityGroup(_ input: Obj<DeleteSecurityGroupRequest>, _ call: Call) async throws -> Obj<DeleteSecurityGroupResult> {
    let vpc = try await world.vpcs.get(in: call.scope)
    let record: SecurityGroupRecord
    if let id = input[.groupId] {
      record = try await group(id, call)
    } else if let name = input[.groupName] {
      guard let id = try await groupIds(ids: [], names: [name], vpc: vpc, call).first else { throw unknownGroup(name) }
      record = try await group(id, call)
    } else {
      throw AWSError("MissingParameter", "The request must contain the parameter GroupName or GroupId")
    }
    guard record.groupName != "default" else {
      throw AWSError("CannotDelete", "the specified group: \"\(record.groupId)\" name: \"default\" cannot be deleted by a user")
    }
    let users = try await store.list(InstanceRecord.self, in: call.scope).map(\.value).filter {
      $0.state != .terminated && $0.securityGroupIds.contains(record.groupId)
    }
    if let user = users.first {
      throw AWSError(
        "DependencyViolation", "resource \(record.groupId) has a dependent object: instance \(user.instanceId). Terminate it first.")
    }
    var commit = StoreCommit()
    commit.delete(SecurityGroupRecord.self, in: call.scope, id: record.groupId)
    commit.delete(GroupNameRecord.self, in: call.scope, id: "\(record.vpcId)/\(record.groupName)")
    try await store.commit(commit)
    return Obj {
      $0[.return] = true
      $0[.groupId] = record.groupId
    }
  }

  func describeSecurityGroups(_ input: Obj<DescribeSecurityGroupsRequest>, _ call: Call) async throws
    -> Obj<DescribeSecurityGroupsResult>
  {
    _ = try await world.vpcs.get(in: call.scope)
    let filters = filters(input[.filters])
    var records = try await store.list(SecurityGroupRecord.self, in: call.scope).map(\.value)
    for id in input[.groupIds] ?? [] where !records.contains(where: { $0.groupId == id }) { throw unknownGroup(id) }
    for name in input[.groupNames] ?? [] where !records.contains(where: { $0.groupName == name }) { throw unknownGroup(name) }
    let wanted = Set(input[.groupIds] ?? [])
    let names = Set(input[.groupNames] ?? [])
    records = try records.filter { record in
      guard wanted.isEmpty || wanted.contains(record.groupId), names.isEmpty || names.contains(record.groupName) else { return false }
      return try ResourceFilter.allMatch(filters, tags: record.tags) { name in
        switch name {
        case "group-id": [record.groupId]
        case "group-name": [record.groupName]
        case "vpc-id": [record.vpcId]
        case "description": [record.description]
        case "owner-id": [call.account.rawValue]
        default: nil
        }
      }
    }
    let (page, next) = try Paging.page(
      records.sorted { $0.groupId < $1.groupId }, id: \.groupId, maxResults: input[.maxResults], token: input[.nextToken],
      binding: binding(call, filters))
    return Obj {
      $0[.nextToken] = next
      $0[.securityGroups] = page.map { record in
        Obj {
          $0[.groupId] = record.groupId
          $0[.groupName] = record.groupName
          $0[.description] = record.description
          $0[.vpcId] = record.vpcId
          $0[.ownerId] = call.account.rawValue
          $0[.tags] = wireTags(record.tags)
          $0[.ipPermissions] = []
          $0[.ipPermissionsEgress] = []
          $0[.securityGroupArn] = ARN(service: "ec2", scope: call.scope, resource: "security-group/\(record.groupId)").description
        }
      }
    }
  }

  /// Ids for the groups named by id or name; the VPC's default group when none is.
  func groupIds(ids: [String], names: [String], vpc: VPCRecord, _ call: Call) async throws -> [String] {
    var out: [String] = []
    for id in ids { out.append(try await group(id, call).groupId) }
    for name in names.isEmpty && ids.isEmpty ? ["default"] : names {
      let found = try await store.list(
        SecurityGroupRecord.self, in: call.scope, StoreQuery(index: ("name", "\(vpc.vpcId)/\(name)")))
      guard let first = found.first else { throw unknownGroup(name) }
      out.append(first.id)
    }
    return out
  }

  private func group(_ id: String, _ call: Call) async throws -> SecurityGroupRecord {
    guard let stored = try await store.get(SecurityGroupRecord.self, in: call.scope, id: id) else { throw unknownGroup(id) }
    return stored.value
  }

  private func unknownGroup(_ name: String) -> AWSError {
    AWSError("InvalidGroup.NotFound", "The security group '\(name)' does not exist")
  }
}

/// Holds a group's name in its VPC, so that two creations race for one row.
struct GroupNameRecord: StoredRecord {
  static let collection = "ec2.security-group-name"
  var groupId: String
}
