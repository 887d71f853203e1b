import FoundationEssentials
import Logging
import RegionKit

/// Polls for commands and hands each to its own task. Commands of one deployment run one after the other, those of different
/// deployments side by side. A command that is delivered again while it runs is ignored; one that has been completed gets the same
/// completion again instead of a second run.
actor CommandLoop {
  private let execution: CommandExecution
  private let clock: any RegionClock
  private let randomness: any Randomness
  private let logger: Logger
  /// Seconds from the start of an idle poll to the next one.
  private let waitBetweenRuns: Double
  private var inFlight: [String: Task<Void, Never>] = [:]
  private var lastOfDeployment: [String: (command: String, task: Task<Void, Never>)] = [:]
  private var finished: [(id: String, outcome: CommandExecution.Outcome)] = []
  private var slotWaiter: CheckedContinuation<Void, Never>?
  static let mostInFlight = 16
  private static let remembered = 64

  init(
    execution: CommandExecution, clock: any RegionClock, randomness: any Randomness, waitBetweenRuns: Double, logger: Logger
  ) {
    self.execution = execution
    self.clock = clock
    self.randomness = randomness
    self.waitBetweenRuns = waitBetweenRuns
    self.logger = logger
  }

  /// Polls until the task is cancelled; with `once`, until a poll finds nothing.
  func poll(once: Bool) async {
    var backoff = PollBackoff()
    while !Task.isCancelled {
      await waitForSlot()
      let started = clock.now()
      var pause: Double = 0
      do {
        let command = try await execution.delivery.attempt(limit: 60, tries: 4) { [execution] in
          try await execution.service.pollHostCommand(hostIdentifier: execution.hostIdentifier)
        }
        if let command {
          try check(command)
          backoff.succeeded()
          if !dispatch(command) { pause = 1 }
        } else {
          backoff.succeeded()
          if once { return }
          // A server that held the poll is asked again at once; one that answers immediately, at the configured pace.
          pause = waitBetweenRuns - clock.now().timeIntervalSince(started)
        }
      } catch is CancellationError {
        return
      } catch {
        pause = backoff.failed(elapsed: clock.now().timeIntervalSince(started), randomness: randomness)
        logger.error("polling failed, next try in \(Int(pause)) s: \(CommandExecution.text(error))")
      }
      if pause > 0 {
        do { try await clock.sleepReal(pause) } catch { return }
      }
    }
  }

  /// Waits for the commands in progress.
  func drain() async {
    while let task = inFlight.values.first { await task.value }
  }

  private func check(_ command: HostCommand) throws {
    guard !command.hostIdentifier.isEmpty, execution.hostIdentifier.contains(command.hostIdentifier) else {
      throw AgentError("a command for \(command.hostIdentifier) came to \(execution.hostIdentifier); dropped")
    }
    guard !command.name.isEmpty, !command.identifier.isEmpty else { throw AgentError("a command without a name came; dropped") }
  }

  /// False when the command is already running.
  private func dispatch(_ command: HostCommand) -> Bool {
    if inFlight[command.identifier] != nil { return false }
    let before = lastOfDeployment[command.deploymentExecutionId]?.task
    let known = finished.first { $0.id == command.identifier }?.outcome
    let task = Task { [execution, logger] in
      await before?.value
      if let known {
        _ = await execution.complete(command, known, logger)
        self.ended(command, nil)
      } else {
        self.ended(command, await execution.carryOut(command))
      }
    }
    inFlight[command.identifier] = task
    lastOfDeployment[command.deploymentExecutionId] = (command.identifier, task)
    return true
  }

  private func ended(_ command: HostCommand, _ outcome: CommandExecution.Outcome?) {
    inFlight[command.identifier] = nil
    if lastOfDeployment[command.deploymentExecutionId]?.command == command.identifier {
      lastOfDeployment[command.deploymentExecutionId] = nil
    }
    if let outcome {
      finished.append((command.identifier, outcome))
      if finished.count > Self.remembered { finished.removeFirst() }
    }
    slotWaiter?.resume()
    slotWaiter = nil
  }

  private func waitForSlot() async {
    while inFlight.count >= Self.mostInFlight {
      await withCheckedContinuation { slotWaiter = $0 }
    }
  }
}
