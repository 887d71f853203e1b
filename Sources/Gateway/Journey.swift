import FoundationEssentials
import HTTPKit
import RegionKit
import RequestSigning
import WireModel
import WireProtocol

/// What is known of a request so far; the steps of the request path fill it in.
struct Journey {
  let http: HTTPServerRequest
  let requestId: String
  let started: Date
  /// The head as it came: what a signature covers.
  let signable: SignableRequest
  /// The request as the codec sees it.
  var wire: WireRequest
  var claim: SignatureClaim?
  var endpoint: Endpoint?
  var route: WireRoute?
  var bucketInHost: String?
  var secret: String?
  var call: Call?
  var principal: Principal?
  var collected = false
  var resources: [String] = []

  init(_ http: HTTPServerRequest, requestId: String, started: Date) {
    self.http = http
    self.requestId = requestId
    self.started = started
    signable = SignableRequest(method: http.method, target: http.target, headers: http.headers.entries)
    wire = WireRequest(
      method: http.method, path: String(signable.path), query: String(signable.query),
      headers: http.headers.entries.map { ($0.name, $0.value) })
  }

  var operation: String? { route?.operation.name ?? commandOperation }
  /// The operation of a command endpoint, which no model lists.
  var commandOperation: String? {
    guard endpoint?.commands != nil else { return nil }
    return http.headers["x-amz-target"]?.split(separator: ".").last.map(String.init)
  }

  var dialect: AuthDialect {
    guard let endpoint else { return .query }
    return AuthDialect(route?.wireProtocol ?? endpoint.codec.wireProtocol(of: wire), isS3: endpoint.isS3)
  }

  var region: String? { claim?.scope?.region }
}

/// A request for a service this region does not have.
struct AbsentService: Error {
  let name: String
}
