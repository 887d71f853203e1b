import CInstance
import FoundationEssentials
import Glibc
internal import Ports
internal import RegionKit

/// The blocking halves of the driver's calls. The caller holds the instance's gate.
extension NamespaceDriver {
  /// The running init of an instance, found by what the launcher noted, so also after a crash in the middle of `launch`.
  func runningInit(_ instanceId: String) -> InitProcess? {
    guard let note = Posix.text(layout.instance(instanceId).pidFile), let process = InitProcess(note: note) else { return nil }
    return process.isAlive(inGroup: "/\(layout.cgroup)/\(instanceId)") ? process : nil
  }

  func launchNow(_ spec: InstanceSpec, fresh: Bool) throws -> InstanceHandle {
    try checkId(spec.instanceId)
    if let handle = try adopt(spec.instanceId) { return handle }
    let network = try network()
    if let broken = SpecRules.violation(spec, network: network) { throw AWSError("InvalidParameterValue", broken) }
    let layers = try spec.layers.map { try store.path(of: $0) }
    try reserve(spec.privateIP, for: spec.instanceId)

    let directory = layout.instance(spec.instanceId)
    let isNew = fresh || !Posix.exists(directory.upper)
    let cgroups = cgroups(of: spec.instanceId, spec: spec)
    // What an earlier life of this id may have left.
    try removeOutside(spec.instanceId, cgroups)
    if fresh { try Posix.removeTree(directory.path) }
    for path in [directory.path, directory.upper, directory.work, directory.root] {
      try Posix.makeDirectories(path, mode: path == directory.upper ? 0o755 : 0o700)
    }
    let plan = LaunchPlan(
      spec: spec, layout: layout, network: network, cgroups: cgroups, layers: layers, agentBinary: agentBinary,
      shiftsIds: idShiftingProblem() == nil, fresh: isNew)
    do {
      // The handle comes first, so that an address in use is known whatever happens next.
      try store(handle: handle(of: spec.instanceId, address: spec.privateIP, process: nil), in: directory)
      try writeConfiguration(plan.configuration.encoded, to: directory.config)
      try runLauncher(directory)
      guard let handle = try adopt(spec.instanceId, address: spec.privateIP) else {
        throw DriverFailure.internalError("Init of \(spec.instanceId) ended at once; its console says why.")
      }
      return handle
    } catch {
      try? endNow(spec.instanceId, grace: 0)
      if fresh {
        try? Posix.removeTree(directory.path)
        release(spec.instanceId)
      }
      throw error
    }
  }

  /// Not synced: it is of use to the next few milliseconds only. It carries agent keys, so nobody else reads it.
  private func writeConfiguration(_ bytes: [UInt8], to path: String) throws {
    unlink(path)
    let fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard fd >= 0 else { throw Posix.failure("write \(path)", errno) }
    defer { close(fd) }
    var done = 0
    while done < bytes.count {
      let wrote = bytes[done...].withUnsafeBytes { write(fd, $0.baseAddress, $0.count) }
      if wrote < 0 { throw Posix.failure("write \(path)", errno) }
      done += wrote
    }
  }

  /// A launch takes milliseconds; one that takes this long hangs in the kernel.
  private static let launchLimitMilliseconds: Int32 = 60_000

  private func runLauncher(_ directory: InstanceDirectory) throws {
    var pid: pid_t = 0
    var status: Int32 = -1
    try Posix.check(rs_spawn_launcher(launcherPath, directory.config, &pid, &status), "start the launcher \(launcherPath)")
    defer { close(status) }
    var text: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 4096)
    while true {
      var entry = pollfd(fd: status, events: Int16(POLLIN), revents: 0)
      if poll(&entry, 1, Self.launchLimitMilliseconds) == 0 {
        kill(pid, SIGKILL)
        _ = rs_wait_child(pid)
        throw DriverFailure.internalError("The instance did not start within \(Self.launchLimitMilliseconds / 1000) s.")
      }
      let got = read(status, &piece, piece.count)
      if got < 0 && errno == EINTR { continue }
      if got <= 0 { break }
      text.append(contentsOf: piece[..<got])
    }
    _ = rs_wait_child(pid)
    unlink(directory.config)
    let lines = String(decoding: text, as: UTF8.self).split(separator: "\n")
    if lines.contains("ready") { return }
    let reason = lines.first { $0.hasPrefix("error ") }.map { String($0.dropFirst("error ".count)) }
    throw DriverFailure.internalError(
      "The instance did not start: \(reason ?? "the launcher \(launcherPath) ended without a word").")
  }

  /// The handle of a running instance, with everything around it in place again; nil when it does not run.
  func adopt(_ instanceId: String, address: String? = nil) throws -> InstanceHandle? {
    guard let process = runningInit(instanceId) else { return nil }
    let directory = layout.instance(instanceId)
    let known = storedHandle(instanceId)
    let handle = handle(of: instanceId, address: address ?? known?.facts["address"] ?? "", process: process)
    if known != handle { try store(handle: handle, in: directory) }
    let attachment = MetadataAttachment(
      instanceId: instanceId, pid: process.pid, startTime: process.startTime, descriptor: RS_METADATA_FD)
    let bytes = Array(try JSONEncoder().encode(attachment))
    let path = layout.attachment(of: instanceId)
    if Posix.read(path).flatMap({ try? JSONDecoder().decode(MetadataAttachment.self, from: Data($0)) }) != attachment {
      try Posix.write(bytes, to: path, mode: 0o600, durable: false)
    }
    exitWatcher.watch(instanceId, pid: process.pid)
    return handle
  }

  private func handle(of instanceId: String, address: String, process: InitProcess?) -> InstanceHandle {
    var facts = [
      "address": address, "directory": layout.instance(instanceId).path, "cgroup": "/\(layout.cgroup)/\(instanceId)",
      "link": layout.link(of: instanceId), "bridge": layout.bridge,
    ]
    if let process {
      facts["pid"] = String(process.pid)
      facts["startTime"] = String(process.startTime)
    }
    return InstanceHandle(version: 1, instanceId: instanceId, facts: facts)
  }

  /// Not synced: after a power loss nothing runs any more, and the region knows the addresses itself.
  private func store(handle: InstanceHandle, in directory: InstanceDirectory) throws {
    try Posix.write(Array(try JSONEncoder().encode(handle)), to: directory.handle, mode: 0o600, durable: false)
  }

  func inspectNow(_ instanceId: String) -> InstanceInspection {
    let directory = layout.instance(instanceId)
    guard Posix.exists(directory.path) else { return InstanceInspection(condition: .absent) }
    guard runningInit(instanceId) != nil else {
      let status = Posix.text(directory.exitStatus).flatMap { Int($0.trimmed) }
      return InstanceInspection(condition: .stopped, exitStatus: status)
    }
    let cgroups = cgroups(of: instanceId)
    let memory = cgroups.memoryUsage.flatMap { Posix.text($0) }.flatMap { Int64($0.trimmed) }
    return InstanceInspection(condition: .running, cpuSeconds: cgroups.cpuSeconds(), memoryBytes: memory)
  }

  /// Ends the processes and removes what lies outside the instance's directory. Keeps the writable layer.
  func endNow(_ instanceId: String, grace: Double) throws {
    if let process = runningInit(instanceId) { try process.end(grace: grace) }
    try removeOutside(instanceId, cgroups(of: instanceId))
    unlink(layout.instance(instanceId).pidFile)
  }

  private func removeOutside(_ instanceId: String, _ cgroups: CgroupPlan) throws {
    unlink(layout.attachment(of: instanceId))
    let link = layout.link(of: instanceId)
    try Posix.check(rs_link_delete(link), "remove the link \(link)")
    if let address = storedHandle(instanceId)?.facts["address"].flatMap(IPv4Network.parse) {
      try Posix.check(rs_neighbour_delete(layout.bridge, address.bigEndian), "forget the address of \(instanceId)")
    }
    try CgroupPlan.remove(cgroups.directories)
  }
}
