import Glibc
internal import Ports

/// Where the driver keeps what, below the region's home, and the names that objects outside it get from the home's path.
struct HomeLayout: Sendable {
  /// Absolute, without symbolic links.
  let home: String
  /// Twelve hexadecimal digits that tell this home's bridges, links and cgroups from those of other homes on the machine.
  let tag: String

  /// Creates the home when it is not there.
  init(home path: String) throws {
    try Posix.makeDirectories(path, mode: 0o700)
    guard let resolved = realpath(path, nil) else { throw Posix.failure("resolve the home directory \(path)", errno) }
    defer { free(resolved) }
    home = String(cString: resolved)
    // The kernel's overlay options are one text in which these separate values.
    if let bad = home.first(where: { ":,\\\"\n".contains($0) }) {
      throw DriverFailure.unsupported(
        "The home directory \(home) contains \(bad), which overlay mounts cannot take. Choose another --home.")
    }
    tag = HomeLayout.tag(of: home)
  }

  static func tag(of path: String) -> String {
    // FNV-1a, 64 bits: stable across runs, unlike Hasher.
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in path.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    let digits = String(hash, radix: 16)
    return String((String(repeating: "0", count: 16 - digits.count) + digits).suffix(12))
  }

  var instances: String { home + "/instances" }
  var images: String { home + "/images" }
  var networkFile: String { home + "/network.json" }
  var metadata: String { home + "/" + MetadataAttachment.directory }
  var bridge: String { "rs" + tag }
  var cgroup: String { "roadstead-" + tag }
  /// The host's end of an instance's link: 15 characters at most.
  func link(of instanceId: String) -> String { "rv" + HomeLayout.tag(of: home + "/" + instanceId) }
  func instance(_ instanceId: String) -> InstanceDirectory { InstanceDirectory(path: instances + "/" + instanceId) }
  func attachment(of instanceId: String) -> String { metadata + "/" + instanceId + ".attach" }
}

/// One instance's files.
struct InstanceDirectory: Sendable {
  let path: String
  var upper: String { path + "/upper" }
  var work: String { path + "/work" }
  var root: String { path + "/root" }
  var console: String { path + "/console.log" }
  var config: String { path + "/config" }
  var pidFile: String { path + "/init.pid" }
  var exitStatus: String { path + "/exit-status" }
  var handle: String { path + "/handle.json" }
}
