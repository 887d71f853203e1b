internal import Ports

/// The launcher's configuration: an ordered list of keys and values (see `Sources/C/CInstance/config.c`).
struct LaunchConfiguration: Sendable {
  private(set) var records: [(key: String, value: [UInt8])] = []

  mutating func add(_ key: String, _ value: String) { records.append((key, Array(value.utf8))) }
  mutating func add(file path: String, mode: UInt16, content: [UInt8]) {
    records.append(("file", Array("\(String(mode, radix: 8)) \(path)".utf8) + [0] + content))
  }
  func values(_ key: String) -> [String] { records.filter { $0.key == key }.map { String(decoding: $0.value, as: UTF8.self) } }

  /// `[u16 key size][key][u32 value size][value]` each, in this machine's byte order.
  var encoded: [UInt8] {
    var out: [UInt8] = []
    for (key, value) in records {
      withUnsafeBytes(of: UInt16(key.utf8.count)) { out.append(contentsOf: $0) }
      out.append(contentsOf: key.utf8)
      withUnsafeBytes(of: UInt32(value.count)) { out.append(contentsOf: $0) }
      out.append(contentsOf: value)
    }
    return out
  }
}

/// Turns a specification into what the launcher shall do. Pure.
struct LaunchPlan: Sendable {
  static let agentPath = "/opt/roadstead/bin/roadstead"

  var spec: InstanceSpec
  var layout: HomeLayout
  var network: IPv4Network
  var cgroups: CgroupPlan
  /// Directories of the image layers, lowest first.
  var layers: [String]
  var agentBinary: String?
  /// The instance gets a user namespace of its own.
  var shiftsIds: Bool
  /// The writable layer is new: this start gives it its name.
  var fresh: Bool

  var configuration: LaunchConfiguration {
    var out = LaunchConfiguration()
    let directory = layout.instance(spec.instanceId)
    out.add("directory", directory.path)
    out.add("pid-file", directory.pidFile)
    out.add("hostname", spec.hostname)
    out.add("root", directory.root)
    if shiftsIds { out.add("first-id", String(firstId)) }
    for layer in layers { out.add("lower", layer) }
    out.add("upper", directory.upper)
    out.add("work", directory.work)
    out.add("shm-size", String(max(1 << 20, spec.memoryBytes / 2)))
    out.add("bridge", layout.bridge)
    out.add("veth", layout.link(of: spec.instanceId))
    out.add("mac", InstanceAddressing.hardwareAddress(privateIP: spec.privateIP) ?? "")
    out.add("address", spec.privateIP)
    out.add("prefix", String(network.prefix))
    out.add("gateway", IPv4Network.text(network.gateway))
    addControlGroups(to: &out)
    if let agentBinary { out.add("bind", agentBinary + "\n" + Self.agentPath) }
    addFiles(to: &out)
    for word in spec.agentCommand { out.add("agent", word) }
    return out
  }

  /// The host's user and group id of the instance's root: one of 32768 ranges of 65536 ids above those that hosts give to people and
  /// containers.
  var firstId: UInt32 {
    let slot = (UInt64(layout.link(of: spec.instanceId).dropFirst(2), radix: 16) ?? 0) % 32768
    return 1_000_000_000 + UInt32(slot) * 65536
  }

  private func addControlGroups(to out: inout LaunchConfiguration) {
    for step in cgroups.launch {
      switch step {
      case .directory(let path): out.add("cgroup-dir", path)
      case .write(let path, let value): out.add("cgroup-write", path + "\n" + value)
      case .writeIfPresent(let path, let value): out.add("cgroup-try", path + "\n" + value)
      case .join(let path): out.add("cgroup-tasks", path)
      }
    }
    if let unified = cgroups.unified { out.add("cgroup-unified", unified) }
  }

  private func addFiles(to out: inout LaunchConfiguration) {
    if fresh {
      let short = spec.hostname.split(separator: ".").first.map(String.init) ?? spec.hostname
      let names = short == spec.hostname ? short : "\(spec.hostname) \(short)"
      out.add(file: "/etc/hostname", mode: 0o644, content: Array("\(short)\n".utf8))
      out.add(
        file: "/etc/hosts", mode: 0o644,
        content: Array("127.0.0.1 localhost\n::1 localhost ip6-localhost\n\(spec.privateIP) \(names)\n".utf8))
      out.add(
        file: "/etc/resolv.conf", mode: 0o644,
        content: Array("nameserver \(IPv4Network.text(network.gateway))\noptions timeout:1 attempts:1\n".utf8))
    }
    if !spec.userData.isEmpty {
      // Where cloud-init keeps them.
      let directory = "/var/lib/cloud/instances/\(spec.instanceId)"
      out.add(file: directory + "/user-data.txt", mode: 0o700, content: spec.userData)
      out.add("user-data", directory + "/user-data.txt")
      out.add("user-data-marker", directory + "/user-data.ran")
    }
    for file in spec.files { out.add(file: file.path, mode: file.mode, content: file.content) }
  }
}

/// What a specification must keep to, whoever made it: its values become paths, interface settings and command lines.
enum SpecRules {
  static func isInstanceId(_ text: String) -> Bool {
    (1...64).contains(text.utf8.count)
      && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x7a).contains($0) || (0x41...0x5a).contains($0) || $0 == 0x2d }
  }

  /// The first rule that is broken, in words.
  static func violation(_ spec: InstanceSpec, network: IPv4Network) -> String? {
    if !isInstanceId(spec.instanceId) { return "The instance id \(spec.instanceId) has characters other than letters, digits and -." }
    let hostname = spec.hostname.utf8
    if !(1...64).contains(hostname.count) || hostname.contains(where: { $0 <= 0x20 || $0 >= 0x7f || $0 == 0x2f }) {
      return "The host name must have 1 to 64 printable characters."
    }
    guard let address = IPv4Network.parse(spec.privateIP), network.contains(address) else {
      return "The address \(spec.privateIP) is not in the region's network \(network)."
    }
    if address <= network.gateway || address == network.last { return "The address \(spec.privateIP) is reserved in \(network)." }
    if spec.memoryBytes < 8 << 20 { return "An instance needs at least 8 MiB of memory." }
    if spec.maxProcesses < 4 { return "An instance needs at least 4 processes." }
    if spec.layers.isEmpty { return "The image has no layers." }
    for file in spec.files {
      let parts = file.path.split(separator: "/")
      if !file.path.hasPrefix("/") || parts.isEmpty || parts.contains("..") || file.path.utf8.contains(0) {
        return "The file path \(file.path) is not an absolute path without `..`."
      }
    }
    if spec.agentCommand.first.map({ !$0.hasPrefix("/") }) ?? false { return "The agent command needs an absolute path." }
    return nil
  }
}
