import Logging
import NIOCore
import NIOHTTP1
import RegionKit

/// One client connection. Everything here runs on the channel's event loop, save what says otherwise; the responder runs in a task of
/// its own. Requests that arrive while an earlier one is being answered wait in `pipelined`, and no more than one read beyond is made.
final class HTTPServerConnection: ChannelInboundHandler, @unchecked Sendable {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = ByteBuffer

  private enum Phase {
    case idle
    case exchange(ServerExchange)
    /// The last answer is out; what the client still sends is dropped until it closes or the linger time is over.
    case lingering
    case closed
  }

  let channel: any Channel
  let settings: ServerSettings
  private var phase = Phase.idle
  private var pipelined = CircularBuffer<HTTPServerRequestPart>()
  private var parserFailure: (any Error)?
  private var reading = false
  private var draining = false
  private var deadline = NIODeadline.distantFuture
  private var timer: Scheduled<Void>?
  private var writable: CheckedContinuation<Bool, Never>?
  private var remoteAddress: String?

  init(channel: any Channel, settings: ServerSettings) {
    self.channel = channel
    self.settings = settings
  }

  // MARK: life of the connection

  func channelActive(context: ChannelHandlerContext) {
    remoteAddress = context.remoteAddress?.ipAddress
    guard settings.registry.add(self, limit: settings.limits.connections) else {
      phase = .closed
      if !settings.isTLS {
        let head = HTTPResponseBytes.refusal(status: 503, date: settings.dates.text)
        context.writeAndFlush(wrapOutboundOut(context.channel.allocator.buffer(bytes: head)), promise: nil)
      }
      closeWhenSent()
      return
    }
    expire(in: settings.limits.headTimeout)
    scheduleTick()
    readIfWanted(context)
  }

  func channelInactive(context: ChannelHandlerContext) {
    timer?.cancel()
    timer = nil
    if case .exchange(let exchange) = phase {
      exchange.body.fail(BodyFailure.connectionClosed)
      exchange.task?.cancel()
    }
    phase = .closed
    pipelined.removeAll()
    writable?.resume(returning: false)
    writable = nil
    settings.registry.remove(self)
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard let parser = error as? HTTPParserError else {
      settings.logger.debug("connection failed", metadata: ["error": "\(error)", "peer": "\(remoteAddress ?? "-")"])
      context.close(promise: nil)
      return
    }
    switch phase {
    case .idle: refuse(parser, context)
    case .exchange(let exchange):
      if exchange.requestEnded {
        parserFailure = parser  // belongs to a later, pipelined request
      } else {
        exchange.body.fail(AWSError("IncompleteBody", "The request body's framing is malformed: \(parser).", status: 400))
        exchange.keepAlive = false
        exchange.broken = true
      }
    case .lingering, .closed: context.close(promise: nil)
    }
  }

  private func refuse(_ error: any Error, _ context: ChannelHandlerContext) {
    let tooLarge = (error as? HTTPParserError) == .headerOverflow
    let bytes = HTTPResponseBytes.refusal(status: tooLarge ? 431 : 400, date: settings.dates.text)
    context.writeAndFlush(wrapOutboundOut(context.channel.allocator.buffer(bytes: bytes)), promise: nil)
    linger()
    readIfWanted(context)
  }

  /// From any thread: ends the connection after the request in progress.
  func drain() {
    channel.eventLoop.execute { [self] in
      draining = true
      if case .idle = phase { channel.close(promise: nil) }
    }
  }

  /// From any thread: ends the connection now; the responder's task is cancelled.
  func close() { channel.close(promise: nil) }

  // MARK: time

  private func expire(in seconds: Double) { deadline = .now() + .milliseconds(Int64(seconds * 1000)) }

  /// One lazy timer per connection looks at `deadline` now and then; moving the deadline costs nothing.
  private func scheduleTick() {
    let limits = settings.limits
    let shortest = min(limits.headTimeout, limits.idleTimeout, limits.bodyStallTimeout, limits.writeStallTimeout, limits.lingerTimeout)
    let pause = TimeAmount.milliseconds(Int64(max(0.05, min(shortest / 2, 10)) * 1000))
    timer = channel.eventLoop.scheduleTask(in: pause) { [self] in
      if deadline <= .now() { expired() }
      if case .closed = phase { return }
      scheduleTick()
    }
  }

  private func expired() {
    guard case .exchange(let exchange) = phase, !exchange.requestEnded, !exchange.responseStarted else {
      channel.close(promise: nil)
      return
    }
    deadline = .distantFuture
    exchange.keepAlive = false
    exchange.broken = true
    exchange.body.fail(
      AWSError(
        "RequestTimeout", "Your socket connection to the server was not read from or written to within the timeout period.", status: 400))
  }

  // MARK: reading

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let part = unwrapInboundIn(data)
    if case .exchange(let exchange) = phase, exchange.requestEnded {
      pipelined.append(part)
    } else {
      handle(part, context)
    }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    reading = false
    readIfWanted(context)
    context.fireChannelReadComplete()
  }

  private func handle(_ part: HTTPServerRequestPart, _ context: ChannelHandlerContext) {
    switch (part, phase) {
    case (.head(let head), .idle): begin(head, context)
    case (.body(let buffer), .exchange(let exchange)):
      expire(in: settings.limits.bodyStallTimeout)
      guard !exchange.responseEnded else { return }
      exchange.body.append(buffer.getBytes(at: buffer.readerIndex, length: buffer.readableBytes) ?? [])
    case (.end(let trailers), .exchange(let exchange)):
      exchange.requestEnded = true
      if channel.isWritable { deadline = .distantFuture }
      exchange.body.finish(trailers: trailers.map { HTTPFields($0.map { (name: $0.name, value: $0.value) }) } ?? HTTPFields())
      if exchange.responseEnded { next(after: exchange, context) }
    case (.end, .lingering): closeWhenSent()
    default: break
    }
  }

  private func begin(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
    let exchange = ServerExchange(head: head, highWater: settings.limits.bodyBuffer) { [weak self] exchange in
      guard let self else { return }
      self.channel.eventLoop.execute { self.bodyDemanded(by: exchange) }
    }
    phase = .exchange(exchange)
    if draining { exchange.keepAlive = false }
    expire(in: settings.limits.bodyStallTimeout)
    // An empty body is never asked for, yet botocore sends nothing more on a connection that answered its expectation with a final status.
    if exchange.declaredLength == 0 { sendContinue(exchange, context) }
    let request = exchange.request(remoteAddress: remoteAddress, isTLS: settings.isTLS)
    exchange.task = Task { [self, responder = settings.responder] in
      let response = await responder(request)
      await HTTPResponseDelivery(connection: self, exchange: exchange).deliver(response)
    }
  }

  private func bodyDemanded(by exchange: ServerExchange) {
    guard case .exchange(let current) = phase, current === exchange,
      let context = try? channel.pipeline.syncOperations.context(handler: self)
    else { return }
    sendContinue(exchange, context)
    if !exchange.requestEnded { expire(in: settings.limits.bodyStallTimeout) }
    readIfWanted(context)
  }

  private func sendContinue(_ exchange: ServerExchange, _ context: ChannelHandlerContext) {
    guard exchange.awaitsContinue else { return }
    exchange.awaitsContinue = false
    if exchange.requestEnded || exchange.responseStarted { return }
    context.writeAndFlush(
      wrapOutboundOut(context.channel.allocator.buffer(string: "HTTP/1.1 100 Continue\r\n\r\n")), promise: nil)
  }

  /// While a request is being answered one read stays outstanding, so that the client's leaving is noticed.
  private func readIfWanted(_ context: ChannelHandlerContext) {
    guard !reading else { return }
    switch phase {
    case .idle: if parserFailure != nil { return }
    case .exchange(let exchange):
      if exchange.requestEnded {
        guard pipelined.isEmpty else { return }
      } else if exchange.body.isPaused {
        deadline = .distantFuture  // the reader is slow, not the client
        return
      }
    case .lingering: break
    case .closed: return
    }
    reading = true
    context.read()
  }

  // MARK: answering; called on the loop by the exchange's delivery

  /// Whether the exchange is still the one being answered.
  func isCurrent(_ exchange: ServerExchange) -> Bool {
    if case .exchange(let current) = phase { current === exchange } else { false }
  }

  /// Decides whether the connection outlives this answer, which the head must say.
  func startAnswer(_ exchange: ServerExchange) {
    exchange.responseStarted = true
    if draining { exchange.keepAlive = false }
    if !exchange.requestEnded {
      let rest = exchange.declaredLength ?? Int64.max
      if exchange.awaitsContinue || rest > Int64(settings.limits.drainBytes) { exchange.keepAlive = false }
    }
  }

  /// Writes and, unless the client is slow, answers true at once. False: the connection is gone.
  func write(_ buffer: ByteBuffer, then done: CheckedContinuation<Bool, Never>?) {
    channel.writeAndFlush(buffer, promise: nil)
    // Time runs only while the client takes nothing: a responder may be slow to make the next piece.
    if channel.isWritable { deadline = .distantFuture } else { expire(in: settings.limits.writeStallTimeout) }
    guard let done else { return }
    if case .closed = phase {
      done.resume(returning: false)
    } else if channel.isWritable {
      done.resume(returning: true)
    } else {
      writable?.resume(returning: false)
      writable = done
    }
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if context.channel.isWritable {
      if case .exchange(let exchange) = phase, exchange.requestEnded { deadline = .distantFuture }
      writable?.resume(returning: true)
      writable = nil
    }
    context.fireChannelWritabilityChanged()
  }

  /// The answer's last byte was written (perhaps not yet sent).
  func endAnswer(_ exchange: ServerExchange) {
    guard isCurrent(exchange), let context = try? channel.pipeline.syncOperations.context(handler: self) else { return }
    exchange.responseEnded = true
    exchange.body.abandon()
    if exchange.broken {
      linger()
      readIfWanted(context)
    } else if exchange.requestEnded {
      next(after: exchange, context)
    } else if exchange.keepAlive {
      expire(in: settings.limits.bodyStallTimeout)
      readIfWanted(context)
    } else {
      linger()
      readIfWanted(context)
    }
  }

  /// The answer broke off: the client must see that it is incomplete.
  func abortAnswer() { channel.close(promise: nil) }

  /// The answer was the last. Once it is sent, what the client still sends is dropped for a while before the connection closes: closing
  /// at once would reset it, and the answer might be lost.
  private func linger() {
    phase = .lingering
    expire(in: settings.limits.writeStallTimeout)
    whenSent { connection in connection.expire(in: connection.settings.limits.lingerTimeout) }
  }

  /// Closes once everything written has left: a close drops what is still queued.
  private func closeWhenSent() {
    if case .closed = phase {} else { phase = .lingering }
    expire(in: settings.limits.writeStallTimeout)
    whenSent { connection in connection.channel.close(promise: nil) }
  }

  private func whenSent(_ action: @escaping @Sendable (HTTPServerConnection) -> Void) {
    let sent = channel.eventLoop.makePromise(of: Void.self)
    channel.writeAndFlush(ByteBuffer(), promise: sent)
    sent.futureResult.whenComplete { [self] _ in action(self) }
  }

  private func next(after exchange: ServerExchange, _ context: ChannelHandlerContext) {
    guard exchange.keepAlive, !draining else { return closeWhenSent() }
    phase = .idle
    expire(in: settings.limits.idleTimeout)
    while let part = pipelined.popFirst() {
      handle(part, context)
      if case .exchange(let current) = phase, current.requestEnded { break }
    }
    if case .idle = phase, let failure = parserFailure { return refuse(failure, context) }
    readIfWanted(context)
  }
}
