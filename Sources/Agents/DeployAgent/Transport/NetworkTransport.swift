import HTTPKit
import RegionKit

/// The real network.
struct NetworkTransport: AgentTransport {
  private let client: HTTPClient

  /// `caFile`: PEM file with the only certificate authorities to trust; nil for the system's.
  init(caFile: String?) {
    var options = HTTPClient.Options()
    if let caFile { options.trust = .pemFile(caFile) }
    client = HTTPClient(options: options)
  }

  func send(_ request: AgentRequest) async throws -> AgentResponse {
    let body = request.body.isEmpty && request.method == "GET" ? nil : ByteStream(request.body)
    let answer = try await client.execute(
      HTTPClientRequest(
        method: request.method, url: request.url, headers: request.headers, body: body, timeout: request.timeout,
        idleTimeout: max(request.idleTimeout, request.timeout.isFinite ? request.timeout : 0)))
    return AgentResponse(status: answer.status, headers: answer.headers, body: answer.body)
  }
}
