import FoundationEssentials
import HTTPKit
import RegionKit

/// The instance metadata service, version 2: a token first; a 401 later fetches a new one, once per request.
actor MetadataClient {
  private let transport: any AgentTransport
  private let endpoint: String
  private let allowVersion1: Bool
  private let clock: any RegionClock
  private var token: (text: String, until: Date)?
  private static let tokenLifetime = 21_600

  /// `endpoint` without a trailing slash, e.g. `http://169.254.169.254`.
  init(transport: any AgentTransport, endpoint: String, allowVersion1: Bool, clock: any RegionClock) {
    self.transport = transport
    self.endpoint = endpoint
    self.allowVersion1 = allowVersion1
    self.clock = clock
  }

  struct IdentityDocument: Decodable, Sendable {
    var region: String
    var accountId: String
    var instanceId: String
  }

  func identityDocument() async throws -> IdentityDocument {
    try decode(IdentityDocument.self, await get("/latest/dynamic/instance-identity/document"), "identity document")
  }
  func partition() async throws -> String { trimmed(try await text("/latest/meta-data/services/partition")) }
  func domain() async throws -> String { trimmed(try await text("/latest/meta-data/services/domain")) }

  func securityCredentials() async throws -> (keys: AgentCredentials, expires: Date) {
    struct Answer: Decodable {
      var Code: String?
      var AccessKeyId: String?
      var SecretAccessKey: String?
      var Token: String?
      var Expiration: String?
    }
    let path = "/latest/meta-data/iam/security-credentials/"
    let roles = try await text(path).split(whereSeparator: \.isNewline)
    guard let role = roles.first.map({ trimmed(String($0)) }), !role.isEmpty else {
      throw AgentError("The instance has no instance profile: \(path) names no role. Attach one that allows codedeploy-commands-secure.")
    }
    let answer = try decode(
      Answer.self, await get(path + URLText.encode(role, keepSlash: false)), "security credentials of the role \(role)")
    guard let id = answer.AccessKeyId, let secret = answer.SecretAccessKey, answer.Code ?? "Success" == "Success" else {
      throw AgentError("The instance metadata service has no credentials for the role \(role): \(answer.Code ?? "no code").")
    }
    guard let expires = answer.Expiration.flatMap(Self.date) else {
      throw AgentError("The credentials of the role \(role) have no readable Expiration.")
    }
    return (AgentCredentials(accessKeyId: id, secretAccessKey: secret, sessionToken: answer.Token), expires)
  }

  private static func date(_ text: String) -> Date? {
    (try? Date(text, strategy: .iso8601)) ?? (try? Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true)))
  }

  private func decode<T: Decodable>(_ type: T.Type, _ bytes: [UInt8], _ what: String) throws -> T {
    do { return try JSONDecoder().decode(type, from: Data(bytes)) } catch {
      throw AgentError("The instance metadata service's \(what) is not what it should be: \(error)")
    }
  }

  private func text(_ path: String) async throws -> String { String(decoding: try await get(path), as: UTF8.self) }

  private func get(_ path: String) async throws -> [UInt8] {
    var answer = try await ask(path, token: try await currentToken())
    if answer.status == 401 {
      token = nil
      answer = try await ask(path, token: try await currentToken())
    }
    guard (200...299).contains(answer.status) else {
      throw AgentError("The instance metadata service answered \(answer.status) for \(path).")
    }
    return try await answer.body.collect(limit: 1 << 20)
  }

  private func ask(_ path: String, token: String?) async throws -> AgentResponse {
    var request = AgentRequest(method: "GET", url: endpoint + path, timeout: 10)
    if let token { request.headers["X-aws-ec2-metadata-token"] = token }
    return try await transport.send(request)
  }

  private func currentToken() async throws -> String? {
    if let token, clock.now() < token.until { return token.text }
    var request = AgentRequest(method: "PUT", url: endpoint + "/latest/api/token", timeout: 10)
    request.headers["X-aws-ec2-metadata-token-ttl-seconds"] = String(Self.tokenLifetime)
    request.headers["Content-Length"] = "0"
    let answer = try await transport.send(request)
    guard (200...299).contains(answer.status) else {
      if allowVersion1, [403, 404, 405].contains(answer.status) { return nil }
      throw AgentError("The instance metadata service refused a session token (\(answer.status)).")
    }
    let text = trimmed(String(decoding: try await answer.body.collect(limit: 4096), as: UTF8.self))
    let lifetime = answer.headers["X-aws-ec2-metadata-token-ttl-seconds"].flatMap { Double($0) } ?? Double(Self.tokenLifetime)
    token = (text, clock.now().addingTimeInterval(max(1, lifetime - 60)))
    return text
  }
}
