import Logging

/// The nine events that run the user's scripts.
struct HookStep: LifecycleStep {
  var commands: Set<String> { RevisionChoice.hookEvents }

  func isNoop(_ context: StepContext) -> Bool {
    guard let directory = RevisionChoice.directory(context) else { return true }
    // An AppSpec that cannot be read is no reason to skip the event: running it reports why.
    guard let spec = try? AppSpecFile.read(archive: directory.archive, name: context.specification.appSpecFilename) else { return false }
    return spec.hooks[context.command]?.isEmpty ?? true
  }

  func run(_ context: StepContext) async throws {
    try await blocking { try runBlocking(context) }
  }

  private func runBlocking(_ context: StepContext) throws {
    try Disk.makeDirectories(context.directory.path)
    guard let directory = RevisionChoice.directory(context) else {
      context.logger.info("\(context.command): no revision to take its scripts from, nothing to do")
      return
    }
    let spec = try AppSpecFile.read(archive: directory.archive, name: context.specification.appSpecFilename)
    for warning in spec.warnings { context.logger.warning("\(warning)") }
    guard let scripts = spec.hooks[context.command], !scripts.isEmpty else { return }
    // Also an older revision's scripts log into this deployment.
    let log = try ScriptLog(
      path: context.directory.scriptsLog, deployments: context.deploymentsLog, deploymentId: context.specification.deploymentId,
      clock: context.clock)
    log.event(context.command)
    let runner = ScriptRunner(
      archive: directory.archive,
      environment: HookEnvironment.make(agent: context.environment, event: context.command, specification: context.specification),
      log: log, tools: context.tools, grace: context.killGrace)
    for script in scripts { try runner.run(script) }
  }
}
