import Foundation
import Glibc
import Logging
import RegionKit
import Synchronization
import XCTest

@testable import HTTPKit

/// A blocking TCP client that sends what it is told to, byte for byte.
final class RawClient {
  private let descriptor: Int32
  private(set) var received: [UInt8] = []

  init(port: Int, timeout: Int = 10, receiveBuffer: Int32? = nil) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    if var size = receiveBuffer { setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4) }
    var limit = timeval(tv_sec: timeout, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
    guard result == 0 else { throw Failure(text: "connect: \(errno)") }
  }
  deinit { Glibc.close(descriptor) }

  struct Failure: Error { let text: String }

  func send(_ text: String) { send(Array(text.utf8)) }
  func send(_ bytes: [UInt8]) {
    var sent = 0
    while sent < bytes.count {
      let n = bytes[sent...].withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      if n <= 0 { return }
      sent += n
    }
  }

  /// Sends until the peer takes no more; answers how many bytes it took. `patience` is how long one full buffer must stay full.
  func fill(limit: Int, patience: Int32 = 700) -> Int {
    let piece = [UInt8](repeating: 0x78, count: 64 * 1024)
    var total = 0
    while total < limit {
      var poller = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
      guard poll(&poller, 1, patience) > 0 else { return total }
      let n = piece.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)) }
      if n <= 0 { return total }
      total += n
    }
    return total
  }

  /// One more piece; false at the end or after the timeout.
  private func more() -> Bool {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    let n = recv(descriptor, &buffer, buffer.count, 0)
    if n > 0 { received += buffer[..<n] }
    return n > 0
  }

  /// Reads until `text` has come and answers all up to and with it.
  func read(through text: String) throws -> String {
    let wanted = Array(text.utf8)
    var from = 0
    while true {
      if let at = Self.find(wanted, in: received, from: from) {
        let out = String(decoding: received[..<(at + wanted.count)], as: UTF8.self)
        received.removeFirst(at + wanted.count)
        return out
      }
      from = max(0, received.count - wanted.count)
      guard more() else { throw Failure(text: "never came: \(text); have: \(String(decoding: received.prefix(500), as: UTF8.self))") }
    }
  }

  func read(count: Int) throws -> [UInt8] {
    while received.count < count { guard more() else { throw Failure(text: "only \(received.count) of \(count) bytes came") } }
    defer { received.removeFirst(count) }
    return Array(received[..<count])
  }

  /// A whole answer with Content-Length.
  func answer() throws -> (head: String, body: String) {
    let head = try read(through: "\r\n\r\n")
    let length = head.lowercased().components(separatedBy: "content-length: ").dropFirst().first.flatMap { Int($0.prefix { $0.isNumber }) }
    return (head, String(decoding: try read(count: length ?? 0), as: UTF8.self))
  }

  /// Everything up to the end of the connection.
  func readToEnd() -> String {
    while more() {}
    defer { received = [] }
    return String(decoding: received, as: UTF8.self)
  }

  func shutdownWriting() { shutdown(descriptor, Int32(SHUT_WR)) }

  private static func find(_ needle: [UInt8], in hay: [UInt8], from: Int) -> Int? {
    guard hay.count >= needle.count else { return nil }
    var i = from
    while i + needle.count <= hay.count {
      if hay[i] == needle[0], hay[i..<i + needle.count].elementsEqual(needle) { return i }
      i += 1
    }
    return nil
  }
}

/// Runs async work from a blocking test. The test's thread is no thread of the cooperative pool, so it may wait.
func awaiting<T: Sendable>(_ work: @escaping @Sendable () async throws -> T) throws -> T {
  let done = DispatchSemaphore(value: 0)
  let result = Mutex<Result<T, any Error>?>(nil)
  Task {
    let outcome: Result<T, any Error>
    do { outcome = .success(try await work()) } catch { outcome = .failure(error) }
    result.withLock { $0 = outcome }
    done.signal()
  }
  done.wait()
  return try XCTUnwrap(result.withLock { $0 }).get()
}

func startServer(
  _ limits: HTTPServerLimits = HTTPServerLimits(), bind: HTTPBind = .host("127.0.0.1", port: 0), tls: HTTPServerTLS? = nil,
  _ responder: @escaping HTTPResponder
) throws -> HTTPServer {
  var logger = Logger(label: "test")
  logger.logLevel = .critical
  let log = logger
  return try awaiting {
    try await HTTPServer.start(bind: bind, tls: tls, limits: limits, clock: SystemClock(), logger: log, responder: responder)
  }
}

func stop(_ server: HTTPServer, grace: Double = 0) throws { try awaiting { await server.shutdown(grace: grace) } }

extension HTTPServerResponse {
  static func text(_ text: String, status: Int = 200) -> HTTPServerResponse {
    HTTPServerResponse(status: status, headers: ["Content-Type": "text/plain"], body: ByteStream(Array(text.utf8)))
  }
}

/// Counts, from any thread.
final class Counter: Sendable {
  private let value = Mutex(0)
  func add(_ n: Int) { value.withLock { $0 += n } }
  var count: Int { value.withLock { $0 } }
  /// Waits until `done` holds; false after `seconds`.
  func waits(upTo seconds: Double = 10, until done: (Int) -> Bool) -> Bool {
    let end = ContinuousClock.now + .seconds(seconds)
    while !done(count) {
      if ContinuousClock.now > end { return false }
      usleep(2000)
    }
    return true
  }
}

/// Resident memory of this process in bytes.
func residentBytes() -> Int {
  guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return 0 }
  return (Int(text.split(separator: " ")[1]) ?? 0) * 4096
}

/// A stream of `count` bytes made as it is read.
func pattern(_ count: Int, piece: Int = 64 * 1024, produced: Counter? = nil, length: Bool = true) -> ByteStream {
  let left = Mutex(count)
  return ByteStream(length: length ? Int64(count) : nil) {
    let n = left.withLock { left in
      let n = min(left, piece)
      left -= n
      return n
    }
    produced?.add(n)
    return n == 0 ? nil : [UInt8](repeating: 0x61, count: n)
  }
}
