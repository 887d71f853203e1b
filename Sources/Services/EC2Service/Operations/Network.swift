import RegionKit
import RegionStore
import WireModel

extension EC2Operations {
  func describeVpcs(_ input: Obj<DescribeVpcsRequest>, _ call: Call) async throws -> Obj<DescribeVpcsResult> {
    let vpc = try await world.vpcs.get(in: call.scope)
    for id in input[.vpcIds] ?? [] where id != vpc.vpcId {
      throw AWSError("InvalidVpcID.NotFound", "The vpc ID '\(id)' does not exist")
    }
    let matches = try ResourceFilter.allMatch(filters(input[.filters]), tags: vpc.tags) { name in
      switch name {
      case "vpc-id": [vpc.vpcId]
      case "cidr", "cidr-block-association.cidr-block": [vpc.cidr]
      case "is-default", "isDefault": [String(vpc.isDefault)]
      case "state": ["available"]
      case "owner-id": [call.account.rawValue]
      default: nil
      }
    }
    let wire: Obj<Vpc> = Obj {
      $0[.vpcId] = vpc.vpcId
      $0[.cidrBlock] = vpc.cidr
      $0[.isDefault] = vpc.isDefault
      $0[.state] = .available
      $0[.ownerId] = call.account.rawValue
      $0[.instanceTenancy] = .default
      $0[.tags] = wireTags(vpc.tags)
      $0[.cidrBlockAssociationSet] = [
        Obj {
          $0[.associationId] = "vpc-cidr-assoc-" + vpc.vpcId.dropFirst(4)
          $0[.cidrBlock] = vpc.cidr
          $0[.cidrBlockState] = Obj { $0[.state] = .associated }
        }
      ]
    }
    return Obj { $0[.vpcs] = matches ? [wire] : [] }
  }

  func describeSubnets(_ input: Obj<DescribeSubnetsRequest>, _ call: Call) async throws -> Obj<DescribeSubnetsResult> {
    let vpc = try await world.vpcs.get(in: call.scope)
    let filters = filters(input[.filters])
    let ids = input[.subnetIds] ?? []
    for id in ids where !vpc.subnets.contains(where: { $0.subnetId == id }) {
      throw AWSError("InvalidSubnetID.NotFound", "The subnet ID '\(id)' does not exist")
    }
    let taken = try await store.list(AddressRecord.self, in: AddressRecord.scope).compactMap { IPv4Block.address($0.id) }
    let found = try vpc.subnets.filter { subnet in
      guard ids.isEmpty || ids.contains(subnet.subnetId) else { return false }
      return try ResourceFilter.allMatch(filters, tags: subnet.tags) { name in
        switch name {
        case "subnet-id": [subnet.subnetId]
        case "vpc-id": [vpc.vpcId]
        case "availability-zone", "availabilityZone": [subnet.availabilityZone]
        case "availability-zone-id", "availabilityZoneId": [subnet.availabilityZoneId]
        case "cidr", "cidr-block", "cidrBlock": [subnet.cidr]
        case "default-for-az", "defaultForAz": ["true"]
        case "state": ["available"]
        case "owner-id": [call.account.rawValue]
        default: nil
        }
      }
    }
    let (page, next) = try Paging.page(
      found.sorted { $0.subnetId < $1.subnetId }, id: \.subnetId, maxResults: input[.maxResults], token: input[.nextToken],
      binding: binding(call, filters))
    return Obj {
      $0[.nextToken] = next
      $0[.subnets] = page.map { subnet in
        let block = IPv4Block(subnet.cidr)
        return Obj {
          $0[.subnetId] = subnet.subnetId
          $0[.vpcId] = vpc.vpcId
          $0[.cidrBlock] = subnet.cidr
          $0[.availabilityZone] = subnet.availabilityZone
          $0[.availabilityZoneId] = subnet.availabilityZoneId
          $0[.state] = .available
          $0[.defaultForAz] = true
          $0[.mapPublicIpOnLaunch] = false
          $0[.ownerId] = call.account.rawValue
          $0[.availableIpAddressCount] = block.map { b in Int(b.size) - 5 - taken.filter { b.contains($0) }.count } ?? 0
          $0[.tags] = wireTags(subnet.tags)
          $0[.subnetArn] = ARN(service: "ec2", scope: call.scope, resource: "subnet/\(subnet.subnetId)").description
        }
      }
    }
  }

  func describeAvailabilityZones(_ input: Obj<DescribeAvailabilityZonesRequest>, _ call: Call) async throws
    -> Obj<DescribeAvailabilityZonesResult>
  {
    let region = call.region.rawValue
    let names = DefaultVPC.zones.map { region + $0 }
    for name in input[.zoneNames] ?? [] where !names.contains(name) {
      throw AWSError("InvalidParameterValue", "Invalid availability zone: [\(name)]. Zones here: \(names.joined(separator: ", ")).")
    }
    let filters = filters(input[.filters])
    let zones = try names.enumerated().filter { index, name in
      guard input[.zoneNames]?.contains(name) ?? true else { return false }
      return try ResourceFilter.allMatch(filters, tags: [:]) { filter in
        switch filter {
        case "zone-name": [name]
        case "zone-id": ["rs1-az\(index + 1)"]
        case "region-name": [region]
        case "state": ["available"]
        case "zone-type": ["availability-zone"]
        case "opt-in-status": ["opt-in-not-required"]
        case "group-name": [region]
        default: nil
        }
      }
    }
    return Obj {
      $0[.availabilityZones] = zones.map { index, name in
        Obj {
          $0[.zoneName] = name
          $0[.zoneId] = "rs1-az\(index + 1)"
          $0[.regionName] = region
          $0[.state] = .available
          $0[.optInStatus] = .optInNotRequired
          $0[.zoneType] = "availability-zone"
          $0[.groupName] = region
          $0[.networkBorderGroup] = region
          $0[.messages] = []
        }
      }
    }
  }

  /// Any region name is accepted, so the region of the call is the one that can be told of.
  func describeRegions(_ input: Obj<DescribeRegionsRequest>, _ call: Call) async throws -> Obj<DescribeRegionsResult> {
    let names = input[.regionNames] ?? [call.region.rawValue]
    let filters = filters(input[.filters])
    let found = try names.filter { region in
      try ResourceFilter.allMatch(filters, tags: [:]) { name in
        switch name {
        case "region-name": [region]
        case "endpoint": [call.endpointHost]
        case "opt-in-status": ["opt-in-not-required"]
        default: nil
        }
      }
    }
    return Obj {
      $0[.regions] = found.map { region in
        Obj {
          $0[.regionName] = region
          $0[.endpoint] = call.endpointHost
          $0[.optInStatus] = "opt-in-not-required"
        }
      }
    }
  }
}
