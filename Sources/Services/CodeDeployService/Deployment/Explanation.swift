import FoundationEssentials

/// Writes a deployment's `errorInformation`: AWS's code and opening words, then what AWS leaves out.
enum Explanation {
  /// AWS's own sentence for HEALTH_CONSTRAINTS.
  static let healthConstraints =
    "The overall deployment failed because too many individual instances failed deployment, too few healthy instances are available "
    + "for deployment, or some instances in your deployment group are experiencing problems."

  static func tooFewHealthy(_ deployment: DeploymentRecord, _ rule: HealthRule, _ targets: [TargetRecord]) -> FailureNote {
    let failed = targets.filter { $0.status == .failed }
    let succeeded = targets.count { $0.status == .succeeded }
    let skipped = targets.filter { $0.ending?.cause == .skipped }.map(\.hostId)
    let silent = !failed.isEmpty && failed.allSatisfy { $0.ending?.cause == .agentSilent }
    var parts = [silent ? "The agents on the failed instances did not take up their work." : healthConstraints]
    parts.append(ruleText(deployment, rule, failed: failed.count, succeeded: succeeded, skipped: skipped.count))
    parts += failed.prefix(5).map(hostText)
    if failed.count > 5 { parts.append("\(failed.count - 5) more hosts failed; see list-deployment-targets.") }
    if !skipped.isEmpty {
      parts.append(
        "Not touched: " + list(skipped) + (targets.allSatisfy { $0.status != .succeeded } ? "" : "; the others run the new revision")
          + ".")
    }
    parts.append(advice(failed, silent: silent))
    return FailureNote(code: silent ? "AGENT_ISSUE" : "HEALTH_CONSTRAINTS", message: parts.joined(separator: "\n"))
  }

  static func cannotStart(_ deployment: DeploymentRecord, _ rule: HealthRule, _ targets: [TargetRecord]) -> FailureNote {
    let down = targets.filter { $0.ending?.cause == .hostDown }
    let healthy = targets.count - down.count
    var message =
      "The deployment did not start: \(deployment.configName) needs \(rule.minimum) of \(rule.fleet) hosts healthy, \(healthy) are, "
      + "so not even one may be taken down. No host was touched."
    for host in down.prefix(5) { message += "\n" + hostText(host) }
    message +=
      "\nUse a configuration that needs fewer healthy hosts (CodeDeployDefault.OneAtATime works with any number), "
      + (down.isEmpty ? "or add hosts." : "or start the hosts that are down.")
    return FailureNote(code: "HEALTH_CONSTRAINTS_INVALID", message: message)
  }

  static func noInstances(_ deployment: DeploymentRecord, _ selection: TargetSelection) -> FailureNote {
    FailureNote(
      code: "NO_INSTANCES",
      message: "The deployment failed because no instances were found for your deployment group \(deployment.groupName). "
        + "Looked for \(selection.text). Check that the tags on your instances and in the group match and that the instances run.")
  }

  static func stopped(_ stop: DeploymentRecord.StopRequest, _ targets: [TargetRecord]) -> FailureNote {
    func named(_ title: String, _ test: (TargetRecord) -> Bool) -> String? {
      let hosts = targets.filter(test).map(\.hostId)
      return hosts.isEmpty ? nil : "\(title): \(list(hosts))."
    }
    let parts = [
      "The deployment was stopped by \(stop.by).", named("Run the new revision") { $0.status == .succeeded },
      named("Left in the middle") { $0.ending?.cause == .halted }, named("Failed") { $0.status == .failed },
      named("Not touched") { $0.ending?.cause == .skipped },
    ]
    return FailureNote(code: "MANUAL_STOP", message: parts.compactMap { $0 }.joined(separator: " "))
  }

  /// Which host, which event, which script, why, and what the script wrote last.
  static func hostText(_ target: TargetRecord) -> String {
    guard let event = target.failedEvent, let what = event.diagnostics else { return "\(target.hostId) failed." }
    var text = "\(target.hostId) failed in \(event.name) (\(what.errorCode)): \(what.message)"
    let tail = lastLines(what.logTail, 10)
    if !tail.isEmpty { text += "\nlast lines of \(what.scriptName.isEmpty ? "the log" : what.scriptName):\n" + tail }
    return text
  }

  static func lastLines(_ text: String, _ count: Int) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: true).suffix(count).joined(separator: "\n")
  }

  private static func ruleText(
    _ deployment: DeploymentRecord, _ rule: HealthRule, failed: Int, succeeded: Int, skipped: Int
  ) -> String {
    let counts = "\(succeeded) succeeded, \(failed) failed" + (skipped > 0 ? ", \(skipped) were skipped" : "")
    let healthy = rule.fleet - failed
    let spec = deployment.minimumHealthyHosts
    let how =
      switch spec {
      case .hostCount(let count): "at least \(count) hosts"
      case .fleetPercent(let percent): "\(percent)% of \(rule.fleet), rounded up"
      case .mostConcurrency(let count): "all but the last \(count)"
      }
    if skipped > 0 {
      return "\(deployment.configName) needs \(rule.minimum) of \(rule.fleet) healthy (\(how)); \(healthy) "
        + (healthy == 1 ? "is" : "are") + " after the last failure, so no further host may be taken down: \(counts)."
    }
    let needed = max(1, rule.minimum)
    return "\(deployment.configName) needs \(needed) of \(rule.fleet) hosts to succeed"
      + (rule.minimum == 0 ? " (at least one, whatever the configuration)" : " (\(how))") + ": \(counts)."
  }

  private static func advice(_ failed: [TargetRecord], silent: Bool) -> String {
    if silent { return "Bring the agents back and deploy again." }
    let events = Set(failed.compactMap { $0.failedEvent?.name })
    if events == ["ApplicationStop"] {
      return "ApplicationStop runs from the revision that is on the host now. To deploy past its broken script, create the "
        + "deployment with --ignore-application-stop-failures."
    }
    return "Every event of a host, with times and the whole log tail: aws deploy get-deployment-target --deployment-id "
      + "\(failed.first?.deploymentId ?? "…") --target-id \(failed.first?.hostId ?? "…")."
  }

  private static func list(_ hosts: [String]) -> String {
    hosts.count <= 10 ? hosts.joined(separator: ", ") : hosts.prefix(10).joined(separator: ", ") + " and \(hosts.count - 10) more"
  }
}
