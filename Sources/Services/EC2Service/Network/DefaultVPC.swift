import Ports
import RegionKit
import RegionStore

/// Makes and finds the default VPC: one per account and region, its block the driver's network, a /20 subnet in each of three zones.
/// https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc.html
struct DefaultVPC: Sendable {
  let store: any RegionStore
  let random: any Randomness
  /// The driver's network, e.g. `172.31.0.0/16`.
  let cidr: String

  static let zones = ["a", "b", "c"]
  private static let id = "default"

  func get(in scope: Scope) async throws -> VPCRecord {
    if let stored = try await store.get(VPCRecord.self, in: scope, id: Self.id) { return stored.value }
    let vpc = make(in: scope)
    var commit = StoreCommit()
    try commit.put(vpc, in: scope, id: Self.id, expecting: .absent)
    let group = SecurityGroupRecord(
      groupId: "sg-" + random.hex(17), groupName: "default", description: "default VPC security group", vpcId: vpc.vpcId, tags: [:])
    try commit.put(group, in: scope, id: group.groupId)
    do {
      try await store.commit(commit)
      return vpc
    } catch is StoreConflict {
      return try await get(in: scope)
    }
  }

  private func make(in scope: Scope) -> VPCRecord {
    let block = IPv4Block(cidr) ?? IPv4Block(base: 0xac1f_0000, prefix: 16)
    let subnets = Self.zones.enumerated().map { index, letter in
      SubnetRecord(
        subnetId: "subnet-" + random.hex(17), cidr: block.subdivided(to: 20, index: index).description,
        availabilityZone: scope.region.rawValue + letter, availabilityZoneId: "rs1-az\(index + 1)", tags: [:])
    }
    return VPCRecord(
      vpcId: "vpc-" + random.hex(17), cidr: block.description, isDefault: true, subnets: subnets, tags: [:])
  }
}

/// Chooses private addresses. AWS keeps the first four and the last address of a subnet for itself; so do we (the first is the gateway).
/// https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
enum AddressChooser {
  /// `count` free addresses, lowest first; nil when the subnet has not that many.
  static func choose(_ count: Int, in cidr: String, taken: Set<String>) -> [String]? {
    guard let block = IPv4Block(cidr), block.size > 5 else { return nil }
    var out: [String] = []
    for offset in 4..<(block.size - 1) where out.count < count {
      let text = IPv4Block.text(block.base + offset)
      if !taken.contains(text) { out.append(text) }
    }
    return out.count == count ? out : nil
  }
}
