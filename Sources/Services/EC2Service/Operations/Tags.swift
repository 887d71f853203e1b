import RegionKit
import RegionStore
import WireModel

extension EC2Operations {
  func createTags(_ input: Obj<CreateTagsRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    let tags = try TagRules.checked(input[.tags])
    try await changeTags(of: input[.resources], call) { old in try TagRules.bounded(old.merging(tags) { $1 }) }
    return Obj()
  }

  func deleteTags(_ input: Obj<DeleteTagsRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await changeTags(of: input[.resources], call) { old in
      guard let tags = input[.tags] else { return old.filter { $0.key.hasPrefix("aws:") } }
      var left = old
      for tag in tags {
        let key = tag[.key] ?? ""
        // A value given restricts the removal to tags that have it.
        if tag[.value] == nil || tag[.value] == left[key] { left[key] = nil }
      }
      return left
    }
    return Obj()
  }

  /// All the resources in one commit, or none.
  private func changeTags(of ids: [String], _ call: Call, _ change: ([String: String]) throws -> [String: String]) async throws {
    while true {
      var commit = StoreCommit()
      var vpc = try await store.get(VPCRecord.self, in: call.scope, id: "default")
      var vpcChanged = false
      for id in ids {
        switch ResourceKind.of(id) {
        case .instance:
          guard let stored = try await instances([id], in: call.scope).first else { continue }
          var record = stored.value
          record.tags = try change(record.tags)
          try commit.put(record, in: call.scope, id: id, expecting: .version(stored.version))
        case .securityGroup:
          guard let stored = try await store.get(SecurityGroupRecord.self, in: call.scope, id: id) else { throw notFound(id) }
          var record = stored.value
          record.tags = try change(record.tags)
          try commit.put(record, in: call.scope, id: id, expecting: .version(stored.version))
        case .vpc, .subnet:
          guard let stored = vpc else { throw notFound(id) }
          var record = stored.value
          if record.vpcId == id {
            record.tags = try change(record.tags)
          } else if let index = record.subnets.firstIndex(where: { $0.subnetId == id }) {
            record.subnets[index].tags = try change(record.subnets[index].tags)
          } else {
            throw notFound(id)
          }
          vpc = Stored(scope: stored.scope, id: stored.id, version: stored.version, value: record)
          vpcChanged = true
        case .image, nil: throw notFound(id)
        }
      }
      if vpcChanged, let vpc { try commit.put(vpc.value, in: call.scope, id: vpc.id, expecting: .version(vpc.version)) }
      do {
        try await store.commit(commit)
        return
      } catch is StoreConflict { continue }
    }
  }

  private func notFound(_ id: String) -> AWSError {
    AWSError("InvalidID", "The ID '\(id)' is not valid: this region has no taggable resource with it.")
  }

  func describeTags(_ input: Obj<DescribeTagsRequest>, _ call: Call) async throws -> Obj<DescribeTagsResult> {
    struct Row {
      let kind: ResourceKind
      let resource: String
      let key: String
      let value: String
      var id: String { "\(resource)/\(key)" }
    }
    let filters = filters(input[.filters])
    var rows: [Row] = []
    func add(_ kind: ResourceKind, _ id: String, _ tags: [String: String]) {
      for (key, value) in tags { rows.append(Row(kind: kind, resource: id, key: key, value: value)) }
    }
    for record in try await store.list(InstanceRecord.self, in: call.scope).map(\.value) {
      add(.instance, record.instanceId, record.tags)
    }
    for record in try await store.list(SecurityGroupRecord.self, in: call.scope).map(\.value) {
      add(.securityGroup, record.groupId, record.tags)
    }
    if let vpc = try await store.get(VPCRecord.self, in: call.scope, id: "default")?.value {
      add(.vpc, vpc.vpcId, vpc.tags)
      for subnet in vpc.subnets { add(.subnet, subnet.subnetId, subnet.tags) }
    }
    rows = try rows.filter { row in
      try ResourceFilter.allMatch(filters, tags: [row.key: row.value]) { name in
        switch name {
        case "key": [row.key]
        case "value": [row.value]
        case "resource-id": [row.resource]
        case "resource-type": [row.kind.rawValue]
        default: nil
        }
      }
    }
    let (page, next) = try Paging.page(
      rows.sorted { $0.id < $1.id }, id: \.id, maxResults: input[.maxResults], token: input[.nextToken],
      binding: binding(call, filters))
    return Obj {
      $0[.nextToken] = next
      $0[.tags] = page.map { row in
        Obj {
          $0[.key] = row.key
          $0[.value] = row.value
          $0[.resourceId] = row.resource
          $0[.resourceType] = ResourceType(rawValue: row.kind.rawValue)
        }
      }
    }
  }
}
