import CInstance
import Glibc

/// The control group hierarchies of a machine: version 1, version 2, or both side by side.
struct CgroupTree: Sendable, Equatable {
  /// Version 1: controller to mount point.
  var v1: [String: String] = [:]
  /// Version 2: mount point, and the controllers it offers.
  var unified: String?
  var unifiedControllers: Set<String> = []

  init() {}

  /// Reads `/proc/self/mountinfo`; `controllers` answers the content of a version 2 mount's `cgroup.controllers`.
  init(mountinfo: String, controllers: (String) -> String?) {
    for line in mountinfo.split(separator: "\n") {
      let fields = line.split(separator: " ")
      guard let dash = fields.firstIndex(of: "-"), dash >= 6, fields.count > dash + 3 else { continue }
      let mount = String(fields[4])
      switch fields[dash + 1] {
      case "cgroup":
        for option in fields[dash + 3].split(separator: ",") where Self.known.contains(String(option)) {
          v1[String(option)] = v1[String(option)] ?? mount
        }
      case "cgroup2" where unified == nil:
        unified = mount
        let offered = controllers(mount + "/cgroup.controllers") ?? ""
        unifiedControllers = Set(offered.split(whereSeparator: \.isWhitespace).map(String.init))
      default: break
      }
    }
  }

  static let known: Set<String> = ["memory", "cpu", "cpuacct", "pids", "devices"]

  static func ofThisMachine() -> CgroupTree {
    CgroupTree(mountinfo: Posix.text("/proc/self/mountinfo") ?? "") { Posix.text($0) }
  }

  /// Where a controller is to be had: its version 1 mount, or nil for version 2.
  func offers(_ controller: String) -> Bool { v1[controller] != nil || unifiedControllers.contains(controller) }
}

/// What has to be made and written to put one instance into its groups. Pure, so that machines unlike this one can be tested.
struct CgroupPlan: Sendable, Equatable {
  enum Step: Sendable, Equatable {
    case directory(String)
    case write(String, String)
    /// A file that not every kernel has.
    case writeIfPresent(String, String)
    /// Join a version 1 group through its `tasks` file.
    case join(String)
  }
  /// Once per region.
  var preparation: [Step] = []
  /// Once per launch, in this order.
  var launch: [Step] = []
  /// The version 2 group that init is cloned into.
  var unified: String?
  /// The instance's directories, one per hierarchy.
  var directories: [String] = []
  /// The region's directories, which hold those.
  var parents: [String] = []
  /// Where to read CPU time: nanoseconds (v1), or `usage_usec` in a key-value file (v2).
  var cpuUsage: CPUUsage?
  var memoryUsage: String?

  enum CPUUsage: Sendable, Equatable {
    case nanoseconds(String)
    case statistics(String)
  }

  /// The devices a process inside may use: null, zero, full, random, urandom, tty, ptmx and its own terminals.
  static let devices = ["c 1:3", "c 1:5", "c 1:7", "c 1:8", "c 1:9", "c 5:0", "c 5:2", "c 136:*"]

  init(tree: CgroupTree, group: String, instanceId: String, memoryBytes: Int64, cpuMillis: Int, maxProcesses: Int) {
    for controller in ["memory", "cpu", "cpuacct", "pids", "devices"] {
      guard let mount = tree.v1[controller] else { continue }
      let parent = mount + "/" + group
      let own = parent + "/" + instanceId
      if !parents.contains(parent) {
        parents.append(parent)
        directories.append(own)
        preparation.append(.directory(parent))
        launch.append(.directory(own))
      }
      switch controller {
      case "memory":
        launch += [.write(own + "/memory.limit_in_bytes", String(memoryBytes)), .writeIfPresent(own + "/memory.swappiness", "0")]
        memoryUsage = own + "/memory.usage_in_bytes"
      case "cpu":
        launch += [
          .write(own + "/cpu.cfs_period_us", "100000"), .write(own + "/cpu.cfs_quota_us", String(max(1000, cpuMillis * 100))),
        ]
      case "cpuacct": cpuUsage = .nanoseconds(own + "/cpuacct.usage")
      case "pids": launch += [.write(own + "/pids.max", String(maxProcesses))]
      default:
        launch += [.write(own + "/devices.deny", "a")] + Self.devices.map { .write(own + "/devices.allow", $0 + " rwm") }
      }
    }
    launch += directories.map { .join($0 + "/tasks") }
    if let mount = tree.unified {
      planUnified(tree, mount: mount, group: group, instanceId: instanceId)
      guard let own = unified else { return }
      let offered = tree.unifiedControllers
      if offered.contains("memory") {
        launch += [.write(own + "/memory.max", String(memoryBytes)), .writeIfPresent(own + "/memory.swap.max", "0")]
        memoryUsage = own + "/memory.current"
      }
      if offered.contains("cpu") { launch.append(.write(own + "/cpu.max", "\(max(1000, cpuMillis * 100)) 100000")) }
      if offered.contains("pids") { launch.append(.write(own + "/pids.max", String(maxProcesses))) }
    }
  }

  private mutating func planUnified(_ tree: CgroupTree, mount: String, group: String, instanceId: String) {
    let parent = mount + "/" + group
    let own = parent + "/" + instanceId
    let enable = ["cpu", "memory", "pids"].filter(tree.unifiedControllers.contains).map { "+" + $0 }.joined(separator: " ")
    if !enable.isEmpty { preparation.append(.write(mount + "/cgroup.subtree_control", enable)) }
    preparation.append(.directory(parent))
    if !enable.isEmpty { preparation.append(.write(parent + "/cgroup.subtree_control", enable)) }
    launch.append(.directory(own))
    parents.append(parent)
    directories.append(own)
    unified = own
    if cpuUsage == nil { cpuUsage = .statistics(own + "/cpu.stat") }
  }
}

extension CgroupPlan {
  /// Does the once-per-region part.
  func prepare() throws {
    for step in preparation {
      switch step {
      case .directory(let path):
        if mkdir(path, 0o755) < 0 && errno != EEXIST { throw Posix.failure("make the control group \(path)", errno) }
      case .write(let path, let value):
        let result = Posix.set(path, value)
        if result == -EBUSY {
          throw DriverFailure.unsupported(
            "Cannot enable controllers in \(path): its group holds processes. In a container, start that with --cgroupns=host.")
        }
        try Posix.check(result, "write \(value) to \(path)")
      case .writeIfPresent, .join: break
      }
    }
  }

  /// Removes directories that nothing is in any more. A group may stay busy for a moment after its last process has ended.
  static func remove(_ directories: [String]) throws {
    for path in directories {
      var attempt = 0
      while rmdir(path) < 0 {
        if errno == ENOENT { break }
        attempt += 1
        guard errno == EBUSY, attempt < 200 else { throw Posix.failure("remove the control group \(path)", errno) }
        // The kernel tells nobody when a group has emptied; a blocking call on a thread of its own looks again.
        poll(nil, 0, 5)
      }
    }
  }

  func cpuSeconds() -> Double? {
    switch cpuUsage {
    case .nanoseconds(let path):
      return Posix.text(path).flatMap { Double($0.trimmed) }.map { $0 / 1e9 }
    case .statistics(let path):
      let line = Posix.text(path)?.split(separator: "\n").first { $0.hasPrefix("usage_usec ") }
      return line.flatMap { Double($0.dropFirst("usage_usec ".count)) }.map { $0 / 1e6 }
    case nil: return nil
    }
  }
}

extension StringProtocol {
  var trimmed: String {
    var part = self[...]
    while let last = part.last, last.isWhitespace { part = part.dropLast() }
    while let first = part.first, first.isWhitespace { part = part.dropFirst() }
    return String(part)
  }
}
