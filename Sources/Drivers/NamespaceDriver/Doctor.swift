import Glibc
internal import Ports

/// One line of `roadstead doctor`: what was looked at, whether it is as instances need it, and if not, what to type.
public struct DoctorProbe: Sendable, Equatable {
  public let name: String
  public let ok: Bool
  public let detail: String
  /// Nil when nothing is to be done.
  public let fix: String?
  /// False for what is good to know but stops nothing.
  public let required: Bool
  public init(name: String, ok: Bool, detail: String, fix: String? = nil, required: Bool = true) {
    self.name = name
    self.ok = ok
    self.detail = detail
    self.fix = fix
    self.required = required
  }
}

/// What `roadstead doctor` tells about instances on this machine.
public enum Doctor {
  /// `home`: where the region would keep its state; its file system's space is looked at.
  public static func probes(home: String) -> [DoctorProbe] {
    let machine = Machine.observe()
    return kernelProbes(machine) + [forwarding(), firewall(home: home), bridgeFilter(), space(home)] + surroundings()
  }

  static func kernelProbes(_ machine: Machine) -> [DoctorProbe] {
    func probe(_ name: String, _ problem: String?, _ detail: String) -> DoctorProbe {
      guard let problem else { return DoctorProbe(name: name, ok: true, detail: detail) }
      // Problems read "what is missing. What to do."
      let parts = problem.split(separator: ".", maxSplits: 1).map(\.trimmed)
      return DoctorProbe(name: name, ok: false, detail: parts[0], fix: parts.count > 1 ? parts[1] : nil)
    }
    let tree = machine.cgroups
    let kind =
      (tree.v1.isEmpty ? [] : ["v1: " + tree.v1.keys.sorted().joined(separator: ",")])
      + (tree.unified.map { _ in ["v2: " + tree.unifiedControllers.sorted().joined(separator: ",")] } ?? [])
    return [
      probe("root", machine.privilegeProblem, "root with the capabilities that instances take to start"),
      probe("overlay", machine.overlayProblem, "the kernel has overlayfs"),
      probe("namespaces", machine.namespaceProblem(Machine.neededNamespaces), Machine.neededNamespaces.joined(separator: ", ")),
      DoctorProbe(
        name: "user namespaces", ok: machine.userNamespaceProblem == nil,
        detail: machine.userNamespaceProblem.map { "instances share the host's user ids: " + $0 } ?? "each instance has its own user ids",
        required: false),
      probe("control groups", machine.controllerProblem(["memory", "cpu", "pids"]), kind.joined(separator: "; ")),
      probe("instance metadata", machine.metadataProblem, "the kernel can pass sockets between processes"),
    ]
  }

  private static func forwarding() -> DoctorProbe {
    let on = Posix.text("/proc/sys/net/ipv4/ip_forward")?.trimmed == "1"
    return DoctorProbe(
      name: "ip forwarding", ok: on,
      detail: on ? "on" : "off: instances reach the host and each other, not the internet",
      fix: on ? nil : "sysctl -w net.ipv4.ip_forward=1, and a MASQUERADE rule for the region's network, if they shall", required: false)
  }

  /// dockerd sets the FORWARD policy to DROP, and with br_netfilter that also drops frames between ports of other bridges.
  private static func firewall(home: String) -> DoctorProbe {
    let bridge = (try? HomeLayout(home: home))?.bridge ?? "rs+"
    guard let policy = forwardPolicy() else {
      return DoctorProbe(name: "firewall", ok: true, detail: "no iptables FORWARD policy to be seen", required: false)
    }
    let filtered = Posix.text("/proc/sys/net/bridge/bridge-nf-call-iptables")?.trimmed == "1"
    guard policy == "DROP", filtered else {
      return DoctorProbe(name: "firewall", ok: true, detail: "FORWARD policy \(policy)", required: false)
    }
    return DoctorProbe(
      name: "firewall", ok: false,
      detail: "the FORWARD policy is DROP and applies to bridges (dockerd sets it): instances cannot reach each other",
      fix: "iptables -I \(Posix.exists("/var/run/docker.sock") ? "DOCKER-USER" : "FORWARD") -i \(bridge) -o \(bridge) -j ACCEPT",
      required: false)
  }

  private static func bridgeFilter() -> DoctorProbe {
    let on = Posix.text("/proc/sys/net/bridge/bridge-nf-call-iptables")?.trimmed == "1"
    return DoctorProbe(
      name: "bridge filter", ok: true,
      detail: on ? "bridge-nf-call-iptables is 1: the host's firewall rules see frames between instances" : "off", required: false)
  }

  private static func forwardPolicy() -> String? {
    for tool in ["/usr/sbin/iptables", "/sbin/iptables", "/usr/bin/iptables"] where access(tool, X_OK) == 0 {
      guard let output = popen("\(tool) -S FORWARD 2>/dev/null", "r") else { continue }
      var line = [CChar](repeating: 0, count: 256)
      let got = fgets(&line, 256, output) != nil
      pclose(output)
      // `-P FORWARD DROP`
      let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      if got, text.hasPrefix("-P FORWARD ") { return text.dropFirst("-P FORWARD ".count).trimmed }
    }
    return nil
  }

  private static func space(_ home: String) -> DoctorProbe {
    var path = home
    while !Posix.exists(path), let slash = path.lastIndex(of: "/"), slash != path.startIndex { path = String(path[..<slash]) }
    var status = statvfs()
    guard statvfs(path, &status) == 0 else {
      return DoctorProbe(name: "disk space", ok: false, detail: "cannot look at \(path)", fix: "choose another --home")
    }
    let free = Int64(status.f_bavail) * Int64(status.f_frsize)
    let enough = free >= 2 << 30
    return DoctorProbe(
      name: "disk space", ok: enough, detail: "\(free >> 20) MiB free at \(path)",
      fix: enough ? nil : "the built-in image and a few instances take 2 GiB: free some, or choose another --home")
  }

  private static func surroundings() -> [DoctorProbe] {
    let systemd = Posix.exists("/run/systemd/system")
    let engines = [("docker", "/var/run/docker.sock"), ("podman", "/run/podman/podman.sock")].filter { Posix.exists($0.1) }.map(\.0)
    return [
      DoctorProbe(name: "systemd", ok: true, detail: systemd ? "runs this machine" : "does not run this machine", required: false),
      DoctorProbe(
        name: "container engines", ok: true, detail: engines.isEmpty ? "none running (none needed)" : engines.joined(separator: ", "),
        required: false),
    ]
  }
}
