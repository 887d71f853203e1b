import Logging
import NIOCore
import RegionKit

/// Carries one answer from the responder's task to the connection. A body that fits in one piece leaves with its head in one write.
struct HTTPResponseDelivery: Sendable {
  let connection: HTTPServerConnection
  let exchange: ServerExchange

  func deliver(_ response: HTTPServerResponse) async {
    let bodyless = exchange.isHead || response.status == 204 || response.status == 304 || response.status < 200
    if bodyless || response.body.length == 0 { return sendWhole(response, body: []) }
    var iterator = response.body.makeAsyncIterator()
    guard let length = response.body.length else { return await stream(response, first: nil, iterator) }
    let first: [UInt8]
    do {
      first = try await iterator.next() ?? []
    } catch {
      if error is CancellationError { return abort() }
      log("the answer's body failed before its first byte", error)
      return sendWhole(HTTPServerResponse(status: 500), body: [])
    }
    if Int64(first.count) == length { return sendWhole(response, body: first) }
    await stream(response, first: first, iterator)
  }

  /// One hop to the loop, one write.
  private func sendWhole(_ response: HTTPServerResponse, body: [UInt8]) {
    onLoop { connection in
      guard connection.isCurrent(exchange) else { return }
      connection.startAnswer(exchange)
      let framing: HTTPResponseBytes.Framing =
        response.status == 204 || response.status == 304 || response.status < 200
        ? .none : exchange.isHead ? .headOnly(response.body.length) : .length(Int64(body.count))
      var buffer = HTTPResponseBytes.head(
        response, framing: framing, exchange: exchange, date: connection.settings.dates.text,
        allocator: connection.channel.allocator, extra: body.count)
      buffer.writeBytes(body)
      connection.write(buffer, then: nil)
      connection.endAnswer(exchange)
    }
  }

  private func stream(_ response: HTTPServerResponse, first: [UInt8]?, _ iterator: ByteStream.AsyncIterator) async {
    var iterator = iterator
    let chunked = response.body.length == nil && !exchange.isHTTP10
    guard await sendHead(response, chunked: chunked) else { return }
    var left = response.body.length ?? Int64.max
    var piece = first
    do {
      if piece == nil { piece = try await iterator.next() }
      while let bytes = piece {
        guard Int64(bytes.count) <= left else {
          log("the answer's body is longer than its declared length", nil)
          return abort()
        }
        left -= Int64(bytes.count)
        if !bytes.isEmpty, await !send(bytes, chunked: chunked) { return }
        piece = try await iterator.next()
      }
    } catch {
      if !(error is CancellationError) { log("the answer's body failed after its head was sent", error) }
      return abort()
    }
    if response.body.length != nil, left != 0 {
      log("the answer's body is \(left) bytes shorter than its declared length", nil)
      return abort()
    }
    onLoop { connection in
      guard connection.isCurrent(exchange) else { return }
      if chunked { connection.write(ByteBuffer(string: "0\r\n\r\n"), then: nil) }
      connection.endAnswer(exchange)
    }
  }

  private func sendHead(_ response: HTTPServerResponse, chunked: Bool) async -> Bool {
    await withCheckedContinuation { continuation in
      connection.channel.eventLoop.execute {
        guard connection.isCurrent(exchange) else { return continuation.resume(returning: false) }
        connection.startAnswer(exchange)
        let framing: HTTPResponseBytes.Framing
        if let length = response.body.length {
          framing = .length(length)
        } else if chunked {
          framing = .chunked
        } else {
          exchange.keepAlive = false  // HTTP/1.0: the end of the connection ends the body
          framing = .none
        }
        let buffer = HTTPResponseBytes.head(
          response, framing: framing, exchange: exchange, date: connection.settings.dates.text,
          allocator: connection.channel.allocator, extra: 0)
        connection.write(buffer, then: continuation)
      }
    }
  }

  private func send(_ bytes: [UInt8], chunked: Bool) async -> Bool {
    await withCheckedContinuation { continuation in
      connection.channel.eventLoop.execute {
        guard connection.isCurrent(exchange) else { return continuation.resume(returning: false) }
        var buffer = connection.channel.allocator.buffer(capacity: bytes.count + 24)
        if chunked { buffer.writeString(String(bytes.count, radix: 16) + "\r\n") }
        buffer.writeBytes(bytes)
        if chunked { buffer.writeString("\r\n") }
        connection.write(buffer, then: continuation)
      }
    }
  }

  private func abort() { onLoop { if $0.isCurrent(exchange) { $0.abortAnswer() } } }

  private func onLoop(_ work: @escaping @Sendable (HTTPServerConnection) -> Void) {
    connection.channel.eventLoop.execute { work(connection) }
  }

  private func log(_ message: String, _ error: (any Error)?) {
    connection.settings.logger.error(
      "\(message)", metadata: ["path": "\(exchange.path)", "error": "\(error.map { "\($0)" } ?? "-")"])
  }
}
