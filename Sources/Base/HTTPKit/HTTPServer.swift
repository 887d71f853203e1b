public import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
public import RegionKit
import Synchronization

/// Where a server listens.
public enum HTTPBind: Sendable {
  /// Port 0 asks the system for a free one; `HTTPServer.port` tells which.
  case host(String, port: Int)
  case unixSocket(path: String)
  /// A stream socket that is bound already (and perhaps listens), e.g. one made inside another network namespace. The server owns it.
  case descriptor(Int32)
}

/// What a server lets a client do. Times are real seconds, sizes bytes.
public struct HTTPServerLimits: Sendable {
  /// Request line and headers together; more is answered 431.
  public var headBytes = 64 * 1024
  public var headerFields = 200
  /// From the connection's beginning to the first request's complete head, TLS included.
  public var headTimeout = 20.0
  /// A kept connection without a request is closed after this time.
  public var idleTimeout = 75.0
  /// The longest pause between two pieces of a request body.
  public var bodyStallTimeout = 60.0
  /// The longest time a client may take no byte of an answer.
  public var writeStallTimeout = 60.0
  /// Connections beyond this number are closed at once (without TLS: after a 503).
  public var connections = 10_000
  /// Bytes of a request body held in memory for its reader.
  public var bodyBuffer = 512 * 1024
  /// An unread rest of a request body up to this size is read and dropped to keep the connection; a longer one costs it.
  public var drainBytes = 256 * 1024
  /// How long a connection that will be closed still takes bytes, so that a client that is sending sees the answer.
  public var lingerTimeout = 5.0
  public init() {}
}

/// Certificate chain (leaf first) and private key, both PEM.
public struct HTTPServerTLS: Sendable {
  public let certificateChainPEM: [UInt8]
  public let privateKeyPEM: [UInt8]
  public init(certificateChainPEM: [UInt8], privateKeyPEM: [UInt8]) {
    self.certificateChainPEM = certificateChainPEM
    self.privateKeyPEM = privateKeyPEM
  }

  func makeContext() throws -> NIOSSLContext {
    let chain = try NIOSSLCertificate.fromPEMBytes(certificateChainPEM).map { NIOSSLCertificateSource.certificate($0) }
    let key = try NIOSSLPrivateKey(bytes: privateKeyPEM, format: .pem)
    var configuration = TLSConfiguration.makeServerConfiguration(certificateChain: chain, privateKey: .privateKey(key))
    configuration.applicationProtocols = ["http/1.1"]
    return try NIOSSLContext(configuration: configuration)
  }
}

/// An HTTP/1.1 server. One task runs the responder for each request; it is cancelled when the client goes away, so a responder that waits
/// (a long poll) ends at once. Request bodies are read only as fast as the responder takes them, answers written only as fast as the
/// client does. `Expect: 100-continue` is answered when the body is first asked for; an answer given before that closes the connection.
public final class HTTPServer: Sendable {
  /// The TCP port; nil for a Unix socket.
  public let port: Int?
  private let channel: any Channel
  private let connections: ConnectionRegistry
  private let tls: TLSHolder?

  private init(channel: any Channel, connections: ConnectionRegistry, tls: TLSHolder?) {
    self.channel = channel
    self.connections = connections
    self.tls = tls
    port = channel.localAddress?.port
  }

  /// Binds, listens and answers from then on. Throws what the system says when the address cannot be bound or the certificate read.
  public static func start(
    bind: HTTPBind, tls: HTTPServerTLS? = nil, limits: HTTPServerLimits = HTTPServerLimits(), clock: any RegionClock,
    logger: Logger, responder: @escaping HTTPResponder
  ) async throws -> HTTPServer {
    let holder = try tls.map { TLSHolder(try $0.makeContext()) }
    let registry = ConnectionRegistry()
    let settings = ServerSettings(
      limits: limits, dates: HTTPDateCache(clock: clock), isTLS: holder != nil, logger: logger, responder: responder,
      registry: registry)
    let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .serverChannelOption(.backlog, value: 1024)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.autoRead, value: false)
      .childChannelOption(.writeBufferWaterMark, value: .init(low: 128 * 1024, high: 512 * 1024))
      .childChannelOption(.maxMessagesPerRead, value: 4)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try Self.configure(channel, settings: settings, tls: holder) }
      }
    let channel: any Channel
    switch bind {
    case .host(let host, let port):
      channel = try await bootstrap.childChannelOption(.tcpOption(.tcp_nodelay), value: 1).bind(host: host, port: port).get()
    case .unixSocket(let path):
      channel = try await bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
    case .descriptor(let descriptor): channel = try await bootstrap.withBoundSocket(descriptor).get()
    }
    return HTTPServer(channel: channel, connections: registry, tls: holder)
  }

  private static func configure(_ channel: any Channel, settings: ServerSettings, tls: TLSHolder?) throws {
    let operations = channel.pipeline.syncOperations
    if let tls { try operations.addHandler(NIOSSLServerHandler(context: tls.context)) }
    var decoding = NIOHTTPDecoderLimitConfiguration()
    decoding.maxHeaderFieldSize = settings.limits.headBytes
    decoding.maxHeaderListSize = settings.limits.headBytes
    decoding.maxHeaderFieldCount = settings.limits.headerFields
    let decoder = HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes, limitConfiguration: decoding)
    try operations.addHandlers(
      ByteToMessageHandler(decoder), HTTPServerConnection(channel: channel, settings: settings))
  }

  /// Connections made from now on see this certificate.
  public func replaceTLS(_ tls: HTTPServerTLS) throws {
    guard let holder = self.tls else { throw AWSError.internalFailure("this listener was started without TLS") }
    holder.context = try tls.makeContext()
  }

  /// Stops listening at once, closes idle connections, lets requests in progress end for up to `grace` real seconds, then cancels them.
  public func shutdown(grace: Double) async {
    try? await channel.close().get()
    let timer = channel.eventLoop.scheduleTask(in: .milliseconds(Int64(max(0, grace) * 1000))) { [connections] in
      connections.closeAll()
    }
    connections.drainAll()
    await connections.waitUntilEmpty()
    timer.cancel()
  }

  /// How many connections are open.
  public var connectionCount: Int { connections.count }
}

/// What all connections of a server share.
struct ServerSettings: Sendable {
  let limits: HTTPServerLimits
  let dates: HTTPDateCache
  let isTLS: Bool
  let logger: Logger
  let responder: HTTPResponder
  let registry: ConnectionRegistry
}

/// The current TLS context of a listener.
final class TLSHolder: Sendable {
  private let current: Mutex<NIOSSLContext>
  init(_ context: NIOSSLContext) { current = Mutex(context) }
  var context: NIOSSLContext {
    get { current.withLock { $0 } }
    set { current.withLock { $0 = newValue } }
  }
}

/// The open connections of a server, for its limit and for an orderly end.
final class ConnectionRegistry: Sendable {
  private struct State {
    var open: [ObjectIdentifier: HTTPServerConnection] = [:]
    var draining = false
    var waiters: [CheckedContinuation<Void, Never>] = []
  }
  private let state = Mutex(State())

  var count: Int { state.withLock { $0.open.count } }

  /// False when the server is full or ends.
  func add(_ connection: HTTPServerConnection, limit: Int) -> Bool {
    state.withLock { state in
      guard !state.draining, state.open.count < limit else { return false }
      state.open[ObjectIdentifier(connection)] = connection
      return true
    }
  }

  func remove(_ connection: HTTPServerConnection) {
    let waiters = state.withLock { state -> [CheckedContinuation<Void, Never>] in
      state.open[ObjectIdentifier(connection)] = nil
      guard state.open.isEmpty else { return [] }
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in waiters { waiter.resume() }
  }

  func drainAll() {
    let open = state.withLock { state in
      state.draining = true
      return Array(state.open.values)
    }
    for connection in open { connection.drain() }
  }

  func closeAll() {
    for connection in state.withLock({ Array($0.open.values) }) { connection.close() }
  }

  func waitUntilEmpty() async {
    await withCheckedContinuation { continuation in
      let empty = state.withLock { state in
        if state.open.isEmpty { return true }
        state.waiters.append(continuation)
        return false
      }
      if empty { continuation.resume() }
    }
  }
}
