import FoundationEssentials
import HTTPKit
import RegionKit

/// The command service over signed JSON 1.1.
struct CommandServiceClient: CommandService {
  let transport: any AgentTransport
  let signer: any AgentSigner
  let credentials: any CredentialSource
  let clock: any RegionClock
  /// Without a trailing slash.
  let endpoint: String
  let region: String
  let agentVersion: String
  /// `enable_auth_policy`: the newer name of the service.
  let secure: Bool
  let fips: Bool
  /// Seconds.
  let timeout: Double

  static func serviceName(secure: Bool, fips: Bool) -> String {
    "codedeploy-commands" + (secure ? "-secure" : "") + (fips ? "-fips" : "")
  }
  private var target: String { secure ? "CodeDeployCommandService." : "CodeDeployCommandService_v20141006." }

  func pollHostCommand(hostIdentifier: String) async throws -> HostCommand? {
    struct Input: Encodable { var HostIdentifier: String }
    struct Output: Decodable { var HostCommand: HostCommand? }
    return try await call("PollHostCommand", Input(HostIdentifier: hostIdentifier), Output.self)?.HostCommand
  }

  func getDeploymentSpecification(
    executionId: String, hostIdentifier: String
  ) async throws -> (system: String?, envelope: Envelope?) {
    struct Input: Encodable {
      var DeploymentExecutionId: String
      var HostIdentifier: String
    }
    struct Output: Decodable {
      struct Specification: Decodable { var GenericEnvelope: Envelope? }
      var DeploymentSystem: String?
      var DeploymentSpecification: Specification?
    }
    let output = try await call(
      "GetDeploymentSpecification", Input(DeploymentExecutionId: executionId, HostIdentifier: hostIdentifier), Output.self)
    return (output?.DeploymentSystem, output?.DeploymentSpecification?.GenericEnvelope)
  }

  func putHostCommandAcknowledgement(identifier: String, isNoop: Bool) async throws -> CommandStatus? {
    struct Input: Encodable {
      var HostCommandIdentifier: String
      var Diagnostics: Envelope
    }
    struct Output: Decodable { var CommandStatus: String? }
    let input = Input(
      HostCommandIdentifier: identifier, Diagnostics: Envelope(format: "JSON", payload: #"{"IsCommandNoop":\#(isNoop)}"#))
    return try await call("PutHostCommandAcknowledgement", input, Output.self)?.CommandStatus.flatMap(CommandStatus.init(rawValue:))
  }

  func putHostCommandComplete(identifier: String, status: CommandStatus, diagnostics: Diagnostics) async throws {
    struct Input: Encodable {
      var HostCommandIdentifier: String
      var CommandStatus: String
      var Diagnostics: Envelope
    }
    struct Output: Decodable {}
    let input = Input(
      HostCommandIdentifier: identifier, CommandStatus: status.rawValue,
      Diagnostics: Envelope(format: "JSON", payload: diagnostics.json))
    _ = try await call("PutHostCommandComplete", input, Output.self)
  }

  private func call<I: Encodable, O: Decodable>(_ operation: String, _ input: I, _ output: O.Type) async throws -> O? {
    let body = Array(try JSONEncoder().encode(input))
    do { return try await send(operation, body, output) } catch let failure as ServiceFailure where failure.isAboutCredentials {
      // The keys may have been replaced since: once more with fresh ones.
      await credentials.refused()
      return try await send(operation, body, output)
    }
  }

  private func send<O: Decodable>(_ operation: String, _ body: [UInt8], _ output: O.Type) async throws -> O? {
    var request = AgentRequest(method: "POST", url: endpoint + "/", body: body, timeout: timeout)
    request.headers["Content-Type"] = "application/x-amz-json-1.1"
    request.headers["X-Amz-Target"] = target + operation
    request.headers["x-amz-codedeploy-agent-version"] = agentVersion
    request.headers["User-Agent"] = "roadstead-agent"
    try signer.sign(
      &request, credentials: await credentials.credentials(), service: Self.serviceName(secure: secure, fips: fips), region: region,
      at: clock.now())
    let answer = try await transport.send(request)
    let bytes = try await answer.body.collect(limit: 4 << 20)
    guard (200...299).contains(answer.status) else { throw Self.failure(answer.status, answer.headers, bytes) }
    if bytes.isEmpty { return nil }
    do { return try JSONDecoder().decode(output, from: Data(bytes)) } catch {
      throw AgentError("The command service's answer to \(operation) is not what it should be: \(error)")
    }
  }

  static func failure(_ status: Int, _ headers: HTTPFields, _ bytes: [UInt8]) -> ServiceFailure {
    struct Document: Decodable {
      var __type: String?
      var message: String?
      var Message: String?
    }
    let document = try? JSONDecoder().decode(Document.self, from: Data(bytes))
    let name = document?.__type ?? headers["x-amzn-ErrorType"] ?? ""
    let code = name.split(separator: "#").last.map(String.init) ?? ""
    return ServiceFailure(
      status: status, code: code.split(separator: ":").first.map(String.init) ?? "",
      message: document?.message ?? document?.Message ?? String(decoding: bytes.prefix(300), as: UTF8.self))
  }
}

/// Puts a Signature Version 4 on a request.
protocol AgentSigner: Sendable {
  func sign(
    _ request: inout AgentRequest, credentials: AgentCredentials, service: String, region: String, at date: Date) throws
}
