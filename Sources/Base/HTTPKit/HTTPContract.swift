public import RegionKit

/// Header fields in the order and spelling they came; names compare without case.
public struct HTTPFields: Sendable, Equatable, ExpressibleByDictionaryLiteral {
  public var entries: [(name: String, value: String)]
  public init(_ entries: [(name: String, value: String)] = []) { self.entries = entries }
  public init(dictionaryLiteral elements: (String, String)...) { entries = elements.map { (name: $0.0, value: $0.1) } }
  /// The first value under this name.
  public subscript(_ name: String) -> String? {
    get { entries.first { Self.same($0.name, name) }?.value }
    set {
      entries.removeAll { Self.same($0.name, name) }
      if let newValue { entries.append((name, newValue)) }
    }
  }
  /// Every value under this name.
  public func all(_ name: String) -> [String] { entries.filter { Self.same($0.name, name) }.map(\.value) }
  public mutating func append(_ name: String, _ value: String) { entries.append((name, value)) }

  static func same(_ a: String, _ b: String) -> Bool {
    let x = a.utf8
    let y = b.utf8
    return x.count == y.count
      && zip(x, y).allSatisfy { p, q in
        p == q || (p | 0x20 == q | 0x20 && (0x61...0x7a).contains(p | 0x20))
      }
  }
  public static func == (a: HTTPFields, b: HTTPFields) -> Bool {
    a.entries.elementsEqual(b.entries) { $0.name == $1.name && $0.value == $1.value }
  }
}

/// A request as it came off the wire: the raw target, unnormalised and undecoded, because signatures cover it.
public struct HTTPServerRequest: Sendable {
  public let method: String
  /// Path and query exactly as sent.
  public let target: String
  public let headers: HTTPFields
  public let body: ByteStream
  /// The trailing fields; complete once `body` has ended.
  public let trailers: @Sendable () -> HTTPFields
  /// Numeric address of the peer, without port.
  public let remoteAddress: String?
  public let isTLS: Bool
  public init(
    method: String, target: String, headers: HTTPFields, body: ByteStream, trailers: @escaping @Sendable () -> HTTPFields,
    remoteAddress: String?, isTLS: Bool
  ) {
    self.method = method
    self.target = target
    self.headers = headers
    self.body = body
    self.trailers = trailers
    self.remoteAddress = remoteAddress
    self.isTLS = isTLS
  }
}

/// An answer; a body of known length is sent with Content-Length, another one chunked. HEAD answers keep their Content-Length header
/// and send no body.
public struct HTTPServerResponse: Sendable {
  public var status: Int
  public var headers: HTTPFields
  public var body: ByteStream
  public init(status: Int, headers: HTTPFields = HTTPFields(), body: ByteStream = ByteStream([])) {
    self.status = status
    self.headers = headers
    self.body = body
  }
}

public typealias HTTPResponder = @Sendable (HTTPServerRequest) async -> HTTPServerResponse
