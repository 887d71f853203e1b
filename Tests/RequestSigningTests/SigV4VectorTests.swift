import Foundation
import XCTest

@testable import RequestSigning

/// AWS's published Signature Version 4 suite: every directory's canonical request, string to sign and Authorization header.
final class SigV4VectorTests: XCTestCase {
  private static let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

  func testEveryVector() throws {
    let vectors = try Self.vectors()
    XCTAssertGreaterThanOrEqual(vectors.count, 31)
    for (name, directory) in vectors {
      func text(_ ext: String) throws -> String {
        try String(contentsOf: directory.appendingPathComponent("\(name).\(ext)"), encoding: .utf8)
      }
      let (request, body) = try XCTUnwrap(Self.parse(try text("sreq"), authorization: try text("authz")), name)
      let claim = try XCTUnwrap(try SignatureClaim.of(request), name)
      let scope = try XCTUnwrap(claim.scope)
      let canonical = CanonicalRequest(service: scope.service).text(
        request, signedHeaders: claim.signedHeaders, payloadHash: sha256Hex(body))
      XCTAssertEqual(String(decoding: canonical, as: UTF8.self), try text("creq"), name)
      XCTAssertEqual(stringToSign(amzDate: claim.amzDate, scope: scope, canonicalRequest: canonical), try text("sts"), name)
      let verifier = Verifier()
      let now = try XCTUnwrap(SigningTime.parse(amzDate: "20150830T123700Z"))
      XCTAssertNoThrow(try verifier.precheck(claim, request, now: now), name)
      XCTAssertNoThrow(try verifier.verify(claim, request, secret: Self.secret, payloadHash: sha256Hex(body)), name)
      XCTAssertThrowsError(try verifier.verify(claim, request, secret: Self.secret + "x", payloadHash: sha256Hex(body)), name)
      XCTAssertThrowsError(try verifier.verify(claim, request, secret: Self.secret, payloadHash: sha256Hex(body + [0])), name)
    }
  }

  /// Our own signer makes the same header, where the suite signs all headers.
  func testSignerAgrees() throws {
    for (name, directory) in try Self.vectors() {
      let signed = try String(contentsOf: directory.appendingPathComponent("\(name).sreq"), encoding: .utf8)
      let authorization = try String(contentsOf: directory.appendingPathComponent("\(name).authz"), encoding: .utf8)
      let (request, body) = try XCTUnwrap(Self.parse(signed, authorization: authorization), name)
      let token = request.header("x-amz-security-token")
      if token != nil, request.header("authorization")?.contains("x-amz-security-token") != true { continue }
      let signer = Signer(
        credentials: SigningCredentials(accessKeyId: "AKIDEXAMPLE", secretAccessKey: Self.secret, sessionToken: token),
        region: "us-east-1", service: "service")
      let date = try XCTUnwrap(SigningTime.parse(amzDate: "20150830T123600Z"))
      let headers = signer.sign(request, payloadHash: sha256Hex(body), date: date)
      XCTAssertEqual(
        headers.first { $0.name == "Authorization" }?.value, request.header("authorization"), name)
    }
  }

  private static func vectors() throws -> [(String, URL)] {
    let given = ProcessInfo.processInfo.environment["ROADSTEAD_VECTORS"].map { URL(fileURLWithPath: $0) }
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let base = (given ?? root.deletingLastPathComponent().appendingPathComponent("shared/vectors")).appendingPathComponent("sigv4")
    guard FileManager.default.fileExists(atPath: base.path) else {
      throw XCTSkip("no vectors at \(base.path); set ROADSTEAD_VECTORS to their directory")
    }
    var found: [(String, URL)] = []
    for directory in [base] + ["normalize-path", "post-sts-token"].map({ base.appendingPathComponent($0) }) {
      for entry in try FileManager.default.contentsOfDirectory(at: directory, includingPropertiesForKeys: nil) {
        let name = entry.lastPathComponent
        if FileManager.default.fileExists(atPath: entry.appendingPathComponent("\(name).sreq").path) { found.append((name, entry)) }
      }
    }
    return found.sorted { $0.0 < $1.0 }
  }

  /// The suite's files are requests without a trailing blank line and with folded headers. The Authorization header is taken from the
  /// `.authz` file: one `.sreq` (get-vanilla-with-session-token) repeats that of another vector.
  private static func parse(_ text: String, authorization: String) -> (SignableRequest, [UInt8])? {
    let parts = text.components(separatedBy: "\n\n")
    var lines = parts[0].components(separatedBy: "\n")
    let first = lines.removeFirst()
    guard let a = first.firstIndex(of: " "), let b = first.lastIndex(of: " "), a < b else { return nil }
    var headers: [(name: String, value: String)] = []
    for line in lines where !line.isEmpty {
      if line.hasPrefix(" "), !headers.isEmpty {
        headers[headers.count - 1].value += "\n" + line
      } else if let colon = line.firstIndex(of: ":") {
        headers.append((String(line[..<colon]), String(line[line.index(after: colon)...].drop { $0 == " " })))
      }
    }
    headers.removeAll { $0.name.lowercased() == "authorization" }
    headers.append(("Authorization", authorization))
    let target = String(first[first.index(after: a)..<b])
    let body = parts.count > 1 ? parts[1...].joined(separator: "\n\n") : ""
    return (SignableRequest(method: String(first[..<a]), target: target, headers: headers), Array(body.utf8))
  }
}
