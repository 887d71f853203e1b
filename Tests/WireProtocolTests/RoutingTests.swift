import RegionKit
import WireModel
import XCTest

@testable import WireProtocol

final class RoutingTests: XCTestCase {
  func testS3OperationsAreToldApartByMethodPathQueryAndHeaders() throws {
    let codec = WireCodec(model: try GeneratedModels.load("s3"))
    let cases: [(String, String, [(String, String)], String?)] = [
      ("GET", "/", [], "ListBuckets"),
      ("PUT", "/b", [], "CreateBucket"),
      ("PUT", "/b/", [], "CreateBucket"),
      ("HEAD", "/b", [], "HeadBucket"),
      ("GET", "/b", [], "ListObjects"),
      ("GET", "/b?list-type=2&prefix=x", [], "ListObjectsV2"),
      ("GET", "/b/?list-type=2&encoding-type=url", [], "ListObjectsV2"),
      ("GET", "/b?versions", [], "ListObjectVersions"),
      ("GET", "/b?versioning", [], "GetBucketVersioning"),
      ("GET", "/b?location", [], "GetBucketLocation"),
      ("GET", "/b?uploads", [], "ListMultipartUploads"),
      ("GET", "/b?policy", [], "GetBucketPolicy"),
      ("GET", "/b?lifecycle", [], "GetBucketLifecycleConfiguration"),
      ("GET", "/b?notification", [], "GetBucketNotificationConfiguration"),
      ("GET", "/b?analytics", [], "ListBucketAnalyticsConfigurations"),
      ("GET", "/b?analytics&id=1", [], "GetBucketAnalyticsConfiguration"),
      ("POST", "/b?delete", [], "DeleteObjects"),
      ("PUT", "/b/k", [], "PutObject"),
      ("PUT", "/b/k?x-id=PutObject", [], "PutObject"),
      ("PUT", "/b/a/b//c/", [], "PutObject"),
      ("PUT", "/b//", [], "PutObject"),
      ("PUT", "/b/k", [("X-Amz-Copy-Source", "b/o")], "CopyObject"),
      ("PUT", "/b/k?partNumber=1&uploadId=u", [], "UploadPart"),
      ("PUT", "/b/k?partNumber=1&uploadId=u", [("x-amz-copy-source", "b/o")], "UploadPartCopy"),
      ("PUT", "/b/k?tagging", [], "PutObjectTagging"),
      ("PUT", "/b?tagging", [], "PutBucketTagging"),
      ("PUT", "/b/k?acl", [], "PutObjectAcl"),
      ("POST", "/b/k?uploads", [], "CreateMultipartUpload"),
      ("POST", "/b/k?uploadId=u", [], "CompleteMultipartUpload"),
      ("DELETE", "/b/k?uploadId=u", [], "AbortMultipartUpload"),
      ("DELETE", "/b/k?versionId=v", [], "DeleteObject"),
      ("GET", "/b/k?uploadId=u", [], "ListParts"),
      ("GET", "/b/k?partNumber=2", [], "GetObject"),
      ("GET", "/b/k?attributes", [("x-amz-object-attributes", "ETag")], "GetObjectAttributes"),
      ("HEAD", "/b/k", [], "HeadObject"),
      ("GET", "/b/k?response-content-type=text/plain", [], "GetObject"),
      // Half an upload must not become an object.
      ("PUT", "/b/k?uploadId=u", [], nil),
      ("POST", "/b/k", [], nil),
      ("PATCH", "/b/k", [], nil),
      ("PUT", "/", [], nil),
      ("GET", "//k", [], nil),
    ]
    for (method, target, headers, expected) in cases {
      let request = Self.request(method, target, headers)
      XCTAssertEqual(try codec.route(request)?.operation.name, expected, "\(method) \(target) \(headers)")
    }
  }

  func testEveryUnlistedS3OperationIsStillRouted() throws {
    let model = try GeneratedModels.load("s3")
    let codec = WireCodec(model: model)
    for operation in model.operations.values.sorted(by: { $0.name < $1.name }) {
      // Its successor of the same shape wins.
      if operation.isDeprecated || operation.name == "ListDirectoryBuckets" { continue }
      var query = operation.requestUri.split(separator: "?").dropFirst().joined()
      for key in operation.requiredQueryKeys { query += (query.isEmpty ? "" : "&") + key + "=1" }
      let path = operation.requestUri.split(separator: "?")[0].replacing("{Bucket}", with: "b").replacing("{Key+}", with: "k")
      let request = WireRequest(
        method: operation.method, path: String(path), query: query, headers: operation.requiredHeaders.map { ($0, "x") })
      XCTAssertEqual(try codec.route(request)?.operation.name, operation.name)
    }
  }

  func testLabelsAreDecodedAfterThePathIsCut() throws {
    let codec = WireCodec(model: try GeneratedModels.load("s3"))
    func labels(_ path: String) throws -> [String: String]? { try codec.route(Self.request("GET", path))?.labels }
    XCTAssertEqual(try labels("/b/a%2Fb/c%20d+e"), ["Bucket": "b", "Key": "a/b/c d+e"])
    XCTAssertEqual(try labels("/b/../x/./y//"), ["Bucket": "b", "Key": "../x/./y//"])
    XCTAssertEqual(try labels("/b/%E2%82%AC"), ["Bucket": "b", "Key": "€"])
    XCTAssertEqual(try labels("/b/100%"), ["Bucket": "b", "Key": "100%"])
    XCTAssertThrowsError(try labels("/b/%ff"))
  }

  func testATargetMayNameItsServiceInSeveralWays() throws {
    let codec = WireCodec(model: try GeneratedModels.load("codedeploy"))
    for target in ["CodeDeploy_20141006.CreateApplication", "com.amazonaws.codedeploy.CodeDeploy_20141006.CreateApplication"] {
      let route = try codec.route(WireRequest(method: "POST", path: "/", headers: [("X-AMZ-TARGET", target)]))
      XCTAssertEqual(route?.operation.name, "CreateApplication")
    }
    XCTAssertNil(try codec.route(WireRequest(method: "POST", path: "/", headers: [("x-amz-target", "CodeDeploy_20141006.Nope")])))
    XCTAssertNil(try codec.route(WireRequest(method: "POST", path: "/")))
  }

  func testAQueryCallMayStandInTheBodyOrTheQueryString() throws {
    let codec = WireCodec(model: try GeneratedModels.load("sts"))
    let form = "Version=2011-06-15&Action=GetCallerIdentity"
    XCTAssertEqual(codec.operation(for: WireRequest(method: "POST", path: "/", body: .bytes(Array(form.utf8)))), "GetCallerIdentity")
    XCTAssertEqual(codec.operation(for: WireRequest(method: "GET", path: "/", query: form)), "GetCallerIdentity")
    XCTAssertEqual(
      codec.operation(for: WireRequest(method: "POST", path: "/", query: form, body: .bytes(Array("x=1".utf8)))), "GetCallerIdentity")
    XCTAssertEqual(
      codec.unknownOperation(WireRequest(method: "GET", path: "/", query: "Action=Nope&Version=1")).code, "InvalidAction")
    XCTAssertEqual(codec.unknownOperation(WireRequest(method: "GET", path: "/")).code, "MissingAction")
  }

  func testAServiceWithSeveralProtocolsAnswersInTheCallersOne() throws {
    let model = try ServiceModel(
      service: "monitoring",
      json: """
        {"metadata":{"protocols":["smithy-rpc-v2-cbor","json","query"],"targetPrefix":"G","jsonVersion":"1.0","awsQueryCompatible":{}},
        "operations":{"Op":{"http":{"method":"POST","requestUri":"/"}}},"shapes":{}}
        """)
    let codec = WireCodec(model: model)
    let cbor = WireRequest(method: "POST", path: "/service/G/operation/Op", headers: [("smithy-protocol", "rpc-v2-cbor")])
    let json = WireRequest(
      method: "POST", path: "/", headers: [("X-Amz-Target", "G.Op"), ("Content-Type", "application/x-amz-json-1.0")])
    let query = WireRequest(
      method: "POST", path: "/", headers: [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")],
      body: .bytes(Array("Action=Op".utf8)))
    for (request, expected) in [(cbor, WireProtocolName.cbor), (json, .json), (query, .query)] {
      let route = try XCTUnwrap(codec.route(request))
      XCTAssertEqual(route.wireProtocol, expected)
      XCTAssertEqual(route.operation.name, "Op")
    }
    XCTAssertEqual(try codec.route(json)?.jsonVersion, "1.0")
  }

  func testOnlyObjectBodiesAreStreamed() throws {
    let codec = WireCodec(model: try GeneratedModels.load("s3"))
    func streams(_ method: String, _ target: String) throws -> Bool {
      codec.streamsInput(of: try XCTUnwrap(codec.route(Self.request(method, target))))
    }
    XCTAssertTrue(try streams("PUT", "/b/k"))
    XCTAssertTrue(try streams("PUT", "/b/k?partNumber=1&uploadId=u"))
    XCTAssertFalse(try streams("POST", "/b/k?uploadId=u"))
    XCTAssertFalse(try streams("PUT", "/b"))
  }

  static func request(_ method: String, _ target: String, _ headers: [(String, String)] = []) -> WireRequest {
    let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    return WireRequest(method: method, path: parts[0], query: parts.count > 1 ? parts[1] : "", headers: headers)
  }
}
