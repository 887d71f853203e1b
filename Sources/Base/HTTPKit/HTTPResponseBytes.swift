import NIOCore
import NIOHTTP1

/// Writes the head of an answer. The framing fields (Content-Length, Transfer-Encoding, Connection) and Date are ours; those of the
/// responder are dropped, except Content-Length on an answer to HEAD.
enum HTTPResponseBytes {
  enum Framing {
    case length(Int64)
    case chunked
    /// Neither field: 204, 304, or an HTTP/1.0 body that ends with the connection.
    case none
    /// An answer to HEAD: the responder's own Content-Length, else the length that its body would have.
    case headOnly(Int64?)
  }

  static func head(
    _ response: HTTPServerResponse, framing: Framing, exchange: ServerExchange, date: String, allocator: ByteBufferAllocator,
    extra: Int
  ) -> ByteBuffer {
    var buffer = allocator.buffer(capacity: 512 + extra)
    writeStatus(response.status, to: &buffer)
    var ownLength: String?
    for (name, value) in response.headers.entries {
      if HTTPFields.same(name, "content-length") {
        ownLength = value
        continue
      }
      if HTTPFields.same(name, "connection") {
        if HTTPFields.same(value, "close") { exchange.keepAlive = false }
        continue
      }
      if HTTPFields.same(name, "transfer-encoding") || HTTPFields.same(name, "date") { continue }
      writeField(name, value, to: &buffer)
    }
    switch framing {
    case .length(let length): writeField("Content-Length", String(length), to: &buffer)
    case .chunked: writeField("Transfer-Encoding", "chunked", to: &buffer)
    case .none: break
    case .headOnly(let length):
      if let text = ownLength ?? length.map({ String($0) }) { writeField("Content-Length", text, to: &buffer) }
    }
    writeField("Date", date, to: &buffer)
    if !exchange.keepAlive {
      buffer.writeStaticString("Connection: close\r\n")
    } else if exchange.isHTTP10 {
      buffer.writeStaticString("Connection: keep-alive\r\n")
    }
    buffer.writeStaticString("\r\n")
    return buffer
  }

  /// A whole answer without body that closes the connection, for requests no responder can be asked about.
  static func refusal(status: Int, date: String) -> [UInt8] {
    let reason = HTTPResponseStatus(statusCode: status).reasonPhrase
    return Array("HTTP/1.1 \(status) \(reason)\r\nContent-Length: 0\r\nDate: \(date)\r\nConnection: close\r\n\r\n".utf8)
  }

  private static func writeStatus(_ status: Int, to buffer: inout ByteBuffer) {
    if status == 200 {
      buffer.writeStaticString("HTTP/1.1 200 OK\r\n")
    } else {
      buffer.writeString("HTTP/1.1 \(status) \(HTTPResponseStatus(statusCode: status).reasonPhrase)\r\n")
    }
  }

  /// A line break or NUL in a value would end the field early and begin another: they become spaces. A field whose name is no token is
  /// left out.
  private static func writeField(_ name: String, _ value: String, to buffer: inout ByteBuffer) {
    guard !name.isEmpty, name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != 0x3a }) else { return }
    buffer.writeString(name)
    buffer.writeStaticString(": ")
    if value.utf8.contains(where: { $0 == 0x0d || $0 == 0x0a || $0 == 0 }) {
      buffer.writeBytes(value.utf8.map { $0 == 0x0d || $0 == 0x0a || $0 == 0 ? 0x20 : $0 })
    } else {
      buffer.writeString(value)
    }
    buffer.writeStaticString("\r\n")
  }
}
