/// Where things are under the root directory; the official agent's layout, so that either agent can take over from the other.
public struct DiskLayout: Sendable {
  public let root: String
  public let programName: String
  public let trackingDirectory: String

  public init(root: String, programName: String = "codedeploy-agent", tracking: String = "ongoing-deployment") {
    self.root = root
    self.programName = programName
    trackingDirectory = root + "/" + tracking
  }

  func groupDirectory(_ group: String) -> String { "\(root)/\(group)" }
  func deploymentDirectory(_ group: String, _ deployment: String) -> String { "\(root)/\(group)/\(deployment)" }
  var instructions: String { root + "/deployment-instructions" }
  func installFile(_ group: String) -> String { "\(instructions)/\(group)-install.json" }
  func cleanupFile(_ group: String) -> String { "\(instructions)/\(group)-cleanup" }
  func lastSuccessfulPointer(_ group: String) -> String { "\(instructions)/\(group)_last_successful_install" }
  func mostRecentPointer(_ group: String) -> String { "\(instructions)/\(group)_most_recent_install" }
  var undelivered: String { root + "/undelivered-completions" }
  var deploymentsLog: String { "\(root)/deployment-logs/\(programName)-deployments.log" }

  /// The deployment directory that a pointer file names; nil when there is none or it is gone.
  func target(of pointer: String) -> String? {
    guard let bytes = try? Disk.read(pointer, limit: 4096), let text = String(validating: bytes, as: UTF8.self) else { return nil }
    let path = trimmed(text)
    return !path.isEmpty && Disk.isDirectory(path) ? path : nil
  }
  func point(_ pointer: String, to directory: String) throws(AgentError) {
    try Disk.makeDirectories(instructions)
    try Disk.replace(pointer, directory)
  }
}

/// The paths of one deployment.
struct DeploymentDirectory: Sendable {
  let path: String
  var archive: String { path + "/deployment-archive" }
  var bundle: String { path + "/bundle.tar" }
  var logs: String { path + "/logs" }
  var scriptsLog: String { path + "/logs/scripts.log" }
}
