import FoundationEssentials
import Ports
import RegionKit
import RegionStore
import WireModel

extension EC2Operations {
  func describeInstances(_ input: Obj<DescribeInstancesRequest>, _ call: Call) async throws -> Obj<DescribeInstancesResult> {
    let filters = filters(input[.filters])
    let ids = input[.instanceIds] ?? []
    let all =
      try await ids.isEmpty
      ? store.list(InstanceRecord.self, in: call.scope).map(\.value) : instances(ids, in: call.scope).map(\.value)
    let vpc = try await world.vpcs.get(in: call.scope)
    let groups = try await groupNames(call.scope)
    let matching = try all.filter { record in
      try ResourceFilter.allMatch(filters, tags: record.tags) { InstanceFilters.values($0, of: record, groups: groups, scope: call.scope) }
    }
    let (page, next) = try Paging.page(
      matching.sorted { $0.instanceId < $1.instanceId }, id: \.instanceId, maxResults: input[.maxResults],
      token: input[.nextToken], binding: binding(call, filters))
    var order: [String] = []
    var byReservation: [String: [InstanceRecord]] = [:]
    for record in page {
      if byReservation[record.reservationId] == nil { order.append(record.reservationId) }
      byReservation[record.reservationId, default: []].append(record)
    }
    return Obj {
      $0[.reservations] = order.map { id in
        wireReservation(id, (byReservation[id] ?? []).sorted { $0.launchIndex < $1.launchIndex }, call, vpc: vpc, groups: groups)
      }
      $0[.nextToken] = next
    }
  }

  func reservation(_ id: String, _ records: [InstanceRecord], _ call: Call) async throws -> Obj<Reservation> {
    wireReservation(
      id, records, call, vpc: try await world.vpcs.get(in: call.scope), groups: try await groupNames(call.scope))
  }

  func groupNames(_ scope: Scope) async throws -> [String: String] {
    let groups = try await store.list(SecurityGroupRecord.self, in: scope).map(\.value)
    return Dictionary(groups.map { ($0.groupId, $0.groupName) }) { first, _ in first }
  }

  private func wireReservation(
    _ id: String, _ records: [InstanceRecord], _ call: Call, vpc: VPCRecord, groups: [String: String]
  ) -> Obj<Reservation> {
    Obj {
      $0[.reservationId] = id
      $0[.ownerId] = call.account.rawValue
      $0[.groups] = []
      $0[.instances] = records.map { wireInstance($0, call, groups: groups) }
    }
  }

  func wireInstance(_ record: InstanceRecord, _ call: Call, groups: [String: String]) -> Obj<Instance> {
    let wireGroups: [Obj<GroupIdentifier>] = record.securityGroupIds.map { id in
      Obj {
        $0[.groupId] = id
        $0[.groupName] = groups[id] ?? ""
      }
    }
    let alive = record.state != .terminated && record.state != .shuttingDown
    return Obj {
      $0[.instanceId] = record.instanceId
      $0[.imageId] = record.imageId
      $0[.state] = wireState(record.state)
      $0[.privateDnsName] = alive ? InstanceNames.privateDNS(record.privateIP, region: call.region) : ""
      $0[.publicDnsName] = ""
      $0[.stateTransitionReason] = record.transitionReason
      $0[.amiLaunchIndex] = record.launchIndex
      $0[.productCodes] = []
      $0[.instanceType] = InstanceType(rawValue: record.instanceType)
      $0[.launchTime] = record.launchTime
      $0[.placement] = Obj {
        $0[.availabilityZone] = record.availabilityZone
        $0[.groupName] = ""
        $0[.tenancy] = .default
      }
      $0[.monitoring] = Obj { $0[.state] = .disabled }
      if alive {
        $0[.subnetId] = record.subnetId
        $0[.vpcId] = record.vpcId
        $0[.privateIpAddress] = record.privateIP
        $0[.securityGroups] = wireGroups
        $0[.networkInterfaces] = [wireInterface(record, call, groups: wireGroups)]
      }
      $0[.architecture] = ArchitectureValues(rawValue: InstanceArchitecture.current)
      $0[.blockDeviceMappings] = []
      $0[.clientToken] = record.clientToken ?? ""
      $0[.ebsOptimized] = false
      $0[.enaSupport] = false
      $0[.hypervisor] = .xen
      $0[.rootDeviceName] = "/dev/xvda"
      $0[.rootDeviceType] = .instanceStore
      $0[.sourceDestCheck] = true
      $0[.virtualizationType] = .hvm
      $0[.tags] = wireTags(record.tags)
      if let reason = record.stateReason {
        $0[.stateReason] = Obj {
          $0[.code] = reason.code
          $0[.message] = reason.message
        }
      }
      if let profile = record.profile {
        $0[.iamInstanceProfile] = Obj {
          $0[.arn] = profile.arn
          $0[.id] = profile.id
        }
      }
      $0[.metadataOptions] = metadataOptions(record)
      $0[.platformDetails] = "Linux/UNIX"
    }
  }

  func metadataOptions(_ record: InstanceRecord) -> Obj<InstanceMetadataOptionsResponse> {
    Obj {
      $0[.state] = .applied
      $0[.httpTokens] = record.tokensRequired ? .required : .optional
      $0[.httpPutResponseHopLimit] = 1
      $0[.httpEndpoint] = .enabled
      $0[.httpProtocolIpv6] = .disabled
      $0[.instanceMetadataTags] = .disabled
    }
  }

  private func wireInterface(_ record: InstanceRecord, _ call: Call, groups: [Obj<GroupIdentifier>]) -> Obj<InstanceNetworkInterface> {
    Obj {
      $0[.networkInterfaceId] = record.networkInterfaceId
      $0[.macAddress] = record.macAddress
      $0[.ownerId] = call.account.rawValue
      $0[.privateDnsName] = InstanceNames.privateDNS(record.privateIP, region: call.region)
      $0[.privateIpAddress] = record.privateIP
      $0[.privateIpAddresses] = [
        Obj {
          $0[.primary] = true
          $0[.privateDnsName] = InstanceNames.privateDNS(record.privateIP, region: call.region)
          $0[.privateIpAddress] = record.privateIP
        }
      ]
      $0[.sourceDestCheck] = true
      $0[.status] = .inUse
      $0[.subnetId] = record.subnetId
      $0[.vpcId] = record.vpcId
      $0[.interfaceType] = "interface"
      $0[.groups] = groups
      $0[.description] = ""
      $0[.attachment] = Obj {
        $0[.attachmentId] = "eni-attach-" + record.networkInterfaceId.dropFirst(4)
        $0[.deviceIndex] = 0
        $0[.status] = .attached
        $0[.attachTime] = record.launchTime
        $0[.deleteOnTermination] = true
      }
    }
  }
}

enum InstanceNames {
  static func privateDNS(_ address: String, region: RegionName) -> String {
    "ip-" + address.split(separator: ".").joined(separator: "-") + (region.rawValue == "us-east-1" ? ".ec2" : ".\(region).compute")
      + ".internal"
  }
}

/// The filters of DescribeInstances that this region's instances have values for.
enum InstanceFilters {
  static func values(_ name: String, of record: InstanceRecord, groups: [String: String], scope: Scope) -> [String]? {
    switch name {
    case "instance-id": [record.instanceId]
    case "instance-state-name": [record.state.rawValue]
    case "instance-state-code": [String(record.state.code)]
    case "instance-type": [record.instanceType]
    case "image-id": [record.imageId]
    case "availability-zone", "placement.availability-zone": [record.availabilityZone]
    case "vpc-id", "network-interface.vpc-id": [record.vpcId]
    case "subnet-id", "network-interface.subnet-id": [record.subnetId]
    case "private-ip-address", "network-interface.addresses.private-ip-address": [record.privateIP]
    case "private-dns-name": [InstanceNames.privateDNS(record.privateIP, region: scope.region)]
    case "reservation-id": [record.reservationId]
    case "owner-id": [scope.account.rawValue]
    case "client-token": [record.clientToken ?? ""]
    case "launch-index": [String(record.launchIndex)]
    case "architecture": [InstanceArchitecture.current]
    case "iam-instance-profile.arn": record.profile.map { [$0.arn] } ?? []
    case "iam-instance-profile.id": record.profile.map { [$0.id] } ?? []
    case "instance.group-id", "network-interface.group-id": record.securityGroupIds
    case "instance.group-name", "network-interface.group-name": record.securityGroupIds.compactMap { groups[$0] }
    case "tenancy": ["default"]
    case "root-device-type": ["instance-store"]
    case "metadata-options.http-tokens": [record.tokensRequired ? "required" : "optional"]
    case "state-reason-code": record.stateReason.map { [$0.code] } ?? []
    case "launch-time": [ISO8601.text(record.launchTime)]
    default: nil
    }
  }
}
