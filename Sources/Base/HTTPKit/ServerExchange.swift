import NIOCore
import NIOHTTP1
import RegionKit

/// One request and its answer. Confined to the connection's event loop, save `body`, which is safe from any thread.
final class ServerExchange: @unchecked Sendable {
  let isHead: Bool
  let isHTTP10: Bool
  /// The request body's length when the head tells it; nil for a chunked one.
  let declaredLength: Int64?
  let head: HTTPRequestHead
  private(set) var body: BodyQueue
  var task: Task<Void, Never>?
  var keepAlive: Bool
  var requestEnded = false
  var responseStarted = false
  var responseEnded = false
  /// The client waits for `100 Continue` before it sends the body.
  var awaitsContinue: Bool
  /// The request's framing was wrong or it stalled: nothing that follows on the connection can be understood.
  var broken = false

  init(head: HTTPRequestHead, highWater: Int, demand: @escaping @Sendable (ServerExchange) -> Void) {
    self.head = head
    isHead = head.method == .HEAD
    isHTTP10 = head.version.minor == 0
    let upgrades = head.method == .CONNECT || head.headers.contains(name: "upgrade")
    // The parser stops at an upgrade, and we know no protocol to upgrade to.
    keepAlive = head.isKeepAlive && !upgrades
    awaitsContinue = !isHTTP10 && head.headers.first(name: "expect").map { Self.trimmed($0).lowercased() } == "100-continue"
    if head.headers.contains(name: "transfer-encoding") {
      declaredLength = nil
    } else {
      declaredLength = head.headers.first(name: "content-length").flatMap { Int64(Self.trimmed($0)) } ?? 0
    }
    let link = Link()
    body = BodyQueue(highWater: highWater) { if let exchange = link.exchange { demand(exchange) } }
    link.exchange = self
  }

  private final class Link: @unchecked Sendable { weak var exchange: ServerExchange? }

  /// The parser leaves white space at the end of a value, which is not part of it (RFC 9110 §5.5).
  private static func trimmed(_ value: String) -> String {
    guard let last = value.utf8.last, last == 0x20 || last == 0x09 else { return value }
    var bytes = value.utf8[...]
    while let last = bytes.last, last == 0x20 || last == 0x09 { bytes = bytes.dropLast() }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// For the log: without the query, which may hold a signature.
  var path: String { String(head.uri.prefix { $0 != "?" }.prefix(200)) }

  func request(remoteAddress: String?, isTLS: Bool) -> HTTPServerRequest {
    let body = body
    return HTTPServerRequest(
      method: head.method.rawValue, target: head.uri,
      headers: HTTPFields(head.headers.map { (name: $0.name, value: Self.trimmed($0.value)) }),
      body: ByteStream(length: declaredLength) { try await body.next() }, trailers: { body.trailers },
      remoteAddress: remoteAddress, isTLS: isTLS)
  }
}
