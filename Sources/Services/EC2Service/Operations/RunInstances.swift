import FoundationEssentials
import Ports
import RegionKit
import RegionStore
import WireModel

extension EC2Operations {
  func runInstances(_ input: Obj<RunInstancesRequest>, _ call: Call) async throws -> Obj<Reservation> {
    try RunInstancesRules.refuseWhatHasNoEffect(input)
    let token = try LaunchToken(input)
    var request: LaunchRequest?
    while true {
      // Read before the instances, so that a launch between the two reads makes our own commit fail.
      var held: Stored<LaunchTokenRecord>?
      if let token {
        held = try await store.get(LaunchTokenRecord.self, in: call.scope, id: token.text)
        if let earlier = try await earlierReservation(token, held?.value, call) { return earlier }
      }
      if request == nil {
        try await refuseWithoutCapabilities()
        request = try await LaunchRequest(input, call: call, operations: self)
      }
      guard let request else { continue }
      var commit = StoreCommit()
      if let token {
        try commit.put(
          LaunchTokenRecord(fingerprint: token.fingerprint), in: call.scope, id: token.text,
          expecting: held.map { .version($0.version) } ?? .absent)
      }
      do { return try await launch(request, commit, call) } catch is StoreConflict { continue }
    }
  }

  /// The same client token answers the same instances again, as long as they are known.
  private func earlierReservation(_ token: LaunchToken, _ held: LaunchTokenRecord?, _ call: Call) async throws -> Obj<Reservation>? {
    let records = try await store.list(InstanceRecord.self, in: call.scope, StoreQuery(index: ("token", token.text))).map(\.value)
    guard let first = records.first else { return nil }
    if let held, held.fingerprint != token.fingerprint { throw LaunchToken.mismatch() }
    return try await reservation(first.reservationId, records.sorted { $0.launchIndex < $1.launchIndex }, call)
  }

  private func refuseWithoutCapabilities() async throws {
    let capabilities = await world.driver.capabilities()
    for needed in [DriverCapabilities.Capability.ownRoot, .ownAddress, .ownProcessTree] where !capabilities.available.contains(needed) {
      throw AWSError(
        "Unsupported",
        "This machine cannot start instances: \(needed.rawValue) is missing: "
          + (capabilities.missing[needed] ?? "the driver does not say why.") + " `roadstead doctor` shows what to do.")
    }
  }

  /// Adds the instances to `commit` and commits it.
  private func launch(_ request: LaunchRequest, _ begun: StoreCommit, _ call: Call) async throws -> Obj<Reservation> {
    let taken = Set(try await store.list(AddressRecord.self, in: AddressRecord.scope).map(\.id))
    let addresses = try request.addresses(taken: taken)
    let reservationId = "r-" + random.hex(17)
    var commit = begun
    var records: [InstanceRecord] = []
    for (index, address) in addresses.enumerated() {
      let record = request.record(index: index, address: address, reservationId: reservationId, now: call.now, random: random)
      try commit.put(record, in: call.scope, id: record.instanceId, expecting: .absent)
      try commit.put(
        AddressRecord(instanceId: record.instanceId, owner: call.scope), in: AddressRecord.scope, id: address, expecting: .absent)
      commit.tasks.append(
        NewTask(
          id: "\(InstanceTask.launch)/\(call.scope)/\(record.instanceId)/1", kind: InstanceTask.launch, scope: call.scope,
          subject: record.instanceId, due: call.now))
      commit.events.append(InstanceMachine.event(record, scope: call.scope, id: random.uuid(), time: call.now))
      records.append(record)
    }
    try await store.commit(commit)
    return try await reservation(reservationId, records, call)
  }
}

/// A RunInstances call after all look-ups and checks.
struct LaunchRequest: Sendable {
  let imageId: String
  let size: InstanceSize
  let minimum: Int
  let maximum: Int
  let vpc: VPCRecord
  let subnet: SubnetRecord
  let groups: [String]
  let userData: [UInt8]
  let profile: InstanceProfileSummary?
  let tags: [String: String]
  let privateIP: String?
  let clientToken: String?
  let tokensRequired: Bool
  let disableApiTermination: Bool
  let disableApiStop: Bool
  let shutdownBehavior: String

  init(_ input: Obj<RunInstancesRequest>, call: Call, operations: EC2Operations) async throws {
    imageId = try RunInstancesRules.image(input[.imageId], known: operations.world.images.imageId)
    let typeName = input[.instanceType]?.rawValue ?? InstanceSize.default
    guard let size = InstanceSize.named(typeName) else {
      throw AWSError(
        "InvalidParameterValue",
        "Invalid value '\(typeName)' for InstanceType. Types here: \(InstanceSize.all.map(\.name).joined(separator: ", ")).")
    }
    self.size = size
    (minimum, maximum) = try RunInstancesRules.counts(input[.minCount], input[.maxCount])
    let nic = try RunInstancesRules.singleInterface(input[.networkInterfaces] ?? [])
    vpc = try await operations.world.vpcs.get(in: call.scope)
    subnet = try RunInstancesRules.subnet(
      input[.subnetId] ?? nic?[.subnetId], zone: input[.placement]?[.availabilityZone], in: vpc)
    groups = try await operations.groupIds(
      ids: (input[.securityGroupIds] ?? []) + (nic?[.groups] ?? []), names: input[.securityGroups] ?? [], vpc: vpc, call)
    userData = try RunInstancesRules.userData(input[.userData])
    profile = try await operations.profile(input[.iamInstanceProfile], call)
    tags = try operations.tags(input[.tagSpecifications], for: .instance)
    privateIP = input[.privateIpAddress] ?? nic?[.privateIpAddress]
    if privateIP != nil, maximum > 1 {
      throw AWSError("InvalidParameterCombination", "A private IP address can be given for one instance only.")
    }
    clientToken = input[.clientToken]
    tokensRequired = input[.metadataOptions]?[.httpTokens]?.rawValue == "required"
    disableApiTermination = input[.disableApiTermination] ?? false
    disableApiStop = input[.disableApiStop] ?? false
    shutdownBehavior = input[.instanceInitiatedShutdownBehavior]?.rawValue ?? "stop"
  }

  /// As many addresses as instances: the maximum if the subnet has them, at least the minimum.
  func addresses(taken: Set<String>) throws -> [String] {
    if let privateIP {
      guard let number = IPv4Block.address(privateIP), let block = IPv4Block(subnet.cidr), block.contains(number) else {
        throw AWSError("InvalidParameterValue", "Address \(privateIP) does not fall within the subnet's address range \(subnet.cidr).")
      }
      guard !taken.contains(privateIP) else {
        throw AWSError("InvalidIPAddress.InUse", "Address \(privateIP) is in use.")
      }
      return [privateIP]
    }
    for count in stride(from: maximum, through: minimum, by: -1) {
      if let found = AddressChooser.choose(count, in: subnet.cidr, taken: taken) { return found }
    }
    throw AWSError(
      "InsufficientFreeAddressesInSubnet", "Subnet \(subnet.subnetId) (\(subnet.cidr)) has fewer than \(minimum) free addresses.")
  }

  func record(index: Int, address: String, reservationId: String, now: Date, random: any Randomness) -> InstanceRecord {
    return InstanceRecord(
      instanceId: "i-" + random.hex(17), reservationId: reservationId, imageId: imageId, instanceType: size.name,
      launchIndex: index, vpcId: vpc.vpcId, subnetId: subnet.subnetId, availabilityZone: subnet.availabilityZone,
      privateIP: address, networkInterfaceId: "eni-" + random.hex(17),
      macAddress: InstanceAddressing.hardwareAddress(privateIP: address) ?? "", securityGroupIds: groups,
      userData: userData, clientToken: clientToken, profile: profile,
      profileAssociationId: profile == nil ? nil : "iip-assoc-" + random.hex(17), tags: tags, launchTime: now,
      state: .pending, stateReason: LifeReason(code: "pending", message: "pending"), transitionReason: "",
      neverLaunched: true, handle: nil, tokensRequired: tokensRequired, disableApiTermination: disableApiTermination,
      disableApiStop: disableApiStop, shutdownBehavior: shutdownBehavior)
  }
}
