import FoundationEssentials
import Glibc
internal import Ports

/// What this machine offers to instances, as observed. Pure from here on, so that other machines can be described in tests.
struct Machine: Sendable {
  var isRoot = false
  /// The effective capability set, from `/proc/self/status`.
  var capabilitySet: UInt64 = 0
  var hasOverlay = false
  var namespaces: Set<String> = []
  var cgroups = CgroupTree()
  /// Whether the region may make groups there.
  var cgroupsWritable = true
  /// `major.minor` as major * 1000 + minor.
  var kernel = 0
  var architecture = ""
  /// Mount points below /proc and /sys that hide part of them, as container engines make them.
  var hiddenKernelPaths: [String] = []

  static let neededNamespaces = ["mnt", "pid", "uts", "ipc", "net", "cgroup"]

  static func observe() -> Machine {
    var machine = Machine()
    machine.isRoot = geteuid() == 0
    let status = Posix.text("/proc/self/status") ?? ""
    if let line = status.split(separator: "\n").first(where: { $0.hasPrefix("CapEff:") }) {
      machine.capabilitySet = UInt64(line.dropFirst(7).trimmed, radix: 16) ?? 0
    }
    machine.hasOverlay = (Posix.text("/proc/filesystems") ?? "").split(whereSeparator: \.isWhitespace).contains("overlay")
    machine.namespaces = Set(Posix.names(in: "/proc/self/ns"))
    machine.cgroups = .ofThisMachine()
    let mounts = Set(machine.cgroups.v1.values).union(machine.cgroups.unified.map { [$0] } ?? [])
    machine.cgroupsWritable = mounts.allSatisfy { access($0, W_OK) == 0 }
    machine.hiddenKernelPaths = hiddenPaths(mountinfo: Posix.text("/proc/self/mountinfo") ?? "")
    var name = utsname()
    uname(&name)
    machine.kernel = kernelNumber(cText(&name.release))
    machine.architecture = cText(&name.machine)
    return machine
  }

  static func kernelNumber(_ release: String) -> Int {
    let parts = release.split(whereSeparator: { !$0.isNumber }).compactMap { Int($0) }
    return parts.count > 1 ? parts[0] * 1000 + parts[1] : 0
  }

  private static func cText<Tuple>(_ tuple: inout Tuple) -> String {
    withUnsafeBytes(of: &tuple) { bytes in String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
  }

  private static let sysAdmin = 21
  private static let netAdmin = 12
  private static let mknod = 27
  private func holds(_ capability: Int) -> Bool { capabilitySet >> UInt64(capability) & 1 == 1 }

  /// Why root, and the capabilities that go with it, is missing; nil when it is not.
  var privilegeProblem: String? {
    if !isRoot { return "roadstead does not run as root. Start it with sudo." }
    if !holds(Self.sysAdmin) {
      return "the process lacks CAP_SYS_ADMIN. In a container, start that with --privileged or --cap-add SYS_ADMIN."
    }
    if !holds(Self.netAdmin) { return "the process lacks CAP_NET_ADMIN. In a container, start that with --cap-add NET_ADMIN." }
    if !holds(Self.mknod) { return "the process lacks CAP_MKNOD. In a container, start that with --cap-add MKNOD." }
    return nil
  }

  var overlayProblem: String? {
    hasOverlay ? nil : "the kernel offers no overlay file system. Run `modprobe overlay`."
  }

  func namespaceProblem(_ names: [String]) -> String? {
    let missing = names.filter { !namespaces.contains($0) }
    return missing.isEmpty
      ? nil : "the kernel offers no \(missing.joined(separator: ", ")) namespaces. Use a kernel that has them (all distributions' do)."
  }

  func controllerProblem(_ names: [String]) -> String? {
    let missing = names.filter { !cgroups.offers($0) }
    if !missing.isEmpty {
      return "no control group hierarchy offers \(missing.joined(separator: ", ")). Mount cgroup2, or boot with "
        + "cgroup_enable=\(missing.joined(separator: ","))."
    }
    return cgroupsWritable ? nil : "the control groups are mounted read-only. In a container, start that with --privileged."
  }

  var metadataProblem: String? {
    kernel >= 5009
      ? nil : "the kernel is older than 5.9 and has no socket look-up programs, which 169.254.169.254:80 takes. Use a newer one."
  }

  /// A user namespace may mount /proc and /sys only where the whole of them can be seen already. Mounts on directories that are empty
  /// by nature hide nothing.
  static func hiddenPaths(mountinfo: String) -> [String] {
    let empty = [
      "/proc/sys/fs/binfmt_misc", "/proc/fs/nfsd", "/sys/fs/", "/sys/kernel/debug", "/sys/kernel/tracing", "/sys/kernel/security",
      "/sys/kernel/config", "/sys/firmware/efi/efivars",
    ]
    return mountinfo.split(separator: "\n").compactMap { line in
      let fields = line.split(separator: " ")
      guard fields.count > 4 else { return nil }
      let mount = String(fields[4])
      guard mount.hasPrefix("/proc/") || mount.hasPrefix("/sys/"), !empty.contains(where: mount.hasPrefix) else { return nil }
      return mount
    }
  }

  /// Why instances get no user namespace of their own here; nil when they do. They run without one too, with the same capability list
  /// and filter.
  var userNamespaceProblem: String? {
    if let problem = namespaceProblem(["user"]) { return problem }
    if kernel < 5019 { return "the kernel is older than 5.19 and cannot shift the ids of overlay layers. Use a newer one." }
    if let path = hiddenKernelPaths.first {
      return "\(path) is mounted over, so a user namespace may not mount its own. In a container, start that with --privileged "
        + "--security-opt systempaths=unconfined."
    }
    return nil
  }

  /// What a launch will find.
  var capabilities: DriverCapabilities {
    var missing: [DriverCapabilities.Capability: String] = [:]
    let privilege = privilegeProblem
    func note(_ capability: DriverCapabilities.Capability, _ problem: String?) {
      if let reason = privilege ?? problem { missing[capability] = reason }
    }
    note(.ownRoot, overlayProblem ?? namespaceProblem(["mnt"]))
    note(.ownAddress, namespaceProblem(["net"]))
    note(.ownProcessTree, namespaceProblem(["pid", "uts", "ipc", "cgroup"]))
    note(.memoryLimit, controllerProblem(["memory"]))
    note(.cpuLimit, controllerProblem(["cpu"]))
    note(.pidsLimit, controllerProblem(["pids"]))
    note(.metadata, metadataProblem)
    note(.recover, nil)
    missing[.snapshot] = "the namespace driver does not make images of instances yet."
    note(.userNamespace, userNamespaceProblem)
    return DriverCapabilities(
      available: Set(DriverCapabilities.Capability.allCases.filter { missing[$0] == nil }), missing: missing)
  }
}
