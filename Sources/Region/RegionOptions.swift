public import RegionKit

/// What `roadstead up` was told.
public struct RegionOptions: Sendable {
  /// The directory that holds everything the region keeps. Absolute.
  public var home: String
  /// Where listener (a), for people and tools, binds. Anything but a loopback address is served over TLS.
  public var bind: String
  /// 0 lets the system choose.
  public var port: Int
  /// The region that `env` prints; every other name works too.
  public var region: RegionName
  /// The first account's id.
  public var account: AccountID
  /// How many times faster region-side waits pass; at least 1.
  public var timeScale: Double
  /// Where base images are kept besides the home, so that several homes share one; nil: in the home only.
  public var imageCache: String?
  /// This executable, which planes, instances and agents run again.
  public var executable: String

  public init(
    home: String, bind: String = "127.0.0.1", port: Int = 4566, region: RegionName = RegionName("us-east-1"),
    account: AccountID = AccountID("123456789012"), timeScale: Double = 1, imageCache: String? = nil, executable: String
  ) {
    self.home = home
    self.bind = bind
    self.port = port
    self.region = region
    self.account = account
    self.timeScale = timeScale
    self.imageCache = imageCache
    self.executable = executable
  }

  /// What clients are pointed at when listener (a) has this port.
  func endpoint(port: Int) -> String { isLoopback ? "http://localhost:\(port)" : "https://\(hostName):\(port)" }

  /// A name, never an address, so that names below it can resolve: what was given to bind if that is one, else the machine's own.
  var hostName: String {
    if isLoopback { return "localhost" }
    return HostNames.isIPv4(bind) || bind.contains(":") ? HostNames.machine : bind
  }

  /// What the listener's certificate vouches for.
  var certificateNames: (names: [String], addresses: [String]) {
    let names = Set(["localhost", hostName, HostNames.machine])
    let bound = bind == "0.0.0.0" || bind == "::" ? HostNames.addresses : [bind].filter(HostNames.isIPv4)
    return (names.sorted(), Array(Set(bound + ["127.0.0.1"])).sorted())
  }

  public var isLoopback: Bool { bind == "localhost" || bind == "::1" || bind.hasPrefix("127.") }
}
