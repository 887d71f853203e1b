/// A command that the region wants this host to carry out.
public struct HostCommand: Sendable, Equatable, Codable {
  public var identifier: String
  public var hostIdentifier: String
  public var deploymentExecutionId: String
  public var name: String
  public init(identifier: String, hostIdentifier: String, deploymentExecutionId: String, name: String) {
    self.identifier = identifier
    self.hostIdentifier = hostIdentifier
    self.deploymentExecutionId = deploymentExecutionId
    self.name = name
  }
  enum CodingKeys: String, CodingKey {
    case identifier = "HostCommandIdentifier"
    case hostIdentifier = "HostIdentifier"
    case deploymentExecutionId = "DeploymentExecutionId"
    case name = "CommandName"
  }
}

public enum CommandStatus: String, Sendable, Codable {
  case pending = "Pending"
  case inProgress = "InProgress"
  case succeeded = "Succeeded"
  case failed = "Failed"
}

/// An error answer of the command service, or of anything else that speaks JSON 1.1.
public struct ServiceFailure: Error, Sendable, CustomStringConvertible {
  public var status: Int
  /// e.g. `ClientException`; empty when the answer named none.
  public var code: String
  public var message: String
  public var description: String { "\(code.isEmpty ? "HTTP \(status)" : code): \(message)" }
  /// Worth asking again: the server's trouble, throttling, or keys that have just expired.
  var isTransient: Bool {
    if status >= 500 || status == 429 || status == 408 { return true }
    let lower = code.lowercased()
    return lower.contains("throttl") || lower.contains("rateexceeded") || lower.contains("requestlimit") || isAboutCredentials
  }
  var isAboutCredentials: Bool {
    ["ExpiredToken", "ExpiredTokenException", "UnrecognizedClientException", "InvalidClientTokenId", "RequestExpired"].contains(code)
  }
}

/// The five operations' useful four.
public protocol CommandService: Sendable {
  /// Waits on the server for a command; nil when there is none.
  func pollHostCommand(hostIdentifier: String) async throws -> HostCommand?
  func getDeploymentSpecification(
    executionId: String, hostIdentifier: String
  ) async throws -> (system: String?, envelope: Envelope?)
  /// Nil: the answer named no status.
  func putHostCommandAcknowledgement(identifier: String, isNoop: Bool) async throws -> CommandStatus?
  func putHostCommandComplete(identifier: String, status: CommandStatus, diagnostics: Diagnostics) async throws
}
