import Logging

/// Removes what the group's last Install put there and installs this revision.
struct InstallStep: LifecycleStep {
  var commands: Set<String> { ["Install"] }
  func isNoop(_ context: StepContext) -> Bool { false }

  func run(_ context: StepContext) async throws {
    try await blocking { try runBlocking(context) }
  }

  private func runBlocking(_ context: StepContext) throws {
    let layout = context.layout
    let archive = context.directory.archive
    guard Disk.isDirectory(archive) else {
      throw AgentError("The revision of deployment \(context.specification.deploymentId) is not unpacked at \(archive).")
    }
    let spec = try AppSpecFile.read(
      archive: archive, name: context.specification.appSpecFilename, alsoTry: ["appspec.yaml", "appspec.yml"])
    for warning in spec.warnings { context.logger.warning("\(warning)") }
    try Disk.makeDirectories(layout.instructions)
    try CleanupFile.run(layout.cleanupFile(context.group), tools: context.tools)
    let planner = InstallPlanner(
      archive: archive, files: LocalFiles(), fileExistsBehavior: context.specification.fileExistsBehavior)
    let plan = try planner.plan(spec)
    try Disk.replace(layout.installFile(context.group), plan.json())
    try InstallExecutor(tools: context.tools).execute(plan, cleanupFile: layout.cleanupFile(context.group))
    // The official name and moment: at the end of Install, not of the deployment.
    try layout.point(layout.lastSuccessfulPointer(context.group), to: context.directory.path)
  }
}
