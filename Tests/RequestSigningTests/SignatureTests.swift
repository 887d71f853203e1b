import FoundationEssentials
import XCTest

@testable import RequestSigning

private let accessKey = "AKIAIOSFODNN7EXAMPLE"
private let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

final class SignatureTests: XCTestCase {
  /// What the AWS CLI sent for `aws deploy create-application --application-name demo`.
  func testCapturedCLIRequest() throws {
    let request = SignableRequest(
      method: "POST", target: "/",
      headers: [
        ("Host", "127.0.0.1:4599"), ("X-Amz-Target", "CodeDeploy_20141006.CreateApplication"),
        ("Content-Type", "application/x-amz-json-1.1"), ("X-Amz-Date", "20261122T183037Z"),
        (
          "Authorization",
          "AWS4-HMAC-SHA256 Credential=\(accessKey)/20261122/us-east-1/codedeploy/aws4_request, "
            + "SignedHeaders=content-type;host;x-amz-date;x-amz-target, "
            + "Signature=55069c4e9c1db70eada13b8a45ee9defbfdbc34f070b06e54f63a933a3667477"
        ), ("Content-Length", "27"),
      ])
    let claim = try XCTUnwrap(try SignatureClaim.of(request))
    XCTAssertEqual(claim.accessKeyId, accessKey)
    XCTAssertEqual(claim.scope, CredentialScope(day: "20261122", region: "us-east-1", service: "codedeploy"))
    let body = Array(#"{"applicationName": "demo"}"#.utf8)
    try Verifier().verify(claim, request, secret: secret, payloadHash: sha256Hex(body))
  }

  /// URLs made by botocore's HmacV1QueryAuth with its clock at 1790000000.
  func testPresignedVersion2() throws {
    func check(
      _ target: String, method: String = "GET", host: String = "localhost:4566", bucket: String? = nil, headers: [(String, String)] = []
    ) throws {
      let request = SignableRequest(
        method: method, target: target, headers: [("Host", host)] + headers.map { (name: $0.0, value: $0.1) })
      let claim = try XCTUnwrap(try SignatureClaim.of(request))
      XCTAssertEqual(claim.kind, .queryV2)
      try Verifier().precheck(claim, request, now: Date(timeIntervalSince1970: 1_790_000_600))
      try Verifier().verify(claim, request, secret: secret, payloadHash: "", bucketInHost: bucket)
      XCTAssertThrowsError(try Verifier().verify(claim, request, secret: "x", payloadHash: "", bucketInHost: bucket))
      XCTAssertThrowsError(try Verifier().precheck(claim, request, now: Date(timeIntervalSince1970: 1_790_000_601)))
    }
    try check(
      "/b/a%20key/%2Bx.txt?versionId=v1&response-content-type=text%2Fplain%3B%20charset%3Dutf-8&AWSAccessKeyId=\(accessKey)"
        + "&Signature=yIlQFkXHQQXA39039jX%2B10UwSBU%3D&Expires=1790000600")
    let put =
      "/b/k?AWSAccessKeyId=\(accessKey)&Signature=KONohY3BpIogCO8qi4FEixZN9Gk%3D&content-type=text%2Fplain"
      + "&x-amz-meta-color=red%20%20blue&Expires=1790000600"
    try check(put, method: "PUT")
    try check(put, method: "PUT", headers: [("Content-Type", "text/plain"), ("x-amz-meta-color", "red  blue")])
    try check(
      "/k?AWSAccessKeyId=\(accessKey)&Signature=ftW%2Bm9R20gEsvxBX9Z01XGpPyTs%3D&Expires=1790000600", host: "bucket.localhost:4566",
      bucket: "bucket")
    try check(
      "/b/k?AWSAccessKeyId=ASIAIOSFODNN7EXAMPLE&Signature=o7iQU%2F%2BXso2dtGVLXvjXtE%2BmTsk%3D&x-amz-security-token=TOKEN%2F%2B%3D"
        + "&Expires=1790000600")
  }

  /// The example of the S3 documentation.
  func testPresignedVersion4() throws {
    let request = SignableRequest(
      method: "GET",
      target: "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=\(accessKey)%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        + "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        + "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
      headers: [("Host", "examplebucket.s3.amazonaws.com")])
    let claim = try XCTUnwrap(try SignatureClaim.of(request))
    try Verifier().verify(claim, request, secret: secret, payloadHash: "UNSIGNED-PAYLOAD")
    let start = try XCTUnwrap(SigningTime.parse(amzDate: "20130524T000000Z"))
    try Verifier().precheck(claim, request, now: start.addingTimeInterval(86_400))
    XCTAssertThrowsError(try Verifier().precheck(claim, request, now: start.addingTimeInterval(86_401))) {
      guard case .expired? = $0 as? SignatureProblem else { return XCTFail("\($0)") }
    }
    XCTAssertThrowsError(try Verifier().precheck(claim, request, now: start.addingTimeInterval(-901)))
  }

  func testPresignRoundTrip() throws {
    var random = SeededRandom(7)
    for _ in 0..<200 {
      let signer = Signer(
        credentials: SigningCredentials(
          accessKeyId: "AKIA/WITH/SLASH", secretAccessKey: "s\(random.next())",
          sessionToken: random.below(2) == 0 ? nil : "t/+= \(random.next())"),
        region: "eu-north-9", service: random.below(2) == 0 ? "s3" : "sts")
      let path =
        "/" + (0..<random.below(6)).map { _ in ["a", "", "..", "%2F", "b%20c", "+", "é", "."][random.below(8)] }.joined(separator: "/")
      let query = ["", "?x=1", "?b&a=&c=%20+", "?versionId=%2B&x-id=GetObject"][random.below(4)]
      let date = Date(timeIntervalSince1970: 1_700_000_000 + Double(random.below(1_000_000)))
      let target = signer.presign(method: "GET", target: path + query, headers: [("host", "h:1")], expires: 60, date: date)
      let request = SignableRequest(method: "GET", target: target, headers: [("Host", "h:1")])
      let claim = try XCTUnwrap(try SignatureClaim.of(request))
      XCTAssertEqual(claim.accessKeyId, "AKIA/WITH/SLASH")
      XCTAssertEqual(claim.sessionToken, signer.credentials.sessionToken)
      let hash = signer.service == "s3" ? "UNSIGNED-PAYLOAD" : emptyPayloadHash
      try Verifier().precheck(claim, request, now: date)
      try Verifier().verify(claim, request, secret: signer.credentials.secretAccessKey, payloadHash: hash)
      let other = SignableRequest(method: "PUT", target: target, headers: request.headers)
      XCTAssertThrowsError(try Verifier().verify(claim, other, secret: signer.credentials.secretAccessKey, payloadHash: hash))
    }
  }

  /// Whatever is changed after signing, the signature no longer fits.
  func testAnyChangeBreaksTheSignature() throws {
    let signer = Signer(
      credentials: SigningCredentials(accessKeyId: "AKIA", secretAccessKey: "secret"), region: "r", service: "codedeploy")
    let date = Date(timeIntervalSince1970: 1_800_000_000)
    let headers = signer.sign(
      SignableRequest(method: "POST", target: "/p?q=1", headers: [("Host", "h"), ("X-Amz-Target", "T.Op")]),
      payloadHash: emptyPayloadHash, date: date)
    func verify(
      _ headers: [(name: String, value: String)], _ method: String = "POST", _ target: String = "/p?q=1", _ hash: String = emptyPayloadHash
    ) throws {
      let request = SignableRequest(method: method, target: target, headers: headers)
      let claim = try XCTUnwrap(try SignatureClaim.of(request))
      try Verifier().precheck(claim, request, now: date)
      try Verifier().verify(claim, request, secret: "secret", payloadHash: hash)
    }
    try verify(headers)
    XCTAssertThrowsError(try verify(headers, "PUT"))
    XCTAssertThrowsError(try verify(headers, "POST", "/p?q=2"))
    XCTAssertThrowsError(try verify(headers, "POST", "/P?q=1"))
    XCTAssertThrowsError(try verify(headers, "POST", "/p?q=1", sha256Hex([1])))
    for i in headers.indices where headers[i].name != "Authorization" {
      var changed = headers
      changed[i].value = headers[i].name == "X-Amz-Date" ? "20270115T080001Z" : headers[i].value + "x"
      XCTAssertThrowsError(try verify(changed), headers[i].name)
    }
    var unsignedTarget = headers.filter { $0.name != "X-Amz-Target" }
    unsignedTarget.append(("x-amz-target", "T.Other"))
    XCTAssertThrowsError(try verify(unsignedTarget))
  }

  func testSkewWindows() throws {
    func problem(service: String, off seconds: Double) throws -> Bool {
      let date = Date(timeIntervalSince1970: 1_800_000_000)
      let signer = Signer(credentials: SigningCredentials(accessKeyId: "A", secretAccessKey: "s"), region: "r", service: service)
      let request = SignableRequest(
        method: "GET", target: "/",
        headers: signer.sign(
          SignableRequest(method: "GET", target: "/", headers: [("host", "h")]), payloadHash: emptyPayloadHash, date: date))
      let claim = try XCTUnwrap(try SignatureClaim.of(request))
      do {
        try Verifier().precheck(claim, request, now: date.addingTimeInterval(seconds))
        return false
      } catch SignatureProblem.skewed { return true }
    }
    XCTAssertFalse(try problem(service: "sts", off: 300))
    XCTAssertTrue(try problem(service: "sts", off: 301))
    XCTAssertTrue(try problem(service: "sts", off: -301))
    XCTAssertFalse(try problem(service: "s3", off: 900))
    XCTAssertTrue(try problem(service: "s3", off: 901))
  }

  func testMalformedClaims() {
    func claim(_ authorization: String, target: String = "/", date: String? = "20260101T000000Z") throws -> SignatureClaim? {
      var headers = [(name: "Host", value: "h"), (name: "Authorization", value: authorization)]
      if let date { headers.append(("X-Amz-Date", date)) }
      return try SignatureClaim.of(SignableRequest(method: "GET", target: target, headers: headers))
    }
    let good = "AWS4-HMAC-SHA256 Credential=A/20260101/r/s/aws4_request,SignedHeaders=host,Signature=00"
    XCTAssertNoThrow(try claim(good))
    for bad in [
      "", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 x", "Basic Zm9v", "Bearer x", "AWS4-ECDSA-P256-SHA256 Credential=A",
      "AWS4-HMAC-SHA256 Credential=A/20260101/r/s/aws4_request, SignedHeaders=host",
      "AWS4-HMAC-SHA256 Credential=20260101/r/s/aws4_request, SignedHeaders=host, Signature=0",
      "AWS4-HMAC-SHA256 Credential=A/2026/r/s/aws4_request, SignedHeaders=host, Signature=0",
      "AWS4-HMAC-SHA256 Credential=A/20260101/r/s/aws4_request, SignedHeaders=x-amz-date, Signature=0", "AWS nocolon",
    ] {
      XCTAssertThrowsError(try claim(bad), bad)
    }
    XCTAssertThrowsError(try claim(good, date: nil))
    XCTAssertThrowsError(try claim(good, date: "yesterday"))
    XCTAssertThrowsError(try claim(good, date: "20261301T000000Z"))
    XCTAssertThrowsError(try claim(good, target: "/?X-Amz-Signature=1"))
  }

  func testClaimReaderSurvivesAnything() {
    var random = SeededRandom(11)
    let seeds = [
      "AWS4-HMAC-SHA256 Credential=A/20260101/r/s/aws4_request, SignedHeaders=host;x-amz-date, Signature=abc",
      "AWS AKIA:c2ln",
      "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2F20260101%2Fr%2Fs3%2Faws4_request&X-Amz-Date=20260101T000000Z"
        + "&X-Amz-Expires=5&X-Amz-SignedHeaders=host&X-Amz-Signature=00", "/?AWSAccessKeyId=A&Expires=1&Signature=x",
    ]
    for _ in 0..<4000 {
      var bytes = Array(seeds[random.below(seeds.count)].utf8)
      for _ in 0...random.below(5) {
        let at = random.below(bytes.count)
        switch random.below(3) {
        case 0: bytes[at] = UInt8(random.below(256))
        case 1: bytes.remove(at: at)
        default: bytes.insert(UInt8(random.below(256)), at: at)
        }
      }
      let text = String(decoding: bytes, as: UTF8.self)
      let request =
        text.hasPrefix("/")
        ? SignableRequest(method: "GET", target: text, headers: [("Host", "h")])
        : SignableRequest(
          method: "GET", target: "/", headers: [("Host", "h"), ("Authorization", text), ("X-Amz-Date", "20260101T000000Z")])
      guard let claim = try? SignatureClaim.of(request) else { continue }
      XCTAssertThrowsError(try Verifier().verify(claim, request, secret: "s", payloadHash: "UNSIGNED-PAYLOAD"))
    }
  }

  func testPathRules() {
    func path(_ text: String, _ service: String) -> String {
      var out: [UInt8] = []
      CanonicalRequest(service: service).appendPath(Substring(text), to: &out)
      return String(decoding: out, as: UTF8.self)
    }
    XCTAssertEqual(path("/b//a/../%2e%2F+ x", "s3"), "/b//a/../.%2F%2B%20x")
    XCTAssertEqual(path("/f/arn%3Aaws%3Alambda", "lambda"), "/f/arn%253Aaws%253Alambda")
    XCTAssertEqual(path("", "lambda"), "/")
    XCTAssertEqual(path("/a/./b/../c//", "lambda"), "/a/c/")
    XCTAssertEqual(path("/../..", "lambda"), "/")
  }

  func testTimes() throws {
    for text in ["20260228T235959Z", "20240229T000000Z", "19991231T010203Z"] {
      XCTAssertEqual(SigningTime.amzDate(try XCTUnwrap(SigningTime.parse(amzDate: text))), text)
    }
    XCTAssertNil(SigningTime.parse(amzDate: "20260229T000000Z"))
    XCTAssertEqual(
      SigningTime.parse(httpDate: "Sun, 06 Nov 1994 08:49:37 GMT"), Date(timeIntervalSince1970: 784_111_777))
    XCTAssertNil(SigningTime.parse(httpDate: "Sun, 06 Nov"))
  }
}
