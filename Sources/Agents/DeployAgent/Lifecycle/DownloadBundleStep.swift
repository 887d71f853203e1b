import Glibc

/// Fetches the bundle and unpacks it into `deployment-archive`.
struct DownloadBundleStep: LifecycleStep {
  var commands: Set<String> { ["DownloadBundle"] }
  func isNoop(_ context: StepContext) -> Bool { false }

  func run(_ context: StepContext) async throws {
    let directory = context.directory
    try await blocking {
      try Retention.apply(
        context.layout, group: context.group, current: context.specification.deploymentId, maxRevisions: context.maxRevisions)
      try Disk.makeDirectories(directory.path)
    }
    switch context.specification.revision {
    case .s3(let bucket, let key, let type, let version, let etag):
      try await download(context).s3(bucket: bucket, key: key, version: version, etag: etag, to: directory.bundle)
      try await unpack(context, type)
    case .gitHub(let account, let repository, let commit, let type, let token):
      try await download(context).gitHub(
        account: account, repository: repository, commit: commit, type: type, token: token, to: directory.bundle)
      try await unpack(context, type)
    case .localFile(let path, let type):
      unlink(directory.bundle)
      guard symlink(path, directory.bundle) == 0 else { throw Disk.failure("symlink", directory.bundle) }
      try await unpack(context, type)
    case .localDirectory(let path):
      try await blocking { try copyTree(path, directory.archive) }
    }
    try await blocking {
      try context.layout.point(context.layout.mostRecentPointer(context.group), to: directory.path)
    }
  }

  private func download(_ context: StepContext) throws -> BundleDownload {
    guard let download = context.download else { throw AgentError("This run has no network to download a bundle from.") }
    return download
  }

  private func unpack(_ context: StepContext, _ type: DeploymentSpecification.BundleType) async throws {
    let directory = context.directory
    let extractor = BundleExtractor(limits: context.archiveLimits)
    try await blocking { try extractor.extract(directory.bundle, type: type, to: directory.archive) }
  }

  /// A local directory as a fresh archive, through the same planner and executor as an Install.
  private func copyTree(_ source: String, _ archive: String) throws {
    guard Disk.isDirectory(source) else { throw AgentError("No such directory - \(source)") }
    try Disk.removeTree(archive)
    var spec = AppSpec()
    spec.files = [AppSpec.File(source: "", destination: archive)]
    let plan = try InstallPlanner(archive: source, files: LocalFiles(), fileExistsBehavior: "DISALLOW").plan(spec)
    try InstallExecutor(tools: SystemTools()).execute(plan, cleanupFile: "/dev/null")
  }
}
