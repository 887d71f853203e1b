import Foundation
import RegionKit
import Synchronization
import XCTest

@testable import HTTPKit

final class ServerLifeTests: XCTestCase {
  func testDisconnectCancelsTheResponder() throws {
    let started = Counter()
    let cancelled = Counter()
    let server = try startServer { _ in
      started.add(1)
      do { try await SystemClock().sleepReal(60) } catch { cancelled.add(1) }
      return .text("late")
    }
    var client: RawClient? = try RawClient(port: try XCTUnwrap(server.port))
    client?.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
    XCTAssertTrue(started.waits { $0 == 1 })
    client = nil
    XCTAssertTrue(cancelled.waits { $0 == 1 })
    try stop(server)
  }

  func testDisconnectEndsABodyThatIsBeingRead() throws {
    let failed = Counter()
    let server = try startServer { request in
      do { _ = try await request.body.collect(limit: 1 << 20) } catch { failed.add(1) }
      return .text("")
    }
    var client: RawClient? = try RawClient(port: try XCTUnwrap(server.port))
    client?.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nabc")
    usleep(50_000)
    client = nil
    XCTAssertTrue(failed.waits { $0 == 1 })
    try stop(server)
  }

  func testUploadIsReadOnlyAsFastAsItIsTaken() throws {
    let gate = DispatchSemaphore(value: 0)
    let taken = Counter()
    let server = try startServer { request in
      await withCheckedContinuation { continuation in
        DispatchQueue.global().async {
          gate.wait()
          continuation.resume()
        }
      }
      while let piece = try? await request.body.next(), !piece.isEmpty { taken.add(piece.count) }
      return .text("done")
    }
    let client = try RawClient(port: try XCTUnwrap(server.port))
    let total = 64 << 20
    client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: \(total)\r\n\r\n")
    let pushed = client.fill(limit: total)
    XCTAssertLessThan(pushed, 24 << 20, "the sockets' buffers and ours, no more")
    gate.signal()
    client.send([UInt8](repeating: 0x78, count: total - pushed))
    XCTAssertEqual(try client.answer().body, "done")
    XCTAssertEqual(taken.count, total)
    try stop(server)
  }

  func testDownloadIsMadeOnlyAsFastAsItIsTaken() throws {
    let produced = Counter()
    let total = 64 << 20
    let server = try startServer { _ in HTTPServerResponse(status: 200, body: pattern(total, produced: produced)) }
    let client = try RawClient(port: try XCTUnwrap(server.port), receiveBuffer: 64 * 1024)
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    _ = try client.read(through: "\r\n\r\n")
    var last = -1
    while produced.count != last {
      last = produced.count
      usleep(200_000)
    }
    XCTAssertLessThan(last, 24 << 20)
    var left = total
    while left > 0 {
      let n = min(left, 1 << 20)
      _ = try client.read(count: n)
      left -= n
    }
    XCTAssertEqual(produced.count, total)
    try stop(server)
  }

  /// An answer that closes the connection arrives whole, however slowly it is read; and a responder may pause longer than the limits.
  func testClosingAnswersArriveWhole() throws {
    var limits = HTTPServerLimits()
    limits.writeStallTimeout = 0.4
    limits.lingerTimeout = 0.2
    let server = try startServer(limits) { request in
      let inner = pattern(3 << 20, piece: 1 << 20)
      return HTTPServerResponse(
        status: 200, headers: ["Connection": "close"],
        body: ByteStream(length: 3 << 20) {
          if request.target == "/slow" { try await SystemClock().sleepReal(0.3) }
          return try await inner.next()
        })
    }
    for target in ["/fast", "/slow"] {
      let client = try RawClient(port: try XCTUnwrap(server.port), receiveBuffer: 32 * 1024)
      client.send("POST \(target) HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
      _ = try client.read(through: "\r\n\r\n")
      for _ in 0..<6 {
        usleep(50_000)
        XCTAssertEqual(try client.read(count: 1 << 19).count, 1 << 19)
      }
      XCTAssertEqual(client.readToEnd(), "")
    }
    try stop(server)
  }

  func testGracefulShutdown() throws {
    let started = Counter()
    let gate = DispatchSemaphore(value: 0)
    let server = try startServer { request in
      started.add(1)
      await withCheckedContinuation { continuation in
        DispatchQueue.global().async {
          gate.wait()
          continuation.resume()
        }
      }
      return .text("finished")
    }
    let port = try XCTUnwrap(server.port)
    let idle = try RawClient(port: port)
    let busy = try RawClient(port: port)
    busy.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    XCTAssertTrue(started.waits { $0 == 1 })
    let ended = Counter()
    Task {
      await server.shutdown(grace: 30)
      ended.add(1)
    }
    XCTAssertEqual(idle.readToEnd(), "")
    XCTAssertThrowsError(try RawClient(port: port))
    XCTAssertEqual(ended.count, 0)
    gate.signal()
    let (head, body) = try busy.answer()
    XCTAssertEqual(body, "finished")
    XCTAssertTrue(head.contains("Connection: close"))
    XCTAssertTrue(ended.waits { $0 == 1 })
  }

  func testShutdownCancelsAfterItsGrace() throws {
    let started = Counter()
    let cancelled = Counter()
    let server = try startServer { _ in
      started.add(1)
      do { try await SystemClock().sleepReal(60) } catch { cancelled.add(1) }
      return .text("")
    }
    let client = try RawClient(port: try XCTUnwrap(server.port))
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    XCTAssertTrue(started.waits { $0 == 1 })
    try stop(server, grace: 0.1)
    XCTAssertTrue(cancelled.waits { $0 == 1 })
  }

  func testTimeouts() throws {
    var limits = HTTPServerLimits()
    limits.headTimeout = 0.3
    limits.idleTimeout = 0.3
    limits.bodyStallTimeout = 0.3
    let server = try startServer(limits) { request in
      do {
        _ = try await request.body.collect(limit: 1000)
        return .text("ok")
      } catch let error as AWSError {
        return .text(error.code, status: 400)
      } catch { return .text("?", status: 500) }
    }
    let port = try XCTUnwrap(server.port)
    let silent = try RawClient(port: port)
    silent.send("GET / HT")
    XCTAssertEqual(silent.readToEnd(), "")
    let stalled = try RawClient(port: port)
    stalled.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
    let (head, body) = try stalled.answer()
    XCTAssertTrue(head.hasPrefix("HTTP/1.1 400") && head.contains("Connection: close"), head)
    XCTAssertEqual(body, "RequestTimeout")
    let kept = try RawClient(port: port)
    kept.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
    XCTAssertEqual(try kept.answer().body, "ok")
    XCTAssertEqual(kept.readToEnd(), "")
    try stop(server)
  }

  func testTooManyConnections() throws {
    var limits = HTTPServerLimits()
    limits.connections = 2
    let server = try startServer(limits) { .text($0.target) }
    let port = try XCTUnwrap(server.port)
    let first = try RawClient(port: port)
    let second = try RawClient(port: port)
    for client in [first, second] {
      client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
      XCTAssertEqual(try client.answer().body, "/")
    }
    XCTAssertTrue(try RawClient(port: port).readToEnd().hasPrefix("HTTP/1.1 503"))
    try stop(server)
  }

  /// Any bytes at all: the server answers or closes, and serves the next client.
  func testFuzz() throws {
    let server = try startServer { request in
      _ = try? await request.body.collect(limit: 10_000)
      return .text(request.target)
    }
    let port = try XCTUnwrap(server.port)
    var random = SeededRandom(5)
    let seeds = [
      "GET /a?b=c HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
      "PUT /k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: v\r\n\r\n",
      "PUT /k HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    ]
    for round in 0..<1500 {
      var bytes = Array((0...random.below(3)).map { _ in seeds[random.below(seeds.count)] }.joined().utf8)
      for _ in 0..<random.below(6) {
        let at = random.below(bytes.count)
        switch random.below(4) {
        case 0: bytes[at] = UInt8(random.below(256))
        case 1: bytes.remove(at: at)
        case 2: bytes.insert(UInt8(random.below(256)), at: at)
        default: bytes.removeLast(random.below(bytes.count))
        }
        if bytes.isEmpty { bytes = [0x0a] }
      }
      let client = try RawClient(port: port)
      client.send(bytes)
      if round % 8 == 0 {
        client.shutdownWriting()
        _ = client.readToEnd()
      }
    }
    let client = try RawClient(port: port)
    client.send("GET /still HTTP/1.1\r\nHost: h\r\n\r\n")
    XCTAssertEqual(try client.answer().body, "/still")
    try stop(server)
    XCTAssertEqual(server.connectionCount, 0)
  }
}

/// A small generator with a seed, so that a failing round can be repeated.
struct SeededRandom: RandomNumberGenerator {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed &+ 0x9e37_79b9_7f4a_7c15 }
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(1, bound))) }
}

extension ByteStream {
  func next() async throws -> [UInt8]? {
    var iterator = makeAsyncIterator()
    return try await iterator.next()
  }
}
