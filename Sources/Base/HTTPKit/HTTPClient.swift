import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import RegionKit
import Synchronization

/// A small HTTP/1.1 client. Connections are kept per origin and used again; nothing is retried except an idempotent request whose kept
/// connection turned out to be closed. Cancelling the calling task closes the connection.
public final class HTTPClient: Sendable {
  public struct Options: Sendable {
    public var trust: HTTPTrust = .system
    /// Real seconds to a connected socket; the TLS handshake counts towards the request's own limits.
    public var connectTimeout = 5.0
    /// Kept connections per origin, and how many real seconds each is kept.
    public var keptPerOrigin = 8
    public var keepFor = 20.0
    /// When set, every request goes over this Unix socket and the URL's host is only a name.
    public var unixSocket: String?
    /// Bytes of an answer's body held in memory for its reader.
    public var bodyBuffer = 512 * 1024
    public init() {}
  }

  private let options: Options
  private let pool: HTTPClientPool
  private let group = MultiThreadedEventLoopGroup.singleton
  private let tls = Mutex<NIOSSLContext?>(nil)

  public init(options: Options = Options()) {
    self.options = options
    pool = HTTPClientPool(perOrigin: options.keptPerOrigin, keepFor: options.keepFor)
  }
  deinit { pool.closeAll() }

  /// Sends the request and answers once the head of the response is there. Throws `HTTPClientError`, `CancellationError`, or whatever the
  /// request's body throws.
  public func execute(_ request: HTTPClientRequest) async throws -> HTTPClientResponse {
    var request = request
    var hops = request.followRedirects
    while true {
      let url = try RequestURL(request.url)
      let response = try await send(request, to: url)
      guard hops > 0, [301, 302, 303, 307, 308].contains(response.status), let location = response.headers["location"],
        request.method == "GET" || request.method == "HEAD"
      else { return response }
      hops -= 1
      let next = Self.resolve(location, against: url)
      if (try? RequestURL(next).origin) != url.origin { request.headers["authorization"] = nil }
      request.headers["host"] = nil
      request.url = next
    }
  }

  /// Closes the kept connections; requests in progress go on.
  public func closeIdle() { pool.closeAll() }

  private static func resolve(_ location: String, against url: RequestURL) -> String {
    if location.contains("://") { return location }
    let scheme = url.origin.isTLS ? "https" : "http"
    if location.hasPrefix("//") { return "\(scheme):\(location)" }
    if location.hasPrefix("/") { return "\(scheme)://\(url.authority)\(location)" }
    let path = url.target.prefix { $0 != "?" }
    let folder = path.lastIndex(of: "/").map { path[...$0] } ?? "/"
    return "\(scheme)://\(url.authority)\(folder)\(location)"
  }

  /// A body this small is kept in memory, goes out with the head, and can be sent again.
  private static let smallBody: Int64 = 64 * 1024

  private func send(_ request: HTTPClientRequest, to url: RequestURL) async throws -> HTTPClientResponse {
    let started = NIODeadline.now()
    var whole: [UInt8]? = []
    if let body = request.body {
      if let length = body.length, length <= Self.smallBody {
        whole = try await body.collect(limit: Int(Self.smallBody))
      } else {
        whole = nil
      }
    }
    let repeatable = whole != nil && ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"].contains(request.method)
    while true {
      try Task.checkCancellation()
      let kept = pool.take(url.origin)
      let connection: HTTPClientConnection
      if let kept { connection = kept } else { connection = try await connect(url.origin, within: request.timeout) }
      let exchange = ClientExchange(request: request, url: url, whole: whole, started: started, highWater: options.bodyBuffer)
      do {
        return try await connection.run(exchange) { [pool] connection in pool.give(connection, origin: url.origin) }
      } catch let error as HTTPClientError where kept != nil && error.kind == .connectionClosed && !exchange.sawAnswer {
        // The server closed the kept connection just as we used it.
        if !repeatable && exchange.wasWritten { throw error }
        if request.body != nil && whole == nil { throw error }
      }
    }
  }

  private func connect(_ origin: RequestURL.Origin, within limit: Double) async throws -> HTTPClientConnection {
    let tls = origin.isTLS ? try context() : nil
    let bootstrap = ClientBootstrap(group: group)
      .connectTimeout(.milliseconds(Int64(min(options.connectTimeout, limit) * 1000)))
      .channelOption(.autoRead, value: false)
      .channelOption(.writeBufferWaterMark, value: .init(low: 128 * 1024, high: 512 * 1024))
    // Several addresses may be tried, each with a channel of its own. Kept here and not looked up in the pipeline, which is empty already
    // when TLS has failed by then.
    let made = MadeConnections()
    let ready = bootstrap.channelInitializer { channel in
      channel.eventLoop.makeCompletedFuture {
        let operations = channel.pipeline.syncOperations
        if let tls {
          let name = Self.isAddress(origin.host) ? nil : origin.host
          try operations.addHandler(NIOSSLClientHandler(context: tls, serverHostname: name))
        }
        try operations.addHTTPClientHandlers(leftOverBytesStrategy: .dropBytes)
        let connection = HTTPClientConnection(channel: channel, isTLS: origin.isTLS)
        made.all.withLock { $0[ObjectIdentifier(channel)] = connection }
        try operations.addHandler(connection)
      }
    }
    do {
      let channel: any Channel
      if let path = options.unixSocket {
        channel = try await ready.connect(unixDomainSocketPath: path).get()
      } else {
        channel = try await ready.channelOption(.tcpOption(.tcp_nodelay), value: 1).connect(host: origin.host, port: origin.port).get()
      }
      guard let connection = made.all.withLock({ $0[ObjectIdentifier(channel)] }) else {
        throw HTTPClientError(.connectFailed, "\(origin.host):\(origin.port) has no connection.")
      }
      if Task.isCancelled {
        channel.close(promise: nil)
        throw CancellationError()
      }
      return connection
    } catch let error as HTTPClientError {
      throw error
    } catch let error as CancellationError {
      throw error
    } catch {
      throw HTTPClientError(.connectFailed, "\(origin.host):\(origin.port) cannot be reached: \(error)")
    }
  }

  private static func isAddress(_ host: String) -> Bool { (try? SocketAddress(ipAddress: host, port: 0)) != nil }

  private func context() throws -> NIOSSLContext {
    if let made = tls.withLock({ $0 }) { return made }
    var configuration = TLSConfiguration.makeClientConfiguration()
    configuration.applicationProtocols = ["http/1.1"]
    do {
      switch options.trust {
      case .system: configuration.trustRoots = .default
      case .pemFile(let path): configuration.trustRoots = .file(path)
      case .pem(let bytes): configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(bytes))
      }
      let made = try NIOSSLContext(configuration: configuration)
      tls.withLock { $0 = made }
      return made
    } catch {
      throw HTTPClientError(.tlsFailed, "the trusted certificates cannot be read: \(error)")
    }
  }
}

/// The connections of one attempt to connect, by channel.
private final class MadeConnections: Sendable {
  let all = Mutex<[ObjectIdentifier: HTTPClientConnection]>([:])
}

/// Kept connections, youngest first.
final class HTTPClientPool: Sendable {
  private struct Kept {
    let connection: HTTPClientConnection
    let since: NIODeadline
  }
  private let kept = Mutex<[RequestURL.Origin: [Kept]]>([:])
  private let perOrigin: Int
  private let keepFor: TimeAmount
  init(perOrigin: Int, keepFor: Double) {
    self.perOrigin = perOrigin
    self.keepFor = .milliseconds(Int64(keepFor * 1000))
  }

  func take(_ origin: RequestURL.Origin) -> HTTPClientConnection? {
    let now = NIODeadline.now()
    let (found, stale) = kept.withLock { kept -> (HTTPClientConnection?, [HTTPClientConnection]) in
      var stale: [HTTPClientConnection] = []
      while let last = kept[origin]?.popLast() {
        if last.connection.isOpen && last.since + keepFor > now { return (last.connection, stale) }
        stale.append(last.connection)
      }
      return (nil, stale)
    }
    for connection in stale { connection.close() }
    return found
  }

  func give(_ connection: HTTPClientConnection, origin: RequestURL.Origin) {
    let surplus = kept.withLock { kept -> HTTPClientConnection? in
      kept[origin, default: []].append(Kept(connection: connection, since: .now()))
      guard kept[origin, default: []].count > perOrigin else { return nil }
      return kept[origin]?.removeFirst().connection
    }
    surplus?.close()
  }

  func closeAll() {
    let all = kept.withLock { kept in
      defer { kept = [:] }
      return kept.values.flatMap { $0.map(\.connection) }
    }
    for connection in all { connection.close() }
  }
}
