import CInstance
import FoundationEssentials
import Glibc
public import Ports
public import RegionKit
import Synchronization

/// Instances as process trees in namespaces of their own: overlay root, own address on the region's bridge, control group limits,
/// reduced capabilities and a system call filter. Needs root; no daemon and no package. Instances outlive the region's process.
public final class NamespaceDriver: InstanceDriver {
  public let name = "namespace"
  let layout: HomeLayout
  let store: ImageStore
  let agentBinary: String?
  let launcherPath: String
  let gate = InstanceGate()
  let exitWatcher = ExitWatcher()
  private let wantsUserNamespaces: Bool
  private let idShifting = Mutex<String??>(nil)
  private let prepared = Mutex<IPv4Network?>(nil)
  private let addresses = Mutex<[String: String]?>(nil)

  /// - Parameters:
  ///   - home: the region's home; made when it is not there.
  ///   - launcherPath: a binary whose `main` hands `__instance-launch` to `rs_instance_main`, usually roadstead itself.
  ///   - agentBinary: the host's file that instances see, read-only, as `/opt/roadstead/bin/roadstead`.
  ///   - imageCache: a directory of image layers that several homes share; nil: `HOME/images`.
  ///   - userNamespaces: false: instances share the host's user ids even where they could have their own.
  ///   - clock: dates new images.
  public init(
    home: String, launcherPath: String, agentBinary: String?, imageCache: String? = nil, userNamespaces: Bool = true,
    clock: any RegionClock = SystemClock()
  ) throws {
    layout = try HomeLayout(home: home)
    store = ImageStore(directories: [layout.images] + (imageCache.map { [$0] } ?? []), clock: clock)
    self.launcherPath = launcherPath
    self.agentBinary = agentBinary
    wantsUserNamespaces = userNamespaces
    try Posix.makeDirectories(layout.instances, mode: 0o700)
    try Posix.makeDirectories(layout.metadata, mode: 0o700)
  }

  public func capabilities() async -> DriverCapabilities {
    var capabilities = Machine.observe().capabilities
    if capabilities.available.contains(.userNamespace), let problem = idShiftingProblem() {
      capabilities.available.remove(.userNamespace)
      capabilities.missing[.userNamespace] = problem
    }
    return capabilities
  }

  public func prepareNetwork() async throws -> DriverNetwork {
    let network = try await Blocking.run { try self.network() }
    return DriverNetwork(cidr: network.description, gatewayIP: IPv4Network.text(network.gateway))
  }

  public func baseImage(progress: @escaping @Sendable (String) -> Void) async throws -> DriverImage {
    try requireCapabilities()
    return try await Blocking.run { try self.store.baseImage(progress: progress) }
  }

  public func launch(_ spec: InstanceSpec, fresh: Bool) async throws -> InstanceHandle {
    try await gate.exclusively(spec.instanceId) { try await Blocking.run { try self.launchNow(spec, fresh: fresh) } }
  }

  public func recover(_ handle: InstanceHandle) async throws -> InstanceHandle? {
    try checkId(handle.instanceId)
    return try await gate.exclusively(handle.instanceId) {
      try await Blocking.run { try self.adopt(handle.instanceId) }
    }
  }

  public func inspect(_ handle: InstanceHandle) async throws -> InstanceInspection {
    try checkId(handle.instanceId)
    return try await Blocking.run { self.inspectNow(handle.instanceId) }
  }

  public func stop(_ handle: InstanceHandle, grace: Double) async throws {
    try checkId(handle.instanceId)
    try await gate.exclusively(handle.instanceId) {
      try await Blocking.run { try self.endNow(handle.instanceId, grace: grace) }
    }
  }

  public func destroy(instanceId: String) async throws {
    try checkId(instanceId)
    try await gate.exclusively(instanceId) {
      try await Blocking.run {
        try self.endNow(instanceId, grace: 0)
        try Posix.removeTree(self.layout.instance(instanceId).path)
        self.release(instanceId)
      }
    }
  }

  public func consoleOutput(instanceId: String) async throws -> [UInt8] {
    try checkId(instanceId)
    return Posix.read(layout.instance(instanceId).console, last: 64 << 10) ?? []
  }

  public func list() async throws -> [String] { Posix.names(in: layout.instances).filter(SpecRules.isInstanceId).sorted() }

  public func exits() -> AsyncStream<String> { exitWatcher.stream() }

  // MARK: - State shared by calls

  func checkId(_ instanceId: String) throws {
    guard SpecRules.isInstanceId(instanceId) else {
      throw AWSError("InvalidInstanceID.Malformed", "The instance id \(instanceId) is not well formed.")
    }
  }

  func requireCapabilities() throws {
    let missing = Machine.observe().capabilities.missing
    // Limits, metadata and the rest are needed too: an instance without them would be less than what was asked for.
    for capability in DriverCapabilities.Capability.allCases where capability != .userNamespace && capability != .snapshot {
      if let reason = missing[capability] {
        throw DriverFailure.unsupported("This machine cannot run instances: \(reason)")
      }
    }
  }

  /// Why instances get no user namespace; found out once, on the file systems that home and images lie on.
  func idShiftingProblem() -> String? {
    idShifting.withLock { known in
      if let known { return known }
      var problem = wantsUserNamespaces ? Machine.observe().userNamespaceProblem : "they are switched off."
      for directory in [layout.instances] + store.directories where problem == nil && Posix.exists(directory) {
        let result = rs_userns_probe(directory)
        if result < 0 {
          problem =
            "ids of files in \(directory) cannot be shifted (\(String(cString: strerror(-result)))). Use a file system like ext4, "
            + "xfs or btrfs."
        }
      }
      known = .some(problem)
      return problem
    }
  }

  /// The network, and the region's control groups, made at the first call.
  func network() throws -> IPv4Network {
    if let known = prepared.withLock({ $0 }), Posix.exists("/sys/class/net/" + layout.bridge) { return known }
    try requireCapabilities()
    let network = try RegionNetwork(layout: layout).prepare()
    try cgroups(of: "none").prepare()
    prepared.withLock { $0 = network }
    return network
  }

  func cgroups(of instanceId: String, spec: InstanceSpec? = nil) -> CgroupPlan {
    CgroupPlan(
      tree: .ofThisMachine(), group: layout.cgroup, instanceId: instanceId, memoryBytes: spec?.memoryBytes ?? 0,
      cpuMillis: spec?.cpuMillis ?? 0, maxProcesses: spec?.maxProcesses ?? 0)
  }

  /// Holds the address for this instance until it is destroyed; stopped instances keep theirs, as in EC2.
  func reserve(_ address: String, for instanceId: String) throws {
    try addresses.withLock { held in
      var current = held ?? storedAddresses()
      if let owner = current[address], owner != instanceId {
        throw AWSError("InvalidIPAddress.InUse", "Address \(address) is in use by \(owner).")
      }
      current = current.filter { $0.value != instanceId }
      current[address] = instanceId
      held = current
    }
  }

  func release(_ instanceId: String) {
    addresses.withLock { held in held = held?.filter { $0.value != instanceId } }
  }

  private func storedAddresses() -> [String: String] {
    var found: [String: String] = [:]
    for id in Posix.names(in: layout.instances) {
      if let address = storedHandle(id)?.facts["address"] { found[address] = id }
    }
    return found
  }

  func storedHandle(_ instanceId: String) -> InstanceHandle? {
    Posix.read(layout.instance(instanceId).handle).flatMap { try? JSONDecoder().decode(InstanceHandle.self, from: Data($0)) }
  }
}
