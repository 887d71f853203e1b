public import FoundationEssentials
public import RegionKit

/// What a driver can do on this machine. A capability that is missing is named when somebody asks for it; nothing is silently ignored.
public struct DriverCapabilities: Sendable, Codable, Equatable {
  public enum Capability: String, Sendable, Codable, CaseIterable {
    case ownRoot, ownAddress, ownProcessTree, memoryLimit, cpuLimit, pidsLimit, metadata, snapshot, recover, userNamespace
  }
  public var available: Set<Capability>
  /// For each missing one: why, and the fix, as `doctor` prints it.
  public var missing: [Capability: String]
  public init(available: Set<Capability>, missing: [Capability: String]) {
    self.available = available
    self.missing = missing
  }
}

/// What an instance shall be. Everything a driver needs, so that `launch` asks nobody.
public struct InstanceSpec: Sendable, Codable, Equatable {
  public var instanceId: String
  public var scope: Scope
  public var hostname: String
  /// Image layers, lowest first, as ids of the driver's image store.
  public var layers: [String]
  public var memoryBytes: Int64
  /// In thousandths of a CPU.
  public var cpuMillis: Int
  public var maxProcesses: Int
  /// IPv4 in the driver's network; nil lets the driver choose (see `allocateAddress`).
  public var privateIP: String
  /// Raw user data (decoded), run at first boot when it begins with `#!`.
  public var userData: [UInt8]
  /// Files written into the root before init starts: agent configuration, CA, ssh keys. Path to content and mode.
  public var files: [InstanceFile]
  /// The command init keeps running (the deploy agent), restarted when it exits; empty: none.
  public var agentCommand: [String]
  public init(
    instanceId: String, scope: Scope, hostname: String, layers: [String], memoryBytes: Int64, cpuMillis: Int,
    maxProcesses: Int, privateIP: String, userData: [UInt8], files: [InstanceFile], agentCommand: [String]
  ) {
    self.instanceId = instanceId
    self.scope = scope
    self.hostname = hostname
    self.layers = layers
    self.memoryBytes = memoryBytes
    self.cpuMillis = cpuMillis
    self.maxProcesses = maxProcesses
    self.privateIP = privateIP
    self.userData = userData
    self.files = files
    self.agentCommand = agentCommand
  }
}

public struct InstanceFile: Sendable, Codable, Equatable {
  public var path: String
  public var content: [UInt8]
  /// Permission bits, e.g. 0o600.
  public var mode: UInt16
  public init(path: String, content: [UInt8], mode: UInt16 = 0o644) {
    self.path = path
    self.content = content
    self.mode = mode
  }
}

/// A driver's own note about a running instance, enough to find it again after `kill -9` of the region. Stored as JSON.
public struct InstanceHandle: Sendable, Codable, Equatable {
  public var version: Int
  public var instanceId: String
  /// Driver-private facts: init pid and start time, cgroup, paths, interface.
  public var facts: [String: String]
  public init(version: Int, instanceId: String, facts: [String: String]) {
    self.version = version
    self.instanceId = instanceId
    self.facts = facts
  }
}

public enum InstanceCondition: String, Sendable, Codable { case running, stopped, absent }

public struct InstanceInspection: Sendable, Codable, Equatable {
  public var condition: InstanceCondition
  /// CPU time used since launch, seconds; memory in bytes; nil where the machine cannot tell.
  public var cpuSeconds: Double?
  public var memoryBytes: Int64?
  /// Init's exit status when stopped, if known.
  public var exitStatus: Int?
  public init(condition: InstanceCondition, cpuSeconds: Double? = nil, memoryBytes: Int64? = nil, exitStatus: Int? = nil) {
    self.condition = condition
    self.cpuSeconds = cpuSeconds
    self.memoryBytes = memoryBytes
    self.exitStatus = exitStatus
  }
}

/// A machine image a driver can launch.
public struct DriverImage: Sendable, Codable, Equatable {
  public var layers: [String]
  public var name: String
  public var description: String
  public var architecture: String
  public var created: Date
  public var sizeBytes: Int64
  public init(layers: [String], name: String, description: String, architecture: String, created: Date, sizeBytes: Int64) {
    self.layers = layers
    self.name = name
    self.description = description
    self.architecture = architecture
    self.created = created
    self.sizeBytes = sizeBytes
  }
}

/// The driver's network: EC2's default VPC takes its CIDR from here.
public struct DriverNetwork: Sendable, Codable, Equatable {
  /// e.g. `172.31.0.0/16`.
  public var cidr: String
  /// The host's address on the bridge: the instances' gateway and where listener (b) binds. Nil without root.
  public var gatewayIP: String?
  public init(cidr: String, gatewayIP: String?) {
    self.cidr = cidr
    self.gatewayIP = gatewayIP
  }
}

/// What an instance really is. One contract suite runs on every driver.
/// Every method may be repeated: after a crash the caller does not know whether the first call had its effect.
public protocol InstanceDriver: Sendable {
  var name: String { get }
  func capabilities() async -> DriverCapabilities
  /// Prepares the network (bridge, addresses). Idempotent. Throws `AWSError("Unsupported…")`-shaped errors that name what is missing.
  func prepareNetwork() async throws -> DriverNetwork
  /// The built-in image, made at first use. `progress` gets lines for people.
  func baseImage(progress: @escaping @Sendable (String) -> Void) async throws -> DriverImage
  /// Starts the instance, or returns the handle of the one already running under this id. `fresh` false keeps the writable layer
  /// (a start after a stop).
  func launch(_ spec: InstanceSpec, fresh: Bool) async throws -> InstanceHandle
  /// Finds an instance again after a restart of the region; nil when nothing of it runs any more.
  func recover(_ handle: InstanceHandle) async throws -> InstanceHandle?
  func inspect(_ handle: InstanceHandle) async throws -> InstanceInspection
  /// SIGTERM to init, SIGKILL after `grace` real seconds. Keeps the writable layer.
  func stop(_ handle: InstanceHandle, grace: Double) async throws
  /// Removes every trace. Also called with an id that never launched.
  func destroy(instanceId: String) async throws
  /// The console log, at most the last 64 KiB.
  func consoleOutput(instanceId: String) async throws -> [UInt8]
  /// Ids of everything this driver holds, for finding leaks.
  func list() async throws -> [String]
  /// The end of each instance, as it happens.
  func exits() -> AsyncStream<String>
}

/// Hands an instance's metadata (IMDS) to the metadata plane. The plane keeps the last generation on disk and keeps serving it.
public protocol MetadataPublisher: Sendable {
  func publish(_ metadata: InstanceMetadata) async throws
  func withdraw(instanceId: String) async throws
}

/// All that 169.254.169.254 answers for one instance.
public struct InstanceMetadata: Sendable, Codable, Equatable {
  public var instanceId: String
  /// Path below `/latest/meta-data/` to value; directories follow from the paths.
  public var paths: [String: String]
  public var userData: [UInt8]
  /// The identity document's members.
  public var identityDocument: [String: String]
  public var roleName: String?
  public var credentials: TemporaryCredentials?
  /// IMDSv1 refused (`HttpTokens=required`).
  public var tokensRequired: Bool
  public init(
    instanceId: String, paths: [String: String], userData: [UInt8], identityDocument: [String: String], roleName: String?,
    credentials: TemporaryCredentials?, tokensRequired: Bool
  ) {
    self.instanceId = instanceId
    self.paths = paths
    self.userData = userData
    self.identityDocument = identityDocument
    self.roleName = roleName
    self.credentials = credentials
    self.tokensRequired = tokensRequired
  }
}
