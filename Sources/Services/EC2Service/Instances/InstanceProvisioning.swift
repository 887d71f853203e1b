public import Ports
public import RegionKit

/// What the region puts into every instance it launches: the agent, its configuration, the region's CA.
public protocol InstanceProvisioning: Sendable {
  func setup(instanceId: String, scope: Scope) async throws -> InstanceSetup
}

public struct InstanceSetup: Sendable {
  public var files: [InstanceFile]
  /// Kept running by the instance's init; empty: none.
  public var agentCommand: [String]
  public init(files: [InstanceFile], agentCommand: [String]) {
    self.files = files
    self.agentCommand = agentCommand
  }
}
