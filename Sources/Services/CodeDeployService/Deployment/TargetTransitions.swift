import FoundationEssentials

/// The answer to an acknowledgement.
enum AcknowledgementAnswer: Hashable, Sendable {
  /// Carry the command out.
  case execute
  /// Somebody else has it, or it is over: forget it.
  case drop
}

/// The legal moves of a target. Each names the phase it leaves and does nothing in any other, so a report that comes late, twice or
/// from an agent that lost its turn changes nothing.
extension TargetRecord {
  /// waiting → running: the first event's work is due now.
  mutating func start(now: Date) {
    guard case .waiting = phase else { return }
    phase = .running(Run(position: 0, due: now))
    updated = now
  }

  /// waiting → ended: the deployment does not reach this host.
  mutating func skip(_ cause: Ending.Cause = .skipped, now: Date) {
    guard case .waiting = phase else { return }
    skipRest(from: 0)
    end(.skipped, cause, now)
  }

  /// waiting → ended: the host was not running when the deployment began.
  mutating func markDown(_ message: String, now: Date) {
    guard case .waiting = phase, !events.isEmpty else { return }
    events[0].status = .failed
    events[0].end = now
    events[0].diagnostics = EventDiagnostics(errorCode: "UnknownError", scriptName: "", message: message, logTail: "")
    skipRest(from: 1)
    end(.failed, .hostDown, now)
  }

  /// running → running: the first acknowledgement of the current command takes it; the same one may come again (a lost answer);
  /// another delivery of the same command is told to forget it, which is what keeps an event from running twice.
  mutating func acknowledge(position: Int, delivery: String, now: Date) -> AcknowledgementAnswer {
    guard case .running(var run) = phase, run.position == position else { return .drop }
    if let taken = run.acknowledgement { return taken.delivery == delivery ? .execute : .drop }
    run.acknowledgement = Acknowledgement(delivery: delivery, time: now)
    phase = .running(run)
    events[position].status = .inProgress
    events[position].start = now
    updated = now
    return .execute
  }

  /// running → running (next event) or ended. The first report of the current command counts; answers whether this one did.
  /// A report without an acknowledgement is taken (an agent that fails to read its orders sends just that), unless another delivery
  /// of the command was acknowledged.
  mutating func report(
    position: Int, delivery: String, succeeded: Bool, diagnostics: EventDiagnostics, now: Date
  ) -> Bool {
    guard case .running(let run) = phase, run.position == position else { return false }
    if let taken = run.acknowledgement, taken.delivery != delivery { return false }
    conclude(run, succeeded: succeeded, diagnostics: diagnostics, cause: .failedEvent, now: now)
    return true
  }

  /// running → running or ended: the current event failed without a report.
  mutating func fail(_ message: String, cause: Ending.Cause, now: Date) {
    guard case .running(let run) = phase else { return }
    let diagnostics = EventDiagnostics(errorCode: "UnknownError", scriptName: "", message: message, logTail: "")
    // An agent that is gone would not do the next event either, so `ignoreApplicationStopFailures` does not apply.
    failTarget(run, diagnostics, cause, now)
  }

  /// running → running (last event) or ended: an acknowledged command may finish; one that nobody has taken is withdrawn.
  mutating func halt(now: Date) {
    guard case .running(var run) = phase, !run.halting else { return }
    if run.acknowledgement != nil {
      run.halting = true
      phase = .running(run)
    } else {
      skipRest(from: run.position)
      end(.skipped, run.position == 0 ? .skipped : .halted, now)
    }
    updated = now
  }

  private mutating func conclude(
    _ run: Run, succeeded: Bool, diagnostics: EventDiagnostics, cause: Ending.Cause, now: Date
  ) {
    let position = run.position
    if events[position].start == nil { events[position].start = run.due }
    let forgiven = !succeeded && ignoresStopFailures && LifecycleOrder.runsPreviousRevision(events[position].name)
    guard succeeded || forgiven else { return failTarget(run, diagnostics, cause, now) }
    events[position].status = succeeded ? .succeeded : .failed
    events[position].end = now
    events[position].diagnostics = diagnostics
    updated = now
    if position + 1 == events.count {
      end(.succeeded, .success, now)
    } else if run.halting {
      skipRest(from: position + 1)
      end(.skipped, .halted, now)
    } else {
      phase = .running(Run(position: position + 1, due: now))
    }
  }

  private mutating func failTarget(_ run: Run, _ diagnostics: EventDiagnostics, _ cause: Ending.Cause, _ now: Date) {
    events[run.position].status = .failed
    if events[run.position].start == nil { events[run.position].start = run.due }
    events[run.position].end = now
    events[run.position].diagnostics = diagnostics
    skipRest(from: run.position + 1)
    end(.failed, cause, now)
  }

  private mutating func skipRest(from position: Int) {
    for index in events.indices.dropFirst(position) { events[index].status = .skipped }
  }

  private mutating func end(_ status: HostStatus, _ cause: Ending.Cause, _ now: Date) {
    phase = .ended(Ending(status: status, cause: cause, time: now))
    updated = now
  }
}

extension TargetRecord {
  /// How the planner sees this host.
  func rolloutHost(busy: Bool = false) -> RolloutHost {
    let view: RolloutHost.Phase =
      switch phase {
      case .waiting: .waiting
      case .running: .running
      case .ended(let ending):
        switch (ending.status, ending.cause) {
        case (.succeeded, _): .succeeded
        case (_, .hostDown): .down
        case (_, .alreadyCurrent): .current
        case (.skipped, _): .skipped
        default: .failed
        }
      }
    return RolloutHost(id: hostId, standing: standing, phase: view, busy: busy)
  }

  /// What the group remembers of the host after this deployment; nil when the deployment did not touch it.
  var hostState: HostStateRecord? {
    guard let ending else { return nil }
    switch ending.cause {
    case .success:
      return HostStateRecord(healthy: true, revision: revision, deploymentId: deploymentId, time: ending.time)
    case .failedEvent, .agentSilent, .timeout, .halted, .internalError:
      return HostStateRecord(healthy: false, revision: nil, deploymentId: deploymentId, time: ending.time)
    case .hostDown, .skipped, .alreadyCurrent: return nil
    }
  }
}
