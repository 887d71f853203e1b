import FoundationEssentials
import Logging
import RegionKit

/// What a starting agent does about commands that its predecessor left unfinished: it reports each once: as it ended when
/// that is known, else as failed. The official agent
/// reports only the newest one and lets the others run into the service's time limit.
struct RestartRecovery: Sendable {
  let tracking: Tracking
  let execution: CommandExecution
  let clock: any RegionClock
  let logger: Logger
  /// Older files are removed silently: the service has given up long since. Seconds.
  static let oldest: Double = 86_400

  /// The commands to report now; forgets the ones that are too old.
  func leftovers() -> [Tracking.Entry] {
    let now = clock.now().timeIntervalSince1970
    return tracking.entries().filter { entry in
      if now - Double(entry.modified) < Self.oldest { return true }
      tracking.end(entry.deploymentId, entry.hostCommandIdentifier)
      return false
    }
  }

  func report(_ entries: [Tracking.Entry]) async {
    for entry in entries {
      let known = execution.undelivered.outcome(entry.deploymentId, entry.hostCommandIdentifier)
      logger.warning(
        "deployment \(entry.deploymentId) was interrupted by a restart; \(known == nil ? "it failed" : "its outcome is known")")
      let command = HostCommand(
        identifier: entry.hostCommandIdentifier, hostIdentifier: execution.hostIdentifier, deploymentExecutionId: "", name: "")
      _ = await execution.complete(
        command, known ?? CommandExecution.Outcome(status: .failed, diagnostics: .afterRestart), logger,
        deployment: entry.deploymentId)
    }
  }
}
