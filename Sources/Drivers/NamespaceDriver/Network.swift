import CInstance
import FoundationEssentials
import Glibc
internal import Ports

/// An IPv4 network or address block.
struct IPv4Network: Sendable, Equatable, CustomStringConvertible {
  let address: UInt32
  let prefix: Int

  init(address: UInt32, prefix: Int) {
    self.prefix = prefix
    self.address = address & Self.mask(prefix)
  }
  init?(_ text: String) {
    let parts = text.split(separator: "/")
    guard parts.count == 2, let address = Self.parse(String(parts[0])), let prefix = Int(parts[1]), (0...32).contains(prefix) else {
      return nil
    }
    self.init(address: address, prefix: prefix)
  }

  static func mask(_ prefix: Int) -> UInt32 { prefix == 0 ? 0 : ~UInt32(0) << UInt32(32 - prefix) }

  static func parse(_ text: String) -> UInt32? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
    guard parts.count == 4 else { return nil }
    return parts.reduce(UInt32(0) as UInt32?) { sum, part in sum.flatMap { s in part.map { s << 8 | UInt32($0) } } }
  }
  static func text(_ address: UInt32) -> String { [24, 16, 8, 0].map { String(address >> $0 & 255) }.joined(separator: ".") }

  var description: String { "\(Self.text(address))/\(prefix)" }
  var gateway: UInt32 { address + 1 }
  var last: UInt32 { address | ~Self.mask(prefix) }
  func contains(_ other: UInt32) -> Bool { other & Self.mask(prefix) == address }
  func overlaps(_ other: IPv4Network) -> Bool {
    let shorter = min(prefix, other.prefix)
    return address & Self.mask(shorter) == other.address & Self.mask(shorter)
  }
}

/// A route of the host: where to, through which interface.
struct HostRoute: Sendable, Equatable {
  let network: IPv4Network
  let interface: String

  /// Reads `/proc/net/route`; the default route is left out, since it overlaps everything.
  static func parse(_ table: String) -> [HostRoute] {
    table.split(separator: "\n").dropFirst().compactMap { line in
      let fields = line.split(whereSeparator: \.isWhitespace)
      guard fields.count > 7, let destination = UInt32(fields[1], radix: 16), let mask = UInt32(fields[7], radix: 16), mask != 0 else {
        return nil
      }
      return HostRoute(
        network: IPv4Network(address: destination.byteSwapped, prefix: mask.nonzeroBitCount), interface: String(fields[0]))
    }
  }
}

enum SubnetPlanner {
  /// EC2's default VPC first, then the rest of 172.16/12 downwards, then 10/8.
  static let candidates: [IPv4Network] =
    (16...31).reversed().map { IPv4Network(address: 172 << 24 | $0 << 16, prefix: 16) }
    + (0...255).reversed().map { IPv4Network(address: 10 << 24 | $0 << 16, prefix: 16) }

  /// The first that no route leads into.
  static func pick(routes: [HostRoute]) -> IPv4Network? {
    candidates.first { candidate in !routes.contains { $0.network.overlaps(candidate) } }
  }
}

/// The region's bridge and the subnet behind it, remembered in the home.
struct RegionNetwork: Sendable {
  struct Stored: Codable {
    var cidr: String
    var bridge: String
  }
  let layout: HomeLayout

  func remembered() -> IPv4Network? {
    guard let bytes = Posix.read(layout.networkFile) else { return nil }
    return (try? JSONDecoder().decode(Stored.self, from: Data(bytes))).flatMap { IPv4Network($0.cidr) }
  }

  /// Makes the bridge; picks a subnet at first use. Two regions that start at the same moment do not pick the same one.
  func prepare() throws -> IPv4Network {
    let lock = rs_lock_file("/run/roadstead-network.lock", 1)
    try Posix.check(lock, "lock /run/roadstead-network.lock")
    defer { close(lock) }
    let routes = HostRoute.parse(Posix.text("/proc/net/route") ?? "").filter { $0.interface != layout.bridge }
    let network: IPv4Network
    if let stored = remembered() {
      if let other = routes.first(where: { $0.network.overlaps(stored) }) {
        throw DriverFailure.unsupported(
          "This region's network \(stored) overlaps \(other.network), which the host reaches through \(other.interface). Stop what "
            + "uses that network, or start the region with another --home.")
      }
      network = stored
    } else {
      guard let free = SubnetPlanner.pick(routes: routes) else {
        throw DriverFailure.unsupported("Every private /16 in 172.16.0.0/12 and 10.0.0.0/8 has a route on this host already.")
      }
      network = free
      let json = try JSONEncoder().encode(Stored(cidr: free.description, bridge: layout.bridge))
      try Posix.write(Array(json), to: layout.networkFile, mode: 0o600)
    }
    let digits = Array(layout.tag.utf8)
    let mac: [UInt8] =
      [0x0e]
      + (0..<5).map { i in UInt8(String(decoding: digits[(i * 2)..<(i * 2 + 2)], as: UTF8.self), radix: 16) ?? 0 }
    try Posix.check(
      rs_bridge_ensure(layout.bridge, mac, network.gateway.bigEndian, Int32(network.prefix)), "make the bridge \(layout.bridge)")
    return network
  }

  /// Removes the bridge and every link that still hangs on it.
  func remove() throws {
    for link in Posix.names(in: "/sys/class/net/\(layout.bridge)/brif") where link.hasPrefix("rv") {
      try Posix.check(rs_link_delete(link), "remove the link \(link)")
    }
    try Posix.check(rs_link_delete(layout.bridge), "remove the bridge \(layout.bridge)")
  }
}
