public import RegionKit

/// A request to send. The URL's path and query go on the wire exactly as written.
public struct HTTPClientRequest: Sendable {
  public var method: String
  /// `http://` or `https://`, host (an IPv6 address in brackets), optional port, path and query already percent-encoded.
  public var url: String
  /// `Host`, `Content-Length` and `Transfer-Encoding` are added where they are missing.
  public var headers: HTTPFields
  public var body: ByteStream?
  /// Real seconds from the call to the last byte of the answer's body; `.infinity` for no limit.
  public var timeout: Double
  /// Real seconds the server may stay silent, once the request is sent. A long poll needs more than its poll time.
  public var idleTimeout: Double
  /// How many redirects are followed; only GET and HEAD are ever redirected.
  public var followRedirects: Int
  public init(
    method: String = "GET", url: String, headers: HTTPFields = HTTPFields(), body: ByteStream? = nil, timeout: Double = 60,
    idleTimeout: Double = 80, followRedirects: Int = 0
  ) {
    self.method = method
    self.url = url
    self.headers = headers
    self.body = body
    self.timeout = timeout
    self.idleTimeout = idleTimeout
    self.followRedirects = followRedirects
  }
}

/// An answer whose body is still on its way. Reading the body to its end lets the connection be used again; letting go of it closes the
/// connection.
public struct HTTPClientResponse: Sendable {
  public let status: Int
  public let headers: HTTPFields
  public let body: ByteStream
}

/// Why there was no answer, or why its body broke off.
public struct HTTPClientError: Error, Sendable, Equatable, CustomStringConvertible {
  public enum Kind: String, Sendable {
    case invalidURL, connectFailed, tlsFailed, timedOut, connectionClosed, malformedAnswer
  }
  public let kind: Kind
  public let message: String
  init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }
  public var description: String { "\(kind.rawValue): \(message)" }
}

/// What the client trusts as a server.
public enum HTTPTrust: Sendable {
  /// The system's certificate authorities.
  case system
  /// Only the authorities in this PEM file.
  case pemFile(String)
  /// Only these authorities, PEM.
  case pem([UInt8])
}

/// The parts of a URL that a connection needs; everything after the authority stays as written.
struct RequestURL: Sendable, Equatable {
  struct Origin: Hashable, Sendable {
    let isTLS: Bool
    let host: String
    let port: Int
  }
  let origin: Origin
  /// As a Host header shows it: without a default port.
  let authority: String
  let target: String

  init(_ text: String) throws(HTTPClientError) {
    let isTLS: Bool
    var rest: Substring
    if text.lowercased().hasPrefix("https://") {
      (isTLS, rest) = (true, text.dropFirst(8))
    } else if text.lowercased().hasPrefix("http://") {
      (isTLS, rest) = (false, text.dropFirst(7))
    } else {
      throw HTTPClientError(.invalidURL, "'\(text)' does not begin with http:// or https://")
    }
    let authorityEnd = rest.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? rest.endIndex
    let authority = rest[..<authorityEnd]
    rest = rest[authorityEnd...]
    if let hash = rest.firstIndex(of: "#") { rest = rest[..<hash] }
    guard !rest.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7f }) else {
      throw HTTPClientError(.invalidURL, "'\(text)' holds a space or control character; percent-encode it")
    }
    target = rest.hasPrefix("/") ? String(rest) : "/" + rest
    guard !authority.contains("@") else { throw HTTPClientError(.invalidURL, "user names in URLs are not supported") }
    let (host, portText) = Self.split(authority)
    let standard = isTLS ? 443 : 80
    let wellFormed = authority.hasPrefix("[") ? authority.contains("]") : !host.contains { $0 == ":" || $0 == "[" || $0 == "]" }
    guard wellFormed, !host.isEmpty, let port = portText.isEmpty ? standard : Int(portText), (1...65_535).contains(port) else {
      throw HTTPClientError(.invalidURL, "'\(authority)' is not host or host:port")
    }
    origin = Origin(isTLS: isTLS, host: String(host).lowercased(), port: port)
    let shown = host.contains(":") ? "[\(host)]" : String(host)
    self.authority = port == standard ? shown : "\(shown):\(port)"
  }

  private static func split(_ authority: Substring) -> (host: Substring, port: Substring) {
    if authority.hasPrefix("["), let end = authority.firstIndex(of: "]") {
      let host = authority[authority.index(after: authority.startIndex)..<end]
      let rest = authority[authority.index(after: end)...]
      return (host, rest.hasPrefix(":") ? rest.dropFirst() : rest)
    }
    guard let colon = authority.lastIndex(of: ":") else { return (authority, "") }
    return (authority[..<colon], authority[authority.index(after: colon)...])
  }
}
