/// The lifecycle events of a host, in AWS's order, and who carries each out.
enum LifecycleOrder {
  /// In place, without a load balancer.
  static let plain = [
    "ApplicationStop", "DownloadBundle", "BeforeInstall", "Install", "AfterInstall", "ApplicationStart", "ValidateService",
  ]
  static let blockTraffic = ["BeforeBlockTraffic", "BlockTraffic", "AfterBlockTraffic"]
  static let allowTraffic = ["BeforeAllowTraffic", "AllowTraffic", "AfterAllowTraffic"]

  /// In place; `trafficControl`: the group names load balancers.
  static func inPlace(trafficControl: Bool) -> [String] {
    trafficControl ? blockTraffic + plain + allowTraffic : plain
  }

  /// Events that the region itself carries out. An agent refuses them as commands.
  static func isServerSide(_ event: String) -> Bool { event == "BlockTraffic" || event == "AllowTraffic" }

  /// Events that run from the previous revision; `ignoreApplicationStopFailures` covers exactly these.
  static func runsPreviousRevision(_ event: String) -> Bool {
    event == "ApplicationStop" || event == "BeforeBlockTraffic" || event == "AfterBlockTraffic"
  }
}
