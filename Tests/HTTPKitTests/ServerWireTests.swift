import Foundation
import RegionKit
import Synchronization
import XCTest

@testable import HTTPKit

/// What stands in the record of decisions about HTTP on NIO: each of its points on a real socket.
final class ServerWireTests: XCTestCase {
  func testContinueIsSentWhenTheBodyIsRead() throws {
    let server = try startServer { request in
      let body = (try? await request.body.collect(limit: 100)) ?? []
      return .text("got \(String(decoding: body, as: UTF8.self))")
    }
    let client = try RawClient(port: try XCTUnwrap(server.port))
    for _ in 0..<2 {
      client.send("PUT /k HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
      XCTAssertEqual(try client.read(through: "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n")
      client.send("hello")
      XCTAssertEqual(try client.answer().body, "got hello")
    }
    try stop(server)
  }

  /// An empty body is never asked for; the expectation is met all the same and the connection kept.
  func testContinueBeforeAnEmptyBody() throws {
    let server = try startServer { .text($0.target) }
    let client = try RawClient(port: try XCTUnwrap(server.port))
    for _ in 0..<3 {
      client.send("PUT /k HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n")
      var (head, body) = try client.answer()
      if head.hasPrefix("HTTP/1.1 100 ") { (head, body) = try client.answer() }
      XCTAssertTrue(head.hasPrefix("HTTP/1.1 200") && !head.contains("Connection: close"), head)
      XCTAssertEqual(body, "/k")
    }
    try stop(server)
  }

  func testAnEarlyAnswerSendsNoContinueAndCloses() throws {
    let server = try startServer { _ in .text("no", status: 403) }
    let client = try RawClient(port: try XCTUnwrap(server.port))
    client.send("PUT /k HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5000000\r\n\r\n")
    let (head, body) = try client.answer()
    XCTAssertTrue(head.hasPrefix("HTTP/1.1 403 Forbidden\r\n"))
    XCTAssertTrue(head.contains("Connection: close\r\n"))
    XCTAssertEqual(body, "no")
    try stop(server)
  }

  func testTargetIsRaw() throws {
    let server = try startServer { .text("\($0.method) \($0.target)") }
    let client = try RawClient(port: try XCTUnwrap(server.port))
    for target in ["/a//b/../c/./d", "/%2F%2f%00?x=%20+&y&&=z", "//", "/?", "/b/k%C3%A9?versionId=null", "/a;b=c?d?e", "*"] {
      let method = target == "*" ? "OPTIONS" : "GET"
      client.send("\(method) \(target) HTTP/1.1\r\nHost: h\r\n\r\n")
      XCTAssertEqual(try client.answer().body, "\(method) \(target)")
    }
    client.send("GET /ሴ HTTP/1.1\r\nHost: h\r\n\r\n")
    let answer = try client.answer()
    XCTAssertTrue(answer.body == "GET /ሴ" || answer.head.hasPrefix("HTTP/1.1 400"))
    try stop(server)
  }

  func testTargetThatIsNotUTF8() throws {
    let server = try startServer { .text($0.target) }
    let client = try RawClient(port: try XCTUnwrap(server.port))
    client.send(Array("GET /".utf8) + [0xff, 0xfe, 0xc3] + Array(" HTTP/1.1\r\nHost: h\r\nX: ".utf8) + [0xe9] + Array("\r\n\r\n".utf8))
    XCTAssertTrue(try client.read(through: "\r\n\r\n").hasPrefix("HTTP/1.1 "))
    let second = try RawClient(port: try XCTUnwrap(server.port))
    second.send("GET /ok HTTP/1.1\r\nHost: h\r\n\r\n")
    XCTAssertEqual(try second.answer().body, "/ok")
    try stop(server)
  }

  func testHeaderSpellingOrderAndRepetitionAreKept() throws {
    let server = try startServer { request in
      .text(request.headers.entries.map { "\($0.name)=\($0.value)" }.joined(separator: "|"))
    }
    let client = try RawClient(port: try XCTUnwrap(server.port))
    client.send("GET / HTTP/1.1\r\nhOST: h:1\r\nMy-Header1:value2\r\nMy-Header1: value1 \r\nX-b:  a   b\r\n\r\n")
    XCTAssertEqual(try client.answer().body, "hOST=h:1|My-Header1=value2|My-Header1=value1|X-b=a   b")
    try stop(server)
  }

  func testTrailersAndAWSChunkedInsideHTTPChunks() throws {
    let server = try startServer { request in
      let body = (try? await request.body.collect(limit: 1000)) ?? []
      return .text(
        "\(request.body.length.map { String($0) } ?? "nil") \(String(decoding: body, as: UTF8.self)) "
          + "\(request.trailers().entries.map { "\($0.name)=\($0.value)" })")
    }
    let client = try RawClient(port: try XCTUnwrap(server.port))
    client.send("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nContent-Encoding: aws-chunked\r\n\r\n")
    let framed = "b\r\nhello world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n"
    for piece in [String(framed.prefix(7)), String(framed.dropFirst(7))] {
      client.send("\(String(piece.utf8.count, radix: 16))\r\n\(piece)\r\n")
    }
    client.send("0\r\nX-Sum: abc\r\n\r\n")
    XCTAssertEqual(try client.answer().body, "nil \(framed) [\"X-Sum=abc\"]")
    try stop(server)
  }

  func testPipelinedRequestsAreAnsweredInOrder() throws {
    let running = Counter()
    let server = try startServer { request in
      running.add(1)
      defer { running.add(-1) }
      XCTAssertEqual(running.count, 1)
      let body = (try? await request.body.collect(limit: 100)) ?? []
      return .text(request.target + String(decoding: body, as: UTF8.self))
    }
    let client = try RawClient(port: try XCTUnwrap(server.port))
    client.send((0..<50).map { "POST /\($0) HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab" }.joined())
    for i in 0..<50 { XCTAssertEqual(try client.answer().body, "/\(i)ab") }
    try stop(server)
  }

  func testUnreadBodies() throws {
    let server = try startServer { .text($0.target) }
    let client = try RawClient(port: try XCTUnwrap(server.port))
    // A small one is dropped and the connection kept.
    client.send("POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n")
    client.send([UInt8](repeating: 0x20, count: 1000))
    XCTAssertEqual(try client.answer().body, "/small")
    client.send("POST /big HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n")
    let (head, body) = try client.answer()
    XCTAssertTrue(head.contains("Connection: close"))
    XCTAssertEqual(body, "/big")
    try stop(server)
  }

  func testHeadNoContentAndUnknownLength() throws {
    let server = try startServer { request in
      switch request.target {
      case "/204": return HTTPServerResponse(status: 204)
      case "/304": return HTTPServerResponse(status: 304, headers: ["ETag": "\"x\""])
      case "/stream": return HTTPServerResponse(status: 200, body: pattern(100_000, length: false))
      case "/head": return HTTPServerResponse(status: 200, headers: ["Content-Length": "12345"])
      case "/inject": return HTTPServerResponse(status: 200, headers: ["X-A": "a\r\nX-B: b", "bad name": "x"])
      default: return .text("abc")
      }
    }
    let client = try RawClient(port: try XCTUnwrap(server.port))
    func get(_ target: String, _ method: String = "GET") throws -> String {
      client.send("\(method) \(target) HTTP/1.1\r\nHost: h\r\n\r\n")
      return try client.read(through: "\r\n\r\n")
    }
    XCTAssertTrue(try get("/head", "HEAD").contains("Content-Length: 12345\r\n"))
    XCTAssertTrue(try get("/", "HEAD").contains("Content-Length: 3\r\n"))
    let stream = try get("/stream", "HEAD")
    XCTAssertFalse(stream.contains("Transfer-Encoding"))
    XCTAssertFalse(try get("/204").contains("Content-Length"))
    XCTAssertTrue(try get("/304").hasPrefix("HTTP/1.1 304"))
    XCTAssertTrue(try get("/inject").contains("X-A: a  X-B: b\r\n"))
    let chunked = try get("/stream")
    XCTAssertTrue(chunked.contains("Transfer-Encoding: chunked\r\n"))
    let body = try client.read(through: "\r\n0\r\n\r\n")
    XCTAssertEqual(body.components(separatedBy: "\r\n").filter { $0.hasPrefix("aaa") }.reduce(0) { $0 + $1.utf8.count }, 100_000)
    XCTAssertTrue(try get("/").contains("Date: "))
    client.send("GET /stream HTTP/1.0\r\n\r\n")
    let old = client.readToEnd()
    XCTAssertTrue(old.contains("Connection: close"))
    XCTAssertEqual(old.components(separatedBy: "\r\n\r\n").last?.count, 100_000)
    try stop(server)
  }

  func testRefusals() throws {
    let server = try startServer { .text($0.target) }
    let port = try XCTUnwrap(server.port)
    func status(_ text: String) throws -> String {
      let client = try RawClient(port: port)
      client.send(text)
      return String(try client.read(through: "\r\n\r\n").prefix(12))
    }
    let big = String(repeating: "x", count: 70_000)
    XCTAssertEqual(try status("GET / HTTP/1.1\r\nHost: h\r\nA: \(big)\r\n\r\n"), "HTTP/1.1 431")
    XCTAssertEqual(try status("GET /\(big) HTTP/1.1\r\nHost: h\r\n\r\n"), "HTTP/1.1 431")
    let many = (0..<300).map { "A\($0): b\r\n" }.joined()
    XCTAssertEqual(try status("GET / HTTP/1.1\r\nHost: h\r\n\(many)\r\n"), "HTTP/1.1 431")
    XCTAssertEqual(try status("nonsense\r\n\r\n"), "HTTP/1.1 400")
    XCTAssertEqual(
      try status("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "HTTP/1.1 400")
    XCTAssertEqual(try status("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n"), "HTTP/1.1 400")
    try stop(server)
  }

  func testBoundDescriptorAndUnixSocket() throws {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
    XCTAssertEqual(bound, 0)
    XCTAssertEqual(listen(descriptor, 16), 0)
    let server = try startServer(bind: .descriptor(descriptor)) { .text($0.target) }
    let client = try RawClient(port: try XCTUnwrap(server.port))
    client.send("GET /fd HTTP/1.1\r\nHost: h\r\n\r\n")
    XCTAssertEqual(try client.answer().body, "/fd")
    try stop(server)

    let path = NSTemporaryDirectory() + "rs-\(getpid()).sock"
    let unix = try startServer(bind: .unixSocket(path: path)) { .text($0.target) }
    var options = HTTPClient.Options()
    options.unixSocket = path
    let web = HTTPClient(options: options)
    let text = try awaiting {
      let answer = try await web.execute(HTTPClientRequest(url: "http://anything/unix"))
      return String(decoding: try await answer.body.collect(limit: 100), as: UTF8.self)
    }
    XCTAssertEqual(text, "/unix")
    web.closeIdle()
    try stop(unix)
    unlink(path)
  }
}
