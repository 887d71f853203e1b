import Glibc

extension NamespaceDriver {
  /// Stops every instance of a home and removes its links, bridge and control groups. Writable layers, images and the subnet stay,
  /// so the next `up` finds everything. Needs no running region: `roadstead down --home DIR` calls it after a crash.
  public static func teardown(home: String, grace: Double = 10) async throws {
    guard Posix.exists(home) else { return }
    let driver = try NamespaceDriver(home: home, launcherPath: "", agentBinary: nil)
    try await driver.teardown(grace: grace)
  }

  /// The same for this driver's home.
  public func teardown(grace: Double = 10) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for id in try await list() {
        group.addTask {
          try await self.gate.exclusively(id) { try await Blocking.run { try self.endNow(id, grace: grace) } }
        }
      }
      try await group.waitForAll()
    }
    try await Blocking.run {
      if geteuid() == 0 { try RegionNetwork(layout: self.layout).remove() }
      try CgroupPlan.remove(self.cgroups(of: "none").parents)
    }
  }
}
