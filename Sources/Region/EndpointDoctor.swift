import Glibc
public import NamespaceDriver
import RegionKit

/// What `doctor` says of names and ports.
public enum EndpointDoctor {
  public static func probes(home: String) -> [DoctorProbe] {
    let access = try? RegionHome(home).access()
    let host = access.flatMap { hostName(of: $0.endpoint) } ?? "localhost"
    return [resolution(of: "x.\(host)"), port(access)]
  }

  /// S3's virtual-host style and S3 Control put a label in front of the endpoint's name.
  static func resolution(of name: String) -> DoctorProbe {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    let status = getaddrinfo(name, nil, &hints, &found)
    if let found { freeaddrinfo(found) }
    return DoctorProbe(
      name: "name resolution", ok: status == 0,
      detail: status == 0 ? "\(name) resolves" : "\(name) does not resolve: \(String(cString: gai_strerror(status)))",
      fix: status == 0
        ? nil
        : "apt-get install libnss-myhostname (then *.localhost resolves), or use path-style S3 addresses, the default of every client here",
      required: false)
  }

  static func port(_ access: RegionHome.Access?) -> DoctorProbe {
    guard access == nil else { return DoctorProbe(name: "endpoint", ok: true, detail: access?.endpoint ?? "") }
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(4566).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let status = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
    return DoctorProbe(
      name: "port 4566", ok: status == 0, detail: status == 0 ? "free" : "taken by another program",
      fix: status == 0 ? nil : "start with --port N, or end the program that listens there (`ss -ltnp 'sport = :4566'`)", required: false)
  }

  static func hostName(of url: String) -> String? {
    guard let start = url.firstRange(of: "://") else { return nil }
    return url[start.upperBound...].split(whereSeparator: { $0 == ":" || $0 == "/" }).first.map(String.init)
  }
}
