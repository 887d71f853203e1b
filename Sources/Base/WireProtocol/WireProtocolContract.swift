public import RegionKit
public import WireModel

/// The body of a request or answer.
public enum WireBody: Sendable {
  case bytes([UInt8])
  /// A large object; its `length` is known or not.
  case stream(ByteStream)
}

/// A request as the wire layer sees it, after aws-chunked framing was taken off.
public struct WireRequest: Sendable {
  public var method: String
  /// The path before `?` exactly as sent, percent-encoded. A bucket in the host name has been put in front by the gateway.
  public var path: String
  /// The text after `?`, exactly as sent; empty when there is none.
  public var query: String
  public var headers: [(String, String)]
  /// `.bytes` unless `WireCodec.streamsInput(of:)` says that the operation takes a stream.
  public var body: WireBody
  public init(method: String, path: String, query: String = "", headers: [(String, String)] = [], body: WireBody = .bytes([])) {
    self.method = method
    self.path = path
    self.query = query
    self.headers = headers
    self.body = body
  }

  /// The first value of a header; names compare without case.
  public func header(_ name: String) -> String? {
    headers.first { equalIgnoringCase($0.0, name) }?.1
  }
}

/// An answer; the HTTP server adds Date, Content-Length or chunking.
public struct WireResponse: Sendable {
  public var status: Int
  public var headers: [(String, String)]
  public var body: WireBody
  public init(status: Int, headers: [(String, String)] = [], body: WireBody = .bytes([])) {
    self.status = status
    self.headers = headers
    self.body = body
  }
  public func header(_ name: String) -> String? {
    headers.first { equalIgnoringCase($0.0, name) }?.1
  }
}

/// Which operation a request asks for, and the protocol it speaks: a service may answer several (CloudWatch has three).
public struct WireRoute: Sendable {
  public let operation: OperationModel
  public let wireProtocol: WireProtocolName
  /// REST: the labels of the path, percent-decoded, by the label's name in the template.
  public let labels: [String: String]
  /// JSON: the version the caller speaks, `1.0` or `1.1`; it is answered in the same.
  public let jsonVersion: String
  /// Query and EC2: the parameters, decoded, read while routing.
  var form: [(String, String)]
}

/// All that the gateway needs of a service's protocol. The order of use:
///
///     let codec = WireCodec(model: module.model)          // once per service
///     guard let route = try codec.route(request) else { … codec.unknownOperation(request) … }
///     let input = try codec.decode(request, route)        // throws AWSError in the service's terms
///     try codec.validate(input, route)                    // throws AWSError; see ValidationMapping
///     let response = try codec.encode(output, route, requestId: id)
///     let failure = codec.encode(error: error, route: route, request: request, requestId: id)
///
/// A query or EC2 request names its operation in the body, so the gateway collects a form body before it asks for the route; every
/// other request can be routed by its head.
public struct WireCodec: Sendable {
  public let model: ServiceModel
  let router: RestRouter
  let patterns: PatternCache
  let xmlNamespace: XMLNamespace?

  public init(model: ServiceModel) {
    self.model = model
    router = RestRouter(model: model)
    patterns = PatternCache()
    xmlNamespace = Self.responseNamespace(model)
  }
}
