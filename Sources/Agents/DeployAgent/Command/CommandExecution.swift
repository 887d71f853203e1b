import Logging
import RegionKit

/// Carries one command out: specification, acknowledgement, work, completion.
struct CommandExecution: Sendable {
  let service: any CommandService
  let hostIdentifier: String
  let opener: EnvelopeOpener
  let allowLocal: Bool
  let settings: StepSettings
  let tracking: Tracking
  let undelivered: Undelivered
  let delivery: Delivery
  let logger: Logger

  /// Real seconds during which a lost specification or acknowledgement is asked for again.
  static let prefaceLimit: Double = 300
  /// And a completion: long enough to outlive a region's restart.
  static let completionLimit: Double = 3600

  struct Outcome: Sendable {
    var status: CommandStatus
    var diagnostics: Diagnostics
  }

  /// Answers what was reported; nil when the command was dropped as the service wished or never became known.
  func carryOut(_ command: HostCommand) async -> Outcome? {
    var logger = logger
    logger[metadataKey: "command"] = "\(command.name)"
    let specification: DeploymentSpecification
    do {
      specification = try await self.specification(command)
    } catch is CancellationError {
      return nil
    } catch {
      logger.error("the deployment specification of \(command.deploymentExecutionId) is refused: \(Self.text(error))")
      return await complete(command, Self.failed(error), logger)
    }
    logger[metadataKey: "deployment"] = "\(specification.deploymentId)"
    let step = LifecycleSteps.step(for: command.name)
    let context = settings.context(command: command.name, specification: specification, logger: logger)
    let isNoop = step?.isNoop(context) ?? true
    let answer: CommandStatus?
    do {
      answer = try await delivery.attempt(limit: Self.prefaceLimit) {
        try await service.putHostCommandAcknowledgement(identifier: command.identifier, isNoop: isNoop)
      }
    } catch {
      logger.error("the acknowledgement was not taken, the command is left to the service: \(Self.text(error))")
      return nil
    }
    switch answer {
    case .succeeded: return nil
    case .failed:
      return isNoop ? await complete(command, Outcome(status: .succeeded, diagnostics: .completedNoop), logger) : nil
    case .pending, .inProgress, nil: break
    }
    return await work(command, step, context, logger)
  }

  private func work(
    _ command: HostCommand, _ step: (any LifecycleStep)?, _ context: StepContext, _ logger: Logger
  ) async -> Outcome? {
    let id = context.specification.deploymentId
    let outcome: Outcome
    do {
      try tracking.begin(id, command.identifier)
      guard let step else { throw AgentError("Unsupported command type: \(command.name).") }
      logger.info("begins")
      try await step.run(context)
      logger.info("succeeded")
      outcome = Outcome(status: .succeeded, diagnostics: .succeeded)
    } catch {
      logger.error("failed: \(Self.text(error))")
      outcome = Self.failed(error)
    }
    return await complete(command, outcome, logger, deployment: id)
  }

  /// Tells the outcome. With `deployment`, its tracking file goes only when the service has heard it or never wants to, and an outcome
  /// that does not get through at once is kept on disk for the next agent.
  func complete(
    _ command: HostCommand, _ outcome: Outcome, _ logger: Logger, deployment: String? = nil
  ) async -> Outcome {
    func tell(tries: Int) async throws {
      try await delivery.attempt(limit: Self.completionLimit, tries: tries) {
        try await service.putHostCommandComplete(
          identifier: command.identifier, status: outcome.status, diagnostics: outcome.diagnostics)
      }
    }
    func settled() {
      guard let deployment else { return }
      tracking.end(deployment, command.identifier)
      undelivered.forget(deployment)
    }
    do {
      do { try await tell(tries: 1) } catch let refusal as ServiceFailure where !refusal.isTransient { throw refusal } catch {
        if let deployment { try undelivered.keep(deployment, command.identifier, outcome) }
        try await tell(tries: .max)
      }
      settled()
    } catch let refusal as ServiceFailure where !refusal.isTransient {
      logger.error("the service refused the completion: \(refusal)")
      settled()
    } catch {
      logger.error("the completion could not be delivered: \(Self.text(error))")
    }
    return outcome
  }

  private func specification(_ command: HostCommand) async throws -> DeploymentSpecification {
    let answer = try await delivery.attempt(limit: Self.prefaceLimit) {
      try await service.getDeploymentSpecification(executionId: command.deploymentExecutionId, hostIdentifier: hostIdentifier)
    }
    guard answer.system == "CodeDeploy" else {
      throw AgentError("Deployment System mismatch: CodeDeploy != \(answer.system ?? "")")
    }
    return try DeploymentSpecification.parse(await opener.open(answer.envelope), allowLocal: allowLocal)
  }

  static func failed(_ error: any Error) -> Outcome {
    if let failure = error as? ScriptFailure { return Outcome(status: .failed, diagnostics: Diagnostics(failure)) }
    return Outcome(status: .failed, diagnostics: Diagnostics(code: .unknown, message: text(error)))
  }

  static func text(_ error: any Error) -> String {
    switch error {
    case let failure as ScriptFailure: failure.message
    case let failure as ServiceFailure: failure.message.isEmpty ? failure.description : failure.message
    case let error as AgentError: error.message
    default: "\(error)"
    }
  }
}

/// What every step's context has in common.
struct StepSettings: Sendable {
  let layout: DiskLayout
  let maxRevisions: Int
  let download: BundleDownload?
  var archiveLimits = ArchiveLimits()
  var tools = SystemTools()
  let environment: [String: String]
  let deploymentsLog: DeploymentsLog?
  let clock: any RegionClock
  var killGrace: Double = 5

  func context(command: String, specification: DeploymentSpecification, logger: Logger) -> StepContext {
    StepContext(
      command: command, specification: specification, layout: layout, maxRevisions: maxRevisions, download: download,
      archiveLimits: archiveLimits, tools: tools, environment: environment, deploymentsLog: deploymentsLog, clock: clock,
      logger: logger, killGrace: killGrace)
  }
}
