import FoundationEssentials
import HTTPKit
import RegionKit
import RequestSigning
import Synchronization
import WireModel
import XCTest

@testable import Gateway

/// S3's ways to send a body, and who may commit what.
final class S3PathTests: XCTestCase {
  /// What the fake bucket holds, by key.
  final class Bucket: Sendable {
    struct Object: Sendable {
      let bytes: [UInt8]
      let trailers: [String: String]
      let length: Int64?
      let encoding: String?
      let declared: Int64?
      let principal: Principal
      let region: String
    }
    private let objects = Mutex<[String: Object]>([:])
    subscript(key: String) -> Object? { objects.withLock { $0[key] } }

    func service() throws -> FakeService {
      var service = try FakeService.s3([
        "PutObject": { input, call in
          guard case .stream(let body)? = input["Body"] else { throw AWSError("InvalidRequest", "no stream") }
          let bytes = try await body.collect(limit: 1 << 27)
          let key = "\(input["Bucket"]?.asString ?? "")/\(input["Key"]?.asString ?? "")"
          self.objects.withLock {
            $0[key] = Object(
              bytes: bytes, trailers: body.trailers?() ?? [:], length: body.length, encoding: input["Encoding"]?.asString,
              declared: input["Length"]?.asInt, principal: call.principal, region: call.region.rawValue)
          }
          return ["ETag": .string("\"e\"")]
        },
        "GetObject": { input, _ in
          let key = "\(input["Bucket"]?.asString ?? "")/\(input["Key"]?.asString ?? "")"
          guard let object = self[key] else { throw AWSError("NoSuchKey", "The specified key does not exist.", status: 404) }
          return ["Body": .stream(ByteStream(object.bytes))]
        },
        "PutBucketPolicy": { input, _ in
          XCTAssertNotNil(input["Policy"]?.asString)
          return [:]
        },
      ])
      service.permissions = { [AuthorizationRequest("s3:\($0)")] }
      return service
    }
  }

  private let hello = Array("hello world".utf8)

  func testPlainBodies() async throws {
    let bucket = Bucket()
    let harness = try await Harness([try bucket.service()])
    let s3 = Harness.Signing(service: "s3", region: "eu-west-1")
    // Empty segments, encoded slashes and dots belong to the key.
    let put = try await harness.send("PUT", "/b/a//../k%2Fx%20y+z?x-id=PutObject", body: hello, as: s3)
    XCTAssertEqual(put.status, 200, put.text)
    let object = try XCTUnwrap(bucket["b/a//../k/x y+z"])
    XCTAssertEqual(object.bytes, hello)
    XCTAssertEqual(object.length, 11)
    XCTAssertEqual(object.region, "eu-west-1")
    let got = try await harness.send("GET", "/b/a//../k%2Fx%20y+z", as: s3)
    XCTAssertEqual(got.bytes, hello)
    XCTAssertNotNil(got.headers["x-amz-request-id"])
    // Other bytes than the head promised: nothing is committed.
    let wrong = try await harness.send("PUT", "/b/wrong", body: hello, sending: ByteStream(Array("hello World".utf8)), as: s3)
    XCTAssertTrue(wrong.status == 400 && wrong.text.contains("XAmzContentSHA256Mismatch"), wrong.text)
    XCTAssertNil(bucket["b/wrong"])
    var unsigned = s3
    unsigned.payloadHash = "UNSIGNED-PAYLOAD"
    let free = try await harness.send("PUT", "/b/free", body: hello, as: unsigned)
    XCTAssertEqual(free.status, 200, free.text)
    let digest = try await harness.send(
      "PUT", "/b?policy", headers: [("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==")], body: Array("{}".utf8), as: s3)
    XCTAssertTrue(digest.status == 400 && digest.text.contains("BadDigest"), digest.text)
    let form = try await harness.send("PUT", "/b?policy", headers: [("Content-MD5", "AAAA")], body: Array("{}".utf8), as: s3)
    XCTAssertTrue(form.text.contains("InvalidDigest"), form.text)
    let right = try await harness.send(
      "PUT", "/b?policy", headers: [("Content-MD5", "mZFLkyvTelC5g8XnyQrpOw==")], body: Array("{}".utf8), as: s3)
    XCTAssertEqual(right.status, 200, right.text)
    await harness.stop()
  }

  func testUnsignedChunksWithATrailerInsideHTTPChunks() async throws {
    let bucket = Bucket()
    let harness = try await Harness([try bucket.service()])
    var s3 = Harness.Signing(service: "s3")
    s3.payloadHash = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    let framed = Array("b\r\nhello world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n".utf8)
    let headers = [
      ("Content-Encoding", "gzip,aws-chunked"), ("X-Amz-Trailer", "x-amz-checksum-crc32"), ("X-Amz-Decoded-Content-Length", "11"),
    ]
    let position = Mutex(0)
    let pieces = ByteStream(length: nil) {
      position.withLock { at in
        guard at < framed.count else { return nil }
        defer { at += 5 }
        return Array(framed[at..<min(at + 5, framed.count)])
      }
    }
    let put = try await harness.send("PUT", "/b/k", headers: headers, sending: pieces, as: s3)
    XCTAssertEqual(put.status, 200, put.text)
    let object = try XCTUnwrap(bucket["b/k"])
    XCTAssertEqual(object.bytes, hello)
    XCTAssertEqual(object.trailers, ["x-amz-checksum-crc32": "DUoRhQ=="])
    XCTAssertEqual(object.length, 11)
    XCTAssertEqual(object.declared, 11)
    XCTAssertEqual(object.encoding, "gzip")

    func failure(_ body: String, length: String = "11") async throws -> String {
      let answer = try await harness.send(
        "PUT", "/b/bad", headers: [("X-Amz-Trailer", "x-amz-checksum-crc32"), ("X-Amz-Decoded-Content-Length", length)],
        sending: ByteStream(Array(body.utf8)), as: s3)
      XCTAssertNil(bucket["b/bad"])
      return "\(answer.status) \(answer.text)"
    }
    let short = try await failure("b\r\nhello world\r\n")
    XCTAssertTrue(short.hasPrefix("400") && short.contains("IncompleteBody"), short)
    let length = try await failure(String(decoding: framed, as: UTF8.self), length: "12")
    XCTAssertTrue(length.contains("IncompleteBody"), length)
    let trailer = try await failure("b\r\nhello world\r\n0\r\n\r\n")
    XCTAssertTrue(trailer.contains("MalformedTrailerError"), trailer)
    let noise = try await failure("hello\r\nworld")
    XCTAssertTrue(noise.contains("InvalidRequest"), noise)
    let unsaid = try await failure(String(decoding: framed, as: UTF8.self), length: "x")
    XCTAssertTrue(unsaid.hasPrefix("411 "), unsaid)
    await harness.stop()
  }

  func testSignedChunks() async throws {
    let bucket = Bucket()
    let harness = try await Harness([try bucket.service()])
    let signer = Harness.Signing(service: "s3").signer
    let data = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    for trailer in [false, true] {
      for damage in [false, true] {
        let word = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" + (trailer ? "-TRAILER" : "")
        var head = [
          (name: "Host", value: harness.host), (name: "X-Amz-Decoded-Content-Length", value: "\(data.count)"),
          (name: "Content-Encoding", value: "aws-chunked"),
        ]
        if trailer { head.append((name: "X-Amz-Trailer", value: "x-amz-checksum-crc32")) }
        let target = "/b/signed-\(trailer)-\(damage)"
        let headers = signer.sign(
          SignableRequest(method: "PUT", target: target, headers: head), payloadHash: word, date: SystemClock().now())
        var chain = try XCTUnwrap(signer.chunkSigning(signedHeaders: headers))
        var body: [UInt8] = []
        for start in stride(from: 0, to: data.count, by: 65_536) {
          let chunk = Array(data[start..<min(start + 65_536, data.count)])
          body +=
            Array("\(String(chunk.count, radix: 16));chunk-signature=\(chain.next(dataHash: sha256Hex(chunk)))\r\n".utf8) + chunk + [
              13, 10,
            ]
        }
        body += Array("0;chunk-signature=\(chain.next(dataHash: sha256Hex([])))\r\n".utf8)
        if trailer {
          body += Array("x-amz-checksum-crc32:AAAAAA==\r\n".utf8)
          body += Array("x-amz-trailer-signature:\(chain.trailer([("x-amz-checksum-crc32", "AAAAAA==")]))\r\n".utf8)
        }
        body += [13, 10]
        if damage { body[70_000] ^= 1 }
        let response = try await harness.web.execute(
          HTTPClientRequest(method: "PUT", url: "http://\(harness.host)\(target)", headers: HTTPFields(headers), body: ByteStream(body)))
        let text = String(decoding: try await response.body.collect(limit: 1 << 20), as: UTF8.self)
        if damage {
          XCTAssertEqual(response.status, 403)
          XCTAssertTrue(text.contains("SignatureDoesNotMatch"), text)
          XCTAssertNil(bucket[String(target.dropFirst())])
        } else {
          XCTAssertEqual(response.status, 200, text)
          XCTAssertEqual(bucket[String(target.dropFirst())]?.bytes, data)
        }
      }
    }
    await harness.stop()
  }

  func testWhoMayCome() async throws {
    let bucket = Bucket()
    let harness = try await Harness([try bucket.service()]) { $0.hostNames = ["localhost", "rs.test"] }
    let s3 = Harness.Signing(service: "s3")
    _ = try await harness.send("PUT", "/b/k", body: hello, as: s3)
    func code(_ signing: Harness.Signing?, _ headers: [(String, String)] = [], _ target: String = "/b/k") async throws -> String {
      let answer = try await harness.send("GET", target, headers: headers, as: signing)
      let code = answer.text.components("<Code>", "</Code>")
      return "\(answer.status) \(code ?? "")"
    }
    func expect(_ wanted: String, _ signing: Harness.Signing?, _ headers: [(String, String)] = [], _ target: String = "/b/k") async throws {
      let got = try await code(signing, headers, target)
      XCTAssertEqual(got, wanted)
    }
    try await expect("200 ", nil)  // whether an anonymous caller may read is the authorizer's to say
    XCTAssertEqual(harness.audit.records.last?.account, "anonymous")
    XCTAssertEqual(harness.audit.records.last?.region, "home-1")
    harness.authorizer.denied.withLock { $0 = ["s3:GetObject"] }
    try await expect("403 AccessDenied", nil)
    harness.authorizer.denied.withLock { $0 = [] }
    var wrong = s3
    wrong.key = "AKIANOBODY"
    try await expect("403 InvalidAccessKeyId", wrong)
    wrong = s3
    wrong.secret = "x"
    try await expect("403 SignatureDoesNotMatch", wrong)
    wrong = s3
    wrong.offset = -901
    try await expect("403 RequestTimeTooSkewed", wrong)
    wrong.offset = -800
    try await expect("200 ", wrong)
    wrong = s3
    wrong.key = "ASIAGOOD"
    wrong.token = "old"
    try await expect("400 ExpiredToken", wrong)
    wrong.token = "forged"
    try await expect("400 InvalidToken", wrong)
    try await expect(
      "400 AuthorizationHeaderMalformed", nil, [("Authorization", "AWS4-HMAC-SHA256 Credential=x"), ("X-Amz-Date", "20260101T000000Z")])
    try await expect("400 InvalidRequest", nil, [("Authorization", "Basic eDp5")])
    try await expect("404 NoSuchKey", s3, [], "/b/none")
    try await expect("405 MethodNotAllowed", s3, [], "/b")
    try await expect("400 UnsupportedOperation", s3, [], "/?")
    await harness.stop()
  }

  func testPresignedURLsAndBucketsInTheHostName() async throws {
    let bucket = Bucket()
    let harness = try await Harness([try bucket.service()]) { $0.hostNames = ["localhost", "rs.test"] }
    let signer = Harness.Signing(service: "s3").signer
    let name = "my.bucket.s3.rs.test:\(harness.port)"
    let put = signer.presign(method: "PUT", target: "/k%20x", headers: [("host", name)], expires: 60, date: SystemClock().now())
    let answer = try await harness.send("PUT", put, body: hello, as: nil, hostHeader: name)
    XCTAssertEqual(answer.status, 200, answer.text)
    XCTAssertEqual(bucket["my.bucket/k x"]?.bytes, hello)
    XCTAssertEqual(bucket["my.bucket/k x"]?.principal.kind, .user)
    let unsignedHeader = try await harness.send("PUT", put, headers: [("x-amz-acl", "public-read")], body: hello, as: nil, hostHeader: name)
    XCTAssertTrue(unsignedHeader.status == 403 && unsignedHeader.text.contains("HeadersNotSigned"), unsignedHeader.text)
    let other = try await harness.send("GET", put, as: nil, hostHeader: name)
    XCTAssertTrue(other.text.contains("SignatureDoesNotMatch"), other.text)
    let old = signer.presign(
      method: "GET", target: "/k", headers: [("host", name)], expires: 1, date: SystemClock().now().addingTimeInterval(-5))
    let expired = try await harness.send("GET", old, as: nil, hostHeader: name)
    XCTAssertTrue(expired.status == 403 && expired.text.contains("Request has expired"), expired.text)
    await harness.stop()
  }

  func testBucketHosts() {
    let names = ["localhost", "rs.test", "amazonaws.com"]
    for (host, wanted) in [
      ("localhost:4566", nil), ("127.0.0.1:4566", nil), ("[::1]:1", nil), ("b.localhost:4566", "b"), ("s3.localhost", nil),
      ("B.s3.rs.test", "b"), ("a.b.c.s3.us-east-1.amazonaws.com", "a.b.c"), ("s3.us-east-1.amazonaws.com", nil),
      ("s3-us-west-2.amazonaws.com", nil), ("b.s3-us-west-2.amazonaws.com", "b"), ("example.org", nil), ("", nil), (".localhost", nil),
    ] as [(String, String?)] {
      XCTAssertEqual(BucketHost.bucket(in: host, hostNames: names), wanted, host)
    }
  }

  /// 64 MiB through signature, hash and handler, with a handler that keeps nothing.
  func testALargeObjectStaysOutOfMemory() async throws {
    let size = 64 << 20
    let seen = Mutex(0)
    let harness = try await Harness([
      try FakeService.s3([
        "PutObject": { input, _ in
          guard case .stream(let body)? = input["Body"] else { return [:] }
          for try await piece in body { seen.withLock { $0 += piece.count } }
          return [:]
        }
      ])
    ])
    var hash = StreamingSHA256()
    let piece = [UInt8](repeating: 7, count: 1 << 16)
    for _ in 0..<(size >> 16) { hash.update(piece) }
    var s3 = Harness.Signing(service: "s3")
    s3.payloadHash = hash.hexDigest
    func round() async throws {
      let left = Mutex(size >> 16)
      let body = ByteStream(length: Int64(size)) {
        left.withLock { left in
          left -= 1
          return left >= 0 ? piece : nil
        }
      }
      let answer = try await harness.send("PUT", "/b/large", sending: body, as: s3)
      XCTAssertEqual(answer.status, 200, answer.text)
    }
    try await round()
    let before = Self.residentBytes()
    try await round()
    XCTAssertEqual(seen.withLock { $0 }, 2 * size)
    XCTAssertLessThan(Self.residentBytes() - before, 24 << 20)
    await harness.stop()
  }

  private static func residentBytes() -> Int {
    guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return 0 }
    return (Int(text.split(separator: " ")[1]) ?? 0) * 4096
  }
}

extension String {
  /// What stands between two marks.
  fileprivate func components(_ start: String, _ end: String) -> String? {
    guard let a = range(of: start), let b = range(of: end, range: a.upperBound..<endIndex) else { return nil }
    return String(self[a.upperBound..<b.lowerBound])
  }
}
