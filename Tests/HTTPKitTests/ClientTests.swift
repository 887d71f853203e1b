import Foundation
import RegionKit
import Synchronization
import XCTest

@testable import HTTPKit

final class ClientTests: XCTestCase {
  private func url(_ server: HTTPServer, _ target: String = "/") throws -> String {
    "http://127.0.0.1:\(try XCTUnwrap(server.port))\(target)"
  }

  func testRequestsReuseOneConnection() throws {
    let server = try startServer { request in
      let body = (try? await request.body.collect(limit: 1 << 20)) ?? []
      return .text("\(request.method) \(request.target) \(request.headers["host"] ?? "") \(body.count)")
    }
    let port = try XCTUnwrap(server.port)
    let base = try url(server, "")
    let web = HTTPClient()
    for i in 0..<20 {
      let text = try awaiting {
        let answer = try await web.execute(
          HTTPClientRequest(
            method: "POST", url: base + "/a//%2F?x=\(i)", headers: ["X": "y"], body: ByteStream([UInt8](repeating: 1, count: i))))
        XCTAssertEqual(answer.status, 200)
        return String(decoding: try await answer.body.collect(limit: 1000), as: UTF8.self)
      }
      XCTAssertEqual(text, "POST /a//%2F?x=\(i) 127.0.0.1:\(port) \(i)")
      XCTAssertEqual(server.connectionCount, 1)
    }
    web.closeIdle()
    try stop(server, grace: 5)
  }

  /// 64 MiB up and down at once, with memory that does not grow with it.
  func testLargeBodiesStayOutOfMemory() throws {
    let server = try startServer { request in
      HTTPServerResponse(status: 200, body: ByteStream(length: request.body.length) { try await request.body.next() })
    }
    let base = try url(server)
    let web = HTTPClient()
    let size = 64 << 20
    func round() throws -> Int {
      try awaiting {
        let answer = try await web.execute(HTTPClientRequest(method: "PUT", url: base, body: pattern(size)))
        var count = 0
        for try await piece in answer.body {
          XCTAssertTrue(piece.first == 0x61 && piece.last == 0x61)
          count += piece.count
        }
        return count
      }
    }
    XCTAssertEqual(try round(), size)
    let before = residentBytes()
    XCTAssertEqual(try round(), size)
    XCTAssertLessThan(residentBytes() - before, 24 << 20)
    web.closeIdle()
    try stop(server, grace: 5)
  }

  func testTimeoutsAndCancellation() throws {
    let entered = Counter()
    let cancelled = Counter()
    let server = try startServer { request in
      entered.add(1)
      if request.target == "/half" {
        let first = Counter()
        return HTTPServerResponse(
          status: 200,
          body: ByteStream(length: 10) {
            first.add(1)
            if first.count > 1 { try await SystemClock().sleepReal(60) }
            return [1, 2, 3]
          })
      }
      do { try await SystemClock().sleepReal(60) } catch { cancelled.add(1) }
      return .text("")
    }
    let base = try url(server, "")
    let web = HTTPClient()
    func failure(_ request: HTTPClientRequest) throws -> HTTPClientError.Kind? {
      try awaiting {
        do {
          let answer = try await web.execute(request)
          _ = try await answer.body.collect(limit: 100)
          return nil
        } catch let error as HTTPClientError { return error.kind }
      }
    }
    XCTAssertEqual(try failure(HTTPClientRequest(url: base + "/", timeout: 0.2)), .timedOut)
    XCTAssertEqual(try failure(HTTPClientRequest(url: base + "/", idleTimeout: 0.2)), .timedOut)
    XCTAssertEqual(try failure(HTTPClientRequest(url: base + "/half", idleTimeout: 0.2)), .timedOut)
    XCTAssertTrue(cancelled.waits { $0 == 2 })
    let seen = entered.count
    let task = Task { try await web.execute(HTTPClientRequest(url: base + "/")).status }
    XCTAssertTrue(entered.waits { $0 == seen + 1 })
    task.cancel()
    XCTAssertThrowsError(try awaiting { try await task.value }) { XCTAssertTrue($0 is CancellationError, "\($0)") }
    XCTAssertTrue(cancelled.waits { $0 == 3 })
    try stop(server)
  }

  func testFailures() throws {
    let web = HTTPClient()
    func kind(_ url: String) throws -> HTTPClientError.Kind? {
      try awaiting {
        do {
          _ = try await web.execute(HTTPClientRequest(url: url, timeout: 5))
          return nil
        } catch let error as HTTPClientError { return error.kind }
      }
    }
    for bad in ["", "ftp://x/", "http://", "http://h:99999/", "http://u@h/", "http://h/a b", "http://[::1"] {
      XCTAssertEqual(try kind(bad), .invalidURL, bad)
    }
    let server = try startServer { _ in .text("") }
    let port = try XCTUnwrap(server.port)
    try stop(server)
    XCTAssertEqual(try kind("http://127.0.0.1:\(port)/"), .connectFailed)
  }

  func testURLs() throws {
    let url = try RequestURL("HTTPS://Example.com/a%2Fb?c=d#e")
    XCTAssertEqual(url.origin, RequestURL.Origin(isTLS: true, host: "example.com", port: 443))
    XCTAssertEqual(url.authority, "Example.com")
    XCTAssertEqual(url.target, "/a%2Fb?c=d")
    let six = try RequestURL("http://[::1]:8080?x")
    XCTAssertEqual(six.origin, RequestURL.Origin(isTLS: false, host: "::1", port: 8080))
    XCTAssertEqual(six.authority, "[::1]:8080")
    XCTAssertEqual(six.target, "/?x")
  }

  func testRedirectsOnlyOnRequest() throws {
    let server = try startServer { request in
      if request.target == "/end" { return .text("end") }
      return HTTPServerResponse(status: 302, headers: ["Location": request.target == "/a" ? "b" : "/end"])
    }
    let base = try url(server, "/a")
    let web = HTTPClient()
    let statuses = try awaiting {
      var out: [Int] = []
      for hops in [0, 1, 2] {
        let answer = try await web.execute(HTTPClientRequest(url: base, followRedirects: hops))
        _ = try await answer.body.collect(limit: 10)
        out.append(answer.status)
      }
      return out
    }
    XCTAssertEqual(statuses, [302, 302, 200])
    web.closeIdle()
    try stop(server)
  }

  func testKeptConnectionThatTheServerClosed() throws {
    var limits = HTTPServerLimits()
    limits.idleTimeout = 0.2
    let server = try startServer(limits) { .text($0.target) }
    let base = try url(server)
    let web = HTTPClient()
    for _ in 0..<3 {
      let status = try awaiting {
        let answer = try await web.execute(HTTPClientRequest(url: base))
        _ = try await answer.body.collect(limit: 10)
        return answer.status
      }
      XCTAssertEqual(status, 200)
      XCTAssertTrue(Counter().waits { _ in server.connectionCount == 0 })
    }
    try stop(server)
  }

  func testTLS() throws {
    let folder = NSTemporaryDirectory() + "rs-tls-\(getpid())"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let openssl = Process()
    openssl.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
    openssl.arguments = [
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", folder + "/key", "-out",
      folder + "/cert", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
    ]
    openssl.standardError = FileHandle.nullDevice
    openssl.standardOutput = FileHandle.nullDevice
    guard (try? openssl.run()) != nil else { throw XCTSkip("openssl is not installed") }
    openssl.waitUntilExit()
    let certificate = try Data(contentsOf: URL(fileURLWithPath: folder + "/cert"))
    let key = try Data(contentsOf: URL(fileURLWithPath: folder + "/key"))
    let server = try startServer(tls: HTTPServerTLS(certificateChainPEM: Array(certificate), privateKeyPEM: Array(key))) { request in
      let body = (try? await request.body.collect(limit: 1 << 24)) ?? []
      if request.target == "/large" { return HTTPServerResponse(status: 200, headers: ["Connection": "close"], body: pattern(5 << 20)) }
      return .text("\(request.isTLS) \(body.count) \(request.remoteAddress ?? "-")")
    }
    let port = try XCTUnwrap(server.port)
    var options = HTTPClient.Options()
    options.trust = .pemFile(folder + "/cert")
    let trusting = HTTPClient(options: options)
    for host in ["127.0.0.1", "localhost"] {
      let text = try awaiting {
        let answer = try await trusting.execute(
          HTTPClientRequest(method: "PUT", url: "https://\(host):\(port)/", body: pattern(3 << 20), timeout: 20))
        return String(decoding: try await answer.body.collect(limit: 100), as: UTF8.self)
      }
      XCTAssertTrue(text.hasPrefix("true 3145728 "), text)
    }
    let large = try awaiting {
      let answer = try await trusting.execute(HTTPClientRequest(url: "https://localhost:\(port)/large", timeout: 20))
      return try await answer.body.collect(limit: 1 << 24).count
    }
    XCTAssertEqual(large, 5 << 20)
    let kind = try awaiting { () -> HTTPClientError.Kind? in
      do {
        _ = try await HTTPClient().execute(HTTPClientRequest(url: "https://localhost:\(port)/", timeout: 10))
        return nil
      } catch let error as HTTPClientError { return error.kind }
    }
    XCTAssertEqual(kind, .tlsFailed)
    trusting.closeIdle()
    try stop(server)
  }

  /// Not an assertion about speed, but a figure in the test's output.
  func testPrintsRequestsPerSecond() throws {
    let server = try startServer { _ in .text("hello") }
    let client = try RawClient(port: try XCTUnwrap(server.port))
    let count = 2000
    let time = try ContinuousClock().measure {
      for _ in 0..<count {
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        XCTAssertEqual(try client.answer().body, "hello")
      }
    }
    print("one connection, one request at a time: \(Int(Double(count) / (time / .seconds(1)))) requests/s (debug)")
    try stop(server)
  }
}
