public import Logging
public import RegionKit

/// Carries out single commands on this host without any service: for tests, and for trying a revision out. Takes unsigned
/// specifications and revisions on the local disk.
public struct LocalRun: Sendable {
  private let settings: StepSettings
  private let logger: Logger

  /// `environment`: what scripts inherit. `archiveLimits`: how much a bundle may unpack to. `killGrace`: seconds from SIGTERM to
  /// SIGKILL.
  public init(
    rootDir: String, maxRevisions: Int = 5, environment: [String: String] = [:], archiveLimits: ArchiveLimits = ArchiveLimits(),
    tools: SystemTools = SystemTools(), killGrace: Double = 5, clock: any RegionClock, logger: Logger
  ) {
    let layout = DiskLayout(root: rootDir)
    settings = StepSettings(
      layout: layout, maxRevisions: maxRevisions, download: nil, archiveLimits: archiveLimits, tools: tools,
      environment: environment, deploymentsLog: DeploymentsLog(path: layout.deploymentsLog), clock: clock, killGrace: killGrace)
    self.logger = logger
  }

  /// Runs one lifecycle event and answers what the service would have been told.
  public func run(_ command: String, specification json: [UInt8]) async -> Diagnostics {
    do {
      let specification = try DeploymentSpecification.parse(json, allowLocal: true)
      guard let step = LifecycleSteps.step(for: command) else { throw AgentError("Unsupported command type: \(command).") }
      try await step.run(settings.context(command: command, specification: specification, logger: logger))
      return .succeeded
    } catch {
      return CommandExecution.failed(error).diagnostics
    }
  }

  /// Whether the event would do nothing. Throws `AgentError` for a specification that is refused.
  public func isNoop(_ command: String, specification json: [UInt8]) throws -> Bool {
    let specification = try DeploymentSpecification.parse(json, allowLocal: true)
    return LifecycleSteps.step(for: command)?.isNoop(
      settings.context(command: command, specification: specification, logger: logger)) ?? true
  }
}
