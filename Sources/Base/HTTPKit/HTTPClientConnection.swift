import NIOCore
import NIOHTTP1
import NIOSSL
import RegionKit
import Synchronization

/// One request of a client and its answer. Confined to the connection's event loop once it runs, save `body`.
final class ClientExchange: @unchecked Sendable {
  let request: HTTPClientRequest
  let url: RequestURL
  /// The request's body when it is small; nil when it is streamed.
  let whole: [UInt8]?
  let deadline: NIODeadline?
  let highWater: Int
  var body: BodyQueue?
  var answer: CheckedContinuation<HTTPClientResponse, any Error>?
  var giveBack: (@Sendable (HTTPClientConnection) -> Void)?
  var writer: Task<Void, Never>?
  var limit: Scheduled<Void>?
  var lastHeard = NIODeadline.now()
  /// The request was handed to the socket, at least in part.
  var wasWritten = false
  var sentWhole = false
  var sawAnswer = false
  var keepAlive = false
  var cancelled = false

  init(request: HTTPClientRequest, url: RequestURL, whole: [UInt8]?, started: NIODeadline, highWater: Int) {
    self.request = request
    self.url = url
    self.whole = whole
    self.highWater = highWater
    deadline = request.timeout.isFinite ? started + .milliseconds(Int64(request.timeout * 1000)) : nil
  }
}

/// One connection of a client, used by one exchange at a time.
final class HTTPClientConnection: ChannelInboundHandler, @unchecked Sendable {
  typealias InboundIn = HTTPClientResponsePart
  typealias OutboundOut = HTTPClientRequestPart

  let channel: any Channel
  private let isTLS: Bool
  private let open = Mutex(true)
  private var exchange: ClientExchange?
  private var failure: HTTPClientError?
  private var reading = false
  private var writable: CheckedContinuation<Bool, Never>?

  init(channel: any Channel, isTLS: Bool) {
    self.channel = channel
    self.isTLS = isTLS
  }

  /// From any thread.
  var isOpen: Bool { open.withLock { $0 } }
  /// From any thread.
  func close() { channel.close(promise: nil) }

  /// Sends the request and suspends until the answer's head has come. `giveBack` is called when the connection may be used again.
  func run(
    _ exchange: ClientExchange, giveBack: @escaping @Sendable (HTTPClientConnection) -> Void
  ) async throws -> HTTPClientResponse {
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        channel.eventLoop.execute {
          exchange.answer = continuation
          exchange.giveBack = giveBack
          self.start(exchange)
        }
      }
    } onCancel: {
      channel.eventLoop.execute {
        exchange.cancelled = true
        self.end(exchange, CancellationError())
      }
    }
  }

  // MARK: sending

  private func start(_ exchange: ClientExchange) {
    if exchange.cancelled {
      exchange.answer?.resume(throwing: CancellationError())
      exchange.answer = nil
      return close()
    }
    guard isOpen, self.exchange == nil else {
      let error = failure ?? HTTPClientError(.connectionClosed, "the server closed the connection")
      exchange.answer?.resume(throwing: error)
      exchange.answer = nil
      return
    }
    self.exchange = exchange
    exchange.lastHeard = .now()
    schedule(exchange)
    exchange.wasWritten = true
    channel.write(HTTPClientRequestPart.head(Self.head(exchange)), promise: nil)
    if let whole = exchange.whole {
      if !whole.isEmpty { channel.write(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: whole))), promise: nil) }
      channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
      exchange.sentWhole = true
    } else if let body = exchange.request.body {
      channel.flush()
      exchange.writer = Task { await self.send(body, exchange) }
    }
    read()
  }

  private static func head(_ exchange: ClientExchange) -> HTTPRequestHead {
    let request = exchange.request
    var headers = HTTPHeaders(request.headers.entries.map { ($0.name, $0.value) })
    if !headers.contains(name: "host") { headers.add(name: "Host", value: exchange.url.authority) }
    if let whole = exchange.whole {
      if !whole.isEmpty || !["GET", "HEAD", "DELETE"].contains(request.method) {
        headers.replaceOrAdd(name: "Content-Length", value: String(whole.count))
      }
    } else if let length = request.body?.length {
      headers.replaceOrAdd(name: "Content-Length", value: String(length))
    } else {
      headers.remove(name: "Content-Length")
      headers.replaceOrAdd(name: "Transfer-Encoding", value: "chunked")
    }
    return HTTPRequestHead(
      version: .http1_1, method: HTTPMethod(rawValue: request.method), uri: exchange.url.target, headers: headers)
  }

  private func send(_ body: ByteStream, _ exchange: ClientExchange) async {
    do {
      var sent: Int64 = 0
      for try await piece in body where !piece.isEmpty {
        sent += Int64(piece.count)
        let more = await withCheckedContinuation { (done: CheckedContinuation<Bool, Never>) in
          channel.eventLoop.execute {
            guard self.exchange === exchange else { return done.resume(returning: false) }
            exchange.lastHeard = .now()
            self.channel.writeAndFlush(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: piece))), promise: nil)
            if self.channel.isWritable { done.resume(returning: true) } else { self.writable = done }
          }
        }
        guard more else { return }
      }
      if let length = body.length, sent != length {
        throw HTTPClientError(.connectionClosed, "the request's body has \(sent) bytes, not the \(length) announced")
      }
      channel.eventLoop.execute {
        guard self.exchange === exchange else { return }
        exchange.sentWhole = true
        exchange.lastHeard = .now()
        self.channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
      }
    } catch {
      channel.eventLoop.execute { self.end(exchange, error) }
    }
  }

  // MARK: time

  private func schedule(_ exchange: ClientExchange) {
    let idleEnd = exchange.lastHeard + .milliseconds(Int64(min(exchange.request.idleTimeout, 1e9) * 1000))
    let next = exchange.deadline.map { min($0, idleEnd) } ?? idleEnd
    exchange.limit = channel.eventLoop.scheduleTask(deadline: next) { [weak self] in
      guard let self, self.exchange === exchange else { return }
      let now = NIODeadline.now()
      if let deadline = exchange.deadline, deadline <= now {
        return self.end(exchange, HTTPClientError(.timedOut, "no complete answer within \(exchange.request.timeout) s"))
      }
      let idleEnd = exchange.lastHeard + .milliseconds(Int64(min(exchange.request.idleTimeout, 1e9) * 1000))
      if idleEnd <= now, exchange.body?.isPaused != true {
        return self.end(exchange, HTTPClientError(.timedOut, "the server was silent for \(exchange.request.idleTimeout) s"))
      }
      if exchange.body?.isPaused == true { exchange.lastHeard = now }
      self.schedule(exchange)
    }
  }

  // MARK: receiving

  func channelActive(context: ChannelHandlerContext) {
    if isTLS { read() }
    context.fireChannelActive()
  }

  private func read() {
    guard !reading, exchange?.body?.isPaused != true else { return }
    reading = true
    channel.read()
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    reading = false
    read()
    context.fireChannelReadComplete()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard let exchange else {
      context.close(promise: nil)  // an answer nobody asked for
      return
    }
    exchange.lastHeard = .now()
    switch unwrapInboundIn(data) {
    case .head(let head): answer(head, exchange)
    case .body(let buffer):
      exchange.body?.append(buffer.getBytes(at: buffer.readerIndex, length: buffer.readableBytes) ?? [])
    case .end(let trailers):
      self.exchange = nil
      exchange.limit?.cancel()
      exchange.writer?.cancel()
      if exchange.keepAlive && exchange.sentWhole {
        exchange.giveBack?(self)
      } else {
        context.close(promise: nil)
      }
      exchange.giveBack = nil
      // Last, so that a reader who asks again at once finds this connection in the pool.
      exchange.body?.finish(trailers: trailers.map { HTTPFields($0.map { (name: $0.name, value: $0.value) }) } ?? HTTPFields())
    }
  }

  private func answer(_ head: HTTPResponseHead, _ exchange: ClientExchange) {
    exchange.sawAnswer = true
    exchange.keepAlive = head.isKeepAlive
    let queue = BodyQueue(highWater: exchange.highWater) { [weak self] in
      guard let self else { return }
      self.channel.eventLoop.execute { self.read() }
    }
    exchange.body = queue
    let bodyless = exchange.request.method == "HEAD" || head.status == .noContent || head.status == .notModified
    let chunked = head.headers.contains(name: "transfer-encoding")
    let length = bodyless ? 0 : chunked ? nil : head.headers.first(name: "content-length").flatMap { Int64($0) }
    let keeper = AnswerKeeper(connection: self, exchange: exchange)
    let response = HTTPClientResponse(
      status: Int(head.status.code), headers: HTTPFields(head.headers.map { (name: $0.name, value: $0.value) }),
      body: ByteStream(length: length) {
        do {
          return try await queue.next()
        } catch {
          keeper.abandon()
          throw error
        }
      })
    exchange.answer?.resume(returning: response)
    exchange.answer = nil
  }

  /// Closes the connection when nobody holds the answer's body any more and it has not ended.
  private final class AnswerKeeper: Sendable {
    let connection: HTTPClientConnection
    let exchange: ClientExchange
    init(connection: HTTPClientConnection, exchange: ClientExchange) {
      self.connection = connection
      self.exchange = exchange
    }
    func abandon() {
      connection.channel.eventLoop.execute { [connection, exchange] in
        connection.end(exchange, HTTPClientError(.connectionClosed, "the answer's body was not read to its end"))
      }
    }
    deinit { abandon() }
  }

  // MARK: ending

  /// Ends the exchange, if it is still the current one, and the connection with it.
  private func end(_ exchange: ClientExchange, _ error: any Error) {
    guard self.exchange === exchange else { return }
    self.exchange = nil
    exchange.limit?.cancel()
    exchange.writer?.cancel()
    exchange.answer?.resume(throwing: error)
    exchange.answer = nil
    exchange.body?.fail(error)
    exchange.giveBack = nil
    writable?.resume(returning: false)
    writable = nil
    open.withLock { $0 = false }
    channel.close(promise: nil)
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if context.channel.isWritable, let waiting = writable {
      writable = nil
      waiting.resume(returning: true)
    }
    context.fireChannelWritabilityChanged()
  }

  func channelInactive(context: ChannelHandlerContext) {
    open.withLock { $0 = false }
    if let exchange {
      end(exchange, failure ?? HTTPClientError(.connectionClosed, "the server closed the connection before its answer was complete"))
    }
    writable?.resume(returning: false)
    writable = nil
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    let mapped: HTTPClientError
    switch error {
    case let error as HTTPParserError: mapped = HTTPClientError(.malformedAnswer, "\(error)")
    case NIOSSLError.uncleanShutdown: mapped = HTTPClientError(.connectionClosed, "the server ended TLS without a close")
    case is NIOSSLError, is BoringSSLError, is NIOSSLExtraError: mapped = HTTPClientError(.tlsFailed, "\(error)")
    default: mapped = HTTPClientError(.connectionClosed, "\(error)")
    }
    if failure == nil { failure = mapped }
    if let exchange { end(exchange, mapped) } else { context.close(promise: nil) }
  }
}
