import Crypto
public import Durable
import FoundationEssentials
public import Logging
public import Ports
public import RegionKit
public import RegionStore
public import WireModel

/// EC2: instances that really run, their images, types, groups and the default VPC.
public struct EC2Service: Sendable, InstanceDirectory {
  let world: InstanceWorld
  let random: any Randomness
  let logger: Logger

  /// - Parameters:
  ///   - network: the driver's network, the default VPC's block; what `prepareNetwork` answered, or its default where there is none.
  ///   - homeIdentity: any text that names this region's home; the built-in AMI's id follows from it.
  ///   - progress: gets lines for people while the base image is made.
  public init(
    store: any RegionStore, clock: any RegionClock, random: any Randomness, driver: any InstanceDriver,
    metadata: any MetadataPublisher, roles: any RolePort, provisioning: any InstanceProvisioning, network: DriverNetwork,
    homeIdentity: String, logger: Logger, progress: @escaping @Sendable (String) -> Void
  ) {
    let digest = SHA256.hash(data: Array("roadstead-base:\(homeIdentity)".utf8))
    let digits = digest.map { byte in
      let text = String(byte, radix: 16)
      return text.utf8.count == 1 ? "0" + text : text
    }
    self.random = random
    self.logger = logger
    world = InstanceWorld(
      store: store, clock: clock, machine: InstanceMachine(store: store, clock: clock, random: random), driver: driver,
      metadata: metadata, roles: roles,
      images: ImageKeeper(imageId: "ami-" + digits.joined().prefix(17), driver: driver, progress: progress),
      vpcs: DefaultVPC(store: store, random: random, cidr: network.cidr), provisioning: provisioning, logger: logger)
  }

  public var module: any ServiceModule { EC2Module(api: EC2Operations(world: world, random: random)) }

  public var taskHandlers: [any TaskHandler] {
    [
      LaunchTask(world: world), StopTask(world: world), RebootTask(world: world), TerminateTask(world: world),
      CredentialTask(world: world), ForgetTask(world: world),
    ]
  }

  // MARK: InstanceDirectory

  public func instances(in scope: Scope) async throws -> [InstanceSummary] {
    try await world.store.list(InstanceRecord.self, in: scope).map(\.value).filter { $0.state != .terminated }.map(Self.summary)
  }

  public func instance(_ instanceId: String, in scope: Scope) async throws -> InstanceSummary? {
    try await world.store.get(InstanceRecord.self, in: scope, id: instanceId).map { Self.summary($0.value) }
  }

  private static func summary(_ record: InstanceRecord) -> InstanceSummary {
    InstanceSummary(
      instanceId: record.instanceId, state: record.state.rawValue, availabilityZone: record.availabilityZone,
      privateIP: record.privateIP, tags: record.tags, instanceProfileARN: record.profile?.arn)
  }
}

extension EC2Service {
  /// The instance that has this private address, whichever account it belongs to; nil when none has.
  public func instanceId(at address: String) async throws -> String? {
    try await world.store.get(AddressRecord.self, in: AddressRecord.scope, id: address)?.value.instanceId
  }
}
