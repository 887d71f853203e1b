import FoundationEssentials

/// Times after which the region stops waiting for an agent. Real seconds: they bound what agents and scripts do, not region-side waits.
public struct CodeDeployOptions: Sendable {
  /// How long a poll without work is held open. Agents give up after 80 s.
  public var pollHold: Double = 40
  /// Work is due and the agent has neither an open poll nor said anything for so long: the host fails.
  public var agentSilence: Double = 30
  /// The same right after the region came up, for agents that have been seen before: official agents back off up to 90 s while the
  /// region is away.
  public var reconnectAllowance: Double = 100
  /// AWS's limit until a due event is acknowledged.
  public var startLimit: Double = 300
  /// AWS's limit for one lifecycle event.
  public var completionLimit: Double = 3600
  /// An agent that polled while it worked on an event and then fell silent for so long is gone.
  public var lostAgent: Double = 300
  /// A delivered command that nobody asked about or acknowledged is handed out again after this.
  public var redeliveryAfter: Double = 10
  /// The same once the agent has fetched the command's specification, so it has it and will acknowledge or report.
  public var redeliveryAfterSpecification: Double = 60
  /// How often an agent's last contact is written down.
  public var contactPersistence: Double = 60
  /// More hosts than this in one deployment fail with OVER_MAX_INSTANCES. AWS allows 1,000.
  public var maximumTargets = 10_000
  public init() {}
}

/// What the region knows of an agent's presence.
struct AgentContact: Hashable, Sendable {
  /// The last request of the host that this process saw, or else the last one written down.
  var last: Date?
  /// A poll of the host is being held open.
  var isPolling: Bool
  /// When this process of the region came up: nobody could speak to it before.
  var regionUp: Date
  /// The longest pause between two polls seen lately, seconds; agents with a slow poll period are not silent in between.
  var pollPause: Double
}

/// Judges a running target by the clock. Pure: the same facts give the same verdict.
enum AgentWatch {
  enum Verdict: Hashable, Sendable {
    case over
    case fail(TargetRecord.Ending.Cause, String)
    /// Look again then.
    case again(Date)
  }

  static func judge(_ target: TargetRecord, _ contact: AgentContact, now: Date, _ options: CodeDeployOptions) -> Verdict {
    guard let run = target.run else { return .over }
    let event = target.events[run.position].name
    guard !LifecycleOrder.isServerSide(event) else { return .again(now.addingTimeInterval(options.agentSilence)) }
    if let taken = run.acknowledgement { return judgeWorking(target, event, taken, contact, now, options) }
    return judgeDue(target, event, run, contact, now, options)
  }

  private static func judgeDue(
    _ target: TargetRecord, _ event: String, _ run: TargetRecord.Run, _ contact: AgentContact, _ now: Date,
    _ options: CodeDeployOptions
  ) -> Verdict {
    let limit = max(run.due, contact.regionUp).addingTimeInterval(options.startLimit)
    if now >= limit, contact.isPolling || contact.last.map({ $0 > run.due }) ?? false {
      return .fail(.timeout, notStarted(target, event, options))
    }
    if contact.isPolling { return .again(limit) }
    let allowance = max(options.agentSilence, min(120, contact.pollPause * 1.5 + 5))
    var silentAt = max(run.due, max(contact.last ?? run.due, contact.regionUp)).addingTimeInterval(allowance)
    if let last = contact.last, last < contact.regionUp {
      silentAt = max(silentAt, contact.regionUp.addingTimeInterval(options.reconnectAllowance))
    }
    if now >= silentAt { return .fail(.agentSilent, silence(target, event, contact, now)) }
    return .again(now < limit ? min(silentAt, limit) : silentAt)
  }

  private static func judgeWorking(
    _ target: TargetRecord, _ event: String, _ taken: TargetRecord.Acknowledgement, _ contact: AgentContact, _ now: Date,
    _ options: CodeDeployOptions
  ) -> Verdict {
    let limit = taken.time.addingTimeInterval(options.completionLimit)
    if now >= limit {
      return .fail(
        .timeout,
        "\(event) on \(target.hostId) did not finish within \(Int(options.completionLimit)) s, the limit of one lifecycle event. "
          + "Let its scripts finish sooner or start long work in the background with its output redirected.")
    }
    // Only an agent that polls while it works can be missed; one that has not polled since it took the command may just be busy.
    if let last = contact.last, last > taken.time, !contact.isPolling {
      let lostAt = max(last, contact.regionUp).addingTimeInterval(options.lostAgent)
      if now >= lostAt {
        return .fail(
          .agentSilent,
          "The agent on \(target.hostId) took up \(event) and then fell silent: nothing was heard of it for "
            + "\(seconds(now, since: last)) s. Check that the host runs and can reach the region (on the host: "
            + "`systemctl status codedeploy-agent` or the instance's console output), then deploy again.")
      }
      return .again(min(limit, lostAt))
    }
    return .again(min(limit, now.addingTimeInterval(options.lostAgent)))
  }

  private static func silence(_ target: TargetRecord, _ event: String, _ contact: AgentContact, _ now: Date) -> String {
    let due = "\(event) was due"
    guard let last = contact.last else {
      return "No CodeDeploy agent has ever connected from \(target.hostId), so \(due) and nobody took it. "
        + (target.onPremises
          ? "Install and start an agent there with the identity the instance is registered with, then deploy again."
          : "Check that the image has the agent, that the instance has an instance profile, and that the instance reached the "
            + "end of its boot (`aws ec2 get-console-output --instance-id \(target.hostId)`), then deploy again.")
    }
    return "The CodeDeploy agent on \(target.hostId) is silent: \(due) and nothing was heard of the agent for "
      + "\(seconds(now, since: last)) s. Check that the host runs and that its agent does, then deploy again."
  }

  private static func notStarted(_ target: TargetRecord, _ event: String, _ options: CodeDeployOptions) -> String {
    "\(event) on \(target.hostId) was due for \(Int(options.startLimit)) s and the agent polled but never took it up. "
      + "See the agent's log on the host; it names what it refused."
  }

  private static func seconds(_ now: Date, since: Date) -> Int { Int(now.timeIntervalSince(since).rounded()) }
}
