import FoundationEssentials
import Glibc

/// Outcomes that the service could not be told yet, kept on disk so that a restarted agent reports what really happened and not just
/// that it was restarted. One small file per deployment, next to the tracking directory.
struct Undelivered: Sendable {
  let directory: String

  private struct Document: Codable {
    var command: String
    var status: CommandStatus
    var code: Int
    var scriptName: String
    var message: String
    var log: String
  }
  private func path(_ deploymentId: String) -> String { RelativePath.join(directory, deploymentId + ".json") }

  func keep(_ deploymentId: String, _ command: String, _ outcome: CommandExecution.Outcome) throws {
    try Disk.makeDirectories(directory)
    let d = outcome.diagnostics
    let document = Document(
      command: command, status: outcome.status, code: d.code.rawValue, scriptName: d.scriptName, message: d.message, log: d.log)
    try Disk.replace(path(deploymentId), String(decoding: try JSONEncoder().encode(document), as: UTF8.self), mode: 0o600)
  }

  /// Nil when nothing is known of this command.
  func outcome(_ deploymentId: String, _ command: String) -> CommandExecution.Outcome? {
    guard let bytes = try? Disk.read(path(deploymentId), limit: 1 << 20),
      let document = try? JSONDecoder().decode(Document.self, from: Data(bytes)), document.command == command,
      let code = Diagnostics.Code(rawValue: document.code)
    else { return nil }
    return CommandExecution.Outcome(
      status: document.status,
      diagnostics: Diagnostics(code: code, scriptName: document.scriptName, message: document.message, log: document.log))
  }

  func forget(_ deploymentId: String) { unlink(path(deploymentId)) }
}
