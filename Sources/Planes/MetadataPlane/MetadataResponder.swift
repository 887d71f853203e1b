internal import FoundationEssentials
internal import HTTPKit
internal import RegionKit

/// The metadata service's rules for one request. The instance is known by the socket that the request came through.
struct MetadataResponder: Sendable {
  let tokens: MetadataTokens
  let clock: any RegionClock

  static let tokenHeader = "X-aws-ec2-metadata-token"
  static let lifetimeHeader = "X-aws-ec2-metadata-token-ttl-seconds"

  /// `tree`: nil while the region has not published the instance's metadata.
  func respond(_ request: HTTPServerRequest, instanceId: String, tree: MetadataTree?) -> HTTPServerResponse {
    let path = String(request.target.prefix { $0 != "?" })
    if request.method == "PUT" { return answerPut(request, path: path, instanceId: instanceId) }
    guard request.method == "GET" || request.method == "HEAD" else { return Self.page(405, "Method Not Allowed") }
    if Self.isTokenPath(path) { return Self.page(405, "Method Not Allowed") }
    guard let tree else {
      var response = Self.page(503, "Service Unavailable")
      response.headers["Retry-After"] = "1"
      return response
    }
    var lifetime: Int?
    if let token = request.headers[Self.tokenHeader] {
      lifetime = tokens.remaining(token, instanceId: instanceId, now: clock.now())
      if lifetime == nil { return Self.page(401, "Unauthorized") }
    } else if tree.tokensRequired {
      return Self.page(401, "Unauthorized")
    }
    guard let decoded = Self.decoded(path) else { return Self.page(400, "Bad Request") }
    var response: HTTPServerResponse
    switch tree.node(decoded) {
    case .absent: response = Self.page(404, "Not Found")
    case .listing(let text): response = Self.content(Array(text.utf8), type: "text/plain")
    case .value(let bytes, let type): response = Self.content(bytes, type: type)
    }
    if let lifetime { response.headers[Self.lifetimeHeader] = String(lifetime) }
    return response
  }

  private func answerPut(_ request: HTTPServerRequest, path: String, instanceId: String) -> HTTPServerResponse {
    guard Self.isTokenPath(path) else { return Self.page(405, "Method Not Allowed") }
    // A proxy that forwards for others must not get tokens for them.
    if request.headers["X-Forwarded-For"] != nil { return Self.page(403, "Forbidden") }
    guard let text = request.headers[Self.lifetimeHeader], let lifetime = Int(text), MetadataTokens.lifetimes.contains(lifetime)
    else { return Self.page(400, "Bad Request") }
    let token = tokens.issue(instanceId: instanceId, lifetime: lifetime, now: clock.now())
    var response = Self.content(Array(token.utf8), type: "text/plain")
    response.headers[Self.lifetimeHeader] = String(lifetime)
    return response
  }

  private static func isTokenPath(_ path: String) -> Bool { path == "/latest/api/token" || path == "/latest/api/token/" }

  private static func content(_ bytes: [UInt8], type: String) -> HTTPServerResponse {
    HTTPServerResponse(status: 200, headers: ["Server": "EC2ws", "Content-Type": type], body: ByteStream(bytes))
  }

  private static func page(_ status: Int, _ reason: String) -> HTTPServerResponse {
    let title = "\(status) - \(reason)"
    let text = """
      <?xml version="1.0" encoding="iso-8859-1"?>
      <!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
      \t"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
      <html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
       <head>
        <title>\(title)</title>
       </head>
       <body>
        <h1>\(title)</h1>
       </body>
      </html>

      """
    return HTTPServerResponse(
      status: status, headers: ["Server": "EC2ws", "Content-Type": "text/html"], body: ByteStream(Array(text.utf8)))
  }

  /// Percent-decoded; nil when an escape is broken.
  static func decoded(_ path: String) -> String? {
    guard path.contains("%") else { return path }
    var out: [UInt8] = []
    var bytes = path.utf8.makeIterator()
    while let byte = bytes.next() {
      guard byte == 0x25 else {
        out.append(byte)
        continue
      }
      guard let high = bytes.next(), let low = bytes.next(),
        let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16)
      else { return nil }
      out.append(value)
    }
    return String(validating: out, as: UTF8.self)
  }
}
