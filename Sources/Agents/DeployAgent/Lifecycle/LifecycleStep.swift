import Dispatch
import Logging
import RegionKit

/// One thing the agent can be told to do. A new one is a file of its own and a line in `LifecycleSteps.all`.
protocol LifecycleStep: Sendable {
  /// The names of the commands it carries out.
  var commands: Set<String> { get }
  /// Whether the command would do nothing; told to the service with the acknowledgement. Must not throw and not change anything.
  func isNoop(_ context: StepContext) -> Bool
  /// Throws `ScriptFailure`, `AgentError` or whatever stopped it.
  func run(_ context: StepContext) async throws
}

enum LifecycleSteps {
  static let all: [any LifecycleStep] = [DownloadBundleStep(), InstallStep(), HookStep()]
  static func step(for command: String) -> (any LifecycleStep)? { all.first { $0.commands.contains(command) } }
}

/// What a step works with.
struct StepContext: Sendable {
  let command: String
  let specification: DeploymentSpecification
  let layout: DiskLayout
  let maxRevisions: Int
  let download: BundleDownload?
  let archiveLimits: ArchiveLimits
  let tools: SystemTools
  /// The agent's own environment.
  let environment: [String: String]
  let deploymentsLog: DeploymentsLog?
  let clock: any RegionClock
  let logger: Logger
  /// Seconds from SIGTERM to SIGKILL for a script that is late.
  let killGrace: Double

  var directory: DeploymentDirectory {
    DeploymentDirectory(path: layout.deploymentDirectory(specification.deploymentGroupId, specification.deploymentId))
  }
  var group: String { specification.deploymentGroupId }
}

/// Runs blocking work on a thread of its own kind, so that waiting for a script does not hold up the others.
func blocking<T: Sendable>(_ work: @escaping @Sendable () throws -> T) async throws -> T {
  try await withCheckedThrowingContinuation { continuation in
    DispatchQueue.global().async { continuation.resume(with: Result { try work() }) }
  }
}
