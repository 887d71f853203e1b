import Foundation
import RegionKit
import WireModel
import XCTest

@testable import WireProtocol

/// Requests and answers of the services in use, as their clients send and read them.
final class MessageTests: XCTestCase {
  private func body(_ response: WireResponse) throws -> String {
    guard case .bytes(let bytes) = response.body else { throw XCTSkip("a stream") }
    return String(decoding: bytes, as: UTF8.self)
  }
  private func form(_ text: String) -> WireRequest {
    WireRequest(
      method: "POST", path: "/", headers: [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")],
      body: .bytes(Array(text.utf8)))
  }
  private func decode(_ codec: WireCodec, _ request: WireRequest) throws -> [String: WireValue] {
    try codec.decode(request, XCTUnwrap(codec.route(request)))
  }

  func testRunInstances() throws {
    let codec = WireCodec(model: try GeneratedModels.load("ec2"))
    let request = form(
      "Action=RunInstances&Version=2016-11-15&ImageId=ami-1&MinCount=1&MaxCount=3&NetworkInterface.1.DeviceIndex=0"
        + "&NetworkInterface.1.SecurityGroupId.1=sg-1&NetworkInterface.1.AssociatePublicIpAddress=true"
        + "&TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.1.Value=b"
        + "&UserData=IyEvYmluL3NoCg%3D%3D&SecurityGroupId.1=sg-1&SecurityGroupId.2=sg-2&ClientToken=t")
    let input = try decode(codec, request)
    XCTAssertEqual(input["MaxCount"]?.asInt, 3)
    XCTAssertEqual(input["SecurityGroupIds"]?.asList?.compactMap(\.asString), ["sg-1", "sg-2"])
    let tags = input["TagSpecifications"]?.asList?.first?.asObject
    XCTAssertEqual(tags?["ResourceType"]?.asString, "instance")
    XCTAssertEqual(tags?["Tags"]?.asList?.first?.asObject?["Value"]?.asString, "b")
    let network = input["NetworkInterfaces"]?.asList?.first?.asObject
    XCTAssertEqual(network?["Groups"]?.asList?.count, 1)
    XCTAssertNoThrow(try codec.validate(input, XCTUnwrap(codec.route(request))))
  }

  func testDescribeInstancesAnswer() throws {
    let codec = WireCodec(model: try GeneratedModels.load("ec2"))
    let route = WireRoute(try XCTUnwrap(codec.model.operations["DescribeInstances"]), .ec2)
    let instance: WireValue = .object([
      "InstanceId": .string("i-1"), "LaunchTime": .timestamp(Date(timeIntervalSince1970: 1_767_323_045)),
      "State": .object(["Code": .int(16), "Name": .string("running")]),
      "Tags": .list([.object(["Key": .string("a"), "Value": .string("<&>")])]),
    ])
    let output: [String: WireValue] = ["Reservations": .list([.object(["Instances": .list([instance])])])]
    let text = try body(codec.encode(output, route, requestId: "id-1"))
    XCTAssertEqual(
      text,
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15\">"
        + "<requestId>id-1</requestId><reservationSet><item><instancesSet><item>"
        + "<tagSet><item><key>a</key><value>&lt;&amp;&gt;</value></item></tagSet><instanceId>i-1</instanceId>"
        + "<instanceState><code>16</code><name>running</name></instanceState>"
        + "<launchTime>2026-01-02T03:04:05.000Z</launchTime>"
        + "</item></instancesSet></item></reservationSet></DescribeInstancesResponse>", "member order is the model's")
  }

  func testQueryAnswersAndErrors() throws {
    let codec = WireCodec(model: try GeneratedModels.load("sts"))
    let request = form("Action=GetCallerIdentity&Version=2011-06-15")
    let route = try XCTUnwrap(codec.route(request))
    let response = try codec.encode(
      ["UserId": .string("U"), "Account": .string("123456789012"), "Arn": .string("arn:x")], route, requestId: "r")
    XCTAssertEqual(
      try body(response),
      "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><UserId>U</UserId>"
        + "<Account>123456789012</Account><Arn>arn:x</Arn></GetCallerIdentityResult><ResponseMetadata><RequestId>r</RequestId>"
        + "</ResponseMetadata></GetCallerIdentityResponse>")
    let failure = codec.encode(
      error: AWSError("ExpiredTokenException", "old", status: nil), route: route, request: request, requestId: "r")
    XCTAssertEqual(failure.status, 400)
    XCTAssertEqual(
      try body(failure),
      "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>ExpiredTokenException</Code>"
        + "<Message>old</Message></Error><RequestId>r</RequestId></ErrorResponse>")
  }

  func testAnErrorsStatusComesFromTheModel() throws {
    let codec = WireCodec(model: try GeneratedModels.load("iam"))
    let request = form("Action=GetRole&Version=2010-05-08&RoleName=x")
    let route = try XCTUnwrap(codec.route(request))
    XCTAssertEqual(
      codec.encode(error: AWSError("NoSuchEntity", "none"), route: route, request: request, requestId: "r").status, 404)
    XCTAssertEqual(
      codec.encode(error: .internalFailure("broken"), route: route, request: request, requestId: "r").status, 500)
  }

  func testEC2ErrorsHaveTheirOwnShape() throws {
    let codec = WireCodec(model: try GeneratedModels.load("ec2"))
    let request = form("Action=DescribeInstances&Version=2016-11-15")
    let failure = codec.encode(
      error: AWSError("InvalidInstanceID.NotFound", "The instance ID 'i-1' does not exist"), route: try codec.route(request),
      request: request, requestId: "r")
    XCTAssertEqual(
      try body(failure),
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>InvalidInstanceID.NotFound</Code>"
        + "<Message>The instance ID 'i-1' does not exist</Message></Error></Errors><RequestID>r</RequestID></Response>")
  }

  func testS3ErrorsAreBareAndHeadHasNone() throws {
    let codec = WireCodec(model: try GeneratedModels.load("s3"))
    let error = AWSError("NoSuchBucket", "The specified bucket does not exist", status: 404, fields: ["BucketName": "nope"])
    for method in ["GET", "HEAD"] {
      let request = WireRequest(method: method, path: "/nope")
      let response = codec.encode(error: error, route: try codec.route(request), request: request, requestId: "R1")
      XCTAssertEqual(response.status, 404)
      XCTAssertEqual(response.header("x-amz-request-id"), "R1")
      let expected =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchBucket</Code>"
        + "<Message>The specified bucket does not exist</Message><BucketName>nope</BucketName><RequestId>R1</RequestId>"
        + "<HostId>\(WireCodec.hostId("R1"))</HostId></Error>"
      XCTAssertEqual(try body(response), method == "HEAD" ? "" : expected)
    }
  }

  func testS3ObjectsStreamInAndOut() async throws {
    let codec = WireCodec(model: try GeneratedModels.load("s3"))
    let stream = ByteStream(Array("hello".utf8))
    let put = WireRequest(
      method: "PUT", path: "/b/k", headers: [("x-amz-meta-Color", "red"), ("Content-Type", "text/x"), ("Content-Length", "5")],
      body: .stream(stream))
    let input = try decode(codec, put)
    XCTAssertEqual(input["Metadata"]?.asObject?["Color"]?.asString, "red")
    XCTAssertEqual(input["ContentLength"]?.asInt, 5)
    guard case .stream(let body)? = input["Body"] else { return XCTFail("the body is not a stream") }
    let bytes = try await body.collect(limit: 10)
    XCTAssertEqual(bytes, Array("hello".utf8))

    let get = try XCTUnwrap(codec.route(WireRequest(method: "GET", path: "/b/k")))
    let output: [String: WireValue] = [
      "Body": .stream(ByteStream([1, 2, 3])), "ContentLength": .int(3), "ContentType": .string("a/b"), "ETag": .string("\"e\""),
      "LastModified": .timestamp(Date(timeIntervalSince1970: 1_398_796_238)), "Metadata": .object(["color": .string("red")]),
    ]
    let response = try codec.encode(output, get, requestId: "R")
    XCTAssertEqual(response.header("Last-Modified"), "Tue, 29 Apr 2014 18:30:38 GMT")
    XCTAssertEqual(response.header("content-type"), "a/b")
    XCTAssertEqual(response.header("x-amz-meta-color"), "red")
    guard case .stream = response.body else { return XCTFail("the answer is not a stream") }
  }

  func testS3XMLBodies() throws {
    let codec = WireCodec(model: try GeneratedModels.load("s3"))
    func complete(_ xml: String) -> WireRequest {
      WireRequest(method: "POST", path: "/b/k", query: "uploadId=u", body: .bytes(Array(xml.utf8)))
    }
    let good = try decode(
      codec,
      complete(
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Part><ETag>\"a\"</ETag>"
          + "<PartNumber>1</PartNumber></Part><Part><ETag>b</ETag><PartNumber>2</PartNumber></Part></CompleteMultipartUpload>"))
    let parts = good["MultipartUpload"]?.asObject?["Parts"]?.asList
    XCTAssertEqual(parts?.compactMap { $0.asObject?["PartNumber"]?.asInt }, [1, 2])
    for bad in [
      "<CompleteMultipartUpload>", "<Other/>", "no xml",
      "<!DOCTYPE x [<!ENTITY a \"b\">]><CompleteMultipartUpload>&a;</CompleteMultipartUpload>",
      "<CompleteMultipartUpload><Part><PartNumber>one</PartNumber></Part></CompleteMultipartUpload>",
      "<CompleteMultipartUpload>" + String(repeating: "<Part>", count: 100) + String(repeating: "</Part>", count: 100)
        + "</CompleteMultipartUpload>",
    ] {
      XCTAssertThrowsError(try decode(codec, complete(bad)), bad.prefix(40).description) { error in
        XCTAssertEqual((error as? AWSError)?.code, "MalformedXML")
      }
    }
    let number = WireRequest(method: "GET", path: "/b", query: "list-type=2&max-keys=many")
    XCTAssertThrowsError(try decode(codec, number)) { XCTAssertEqual(($0 as? AWSError)?.code, "InvalidArgument") }
  }

  /// The element is named by the member, which is not always the shape's name.
  func testS3BodiesAreNamedByTheirMember() throws {
    let codec = WireCodec(model: try GeneratedModels.load("s3"))
    var checked = 0
    for operation in codec.model.operations.values {
      guard let shape = codec.model.inputShape(operation), let name = shape.payload, let member = shape.member(name) else { continue }
      guard codec.model.shape(member).kind == .structure, !codec.model.shape(member).isEventStream else { continue }
      let root = try XCTUnwrap(member.locationName, operation.name)
      let request = WireRequest(method: operation.method, path: "/b/k", body: .bytes(Array("<\(root)/>".utf8)))
      let input = try codec.decode(request, WireRoute(operation, .restXML))
      XCTAssertNotNil(input[name], operation.name)
      checked += 1
    }
    XCTAssertGreaterThan(checked, 5)
  }

  func testS3ListAnswerNamesItsNamespace() throws {
    let codec = WireCodec(model: try GeneratedModels.load("s3"))
    let route = try XCTUnwrap(codec.route(WireRequest(method: "GET", path: "/b", query: "list-type=2")))
    let key: WireValue = .object(["Key": .string("k"), "Size": .int(1)])
    let text = try body(
      codec.encode(["Name": .string("b"), "Contents": .list([key, key]), "KeyCount": .int(2)], route, requestId: "R"))
    XCTAssertTrue(text.contains(" xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"), text)
    XCTAssertTrue(text.contains("<Contents><Key>k</Key><Size>1</Size></Contents><Contents>"), text)
  }

  func testWrongTypesInJSONAreSerializationExceptions() throws {
    let codec = WireCodec(model: try GeneratedModels.load("codedeploy"))
    for bad in [
      "{\"applicationName\": 5}", "{\"applicationName\": [\"a\"]}", "[]", "\"x\"", "{", "", "{\"tags\": {}}", "{\"tags\": [5]}",
      String(repeating: "{\"a\":", count: 5000), "{\"applicationName\": \"\u{0}\"}",
    ] where !bad.isEmpty {
      let request = WireRequest(
        method: "POST", path: "/", headers: [("X-Amz-Target", "CodeDeploy_20141006.CreateApplication")], body: .bytes(Array(bad.utf8)))
      XCTAssertThrowsError(try decode(codec, request), bad.prefix(30).description) { error in
        XCTAssertEqual((error as? AWSError)?.code, "SerializationException")
      }
    }
  }

  func testWrongTypesInFormsAreNamed() throws {
    let ec2 = WireCodec(model: try GeneratedModels.load("ec2"))
    for (bad, name) in [("MinCount=abc", "MinCount"), ("BlockDeviceMapping.2.Ebs.VolumeSize=big", "BlockDeviceMapping.1.Ebs.VolumeSize")] {
      XCTAssertThrowsError(try decode(ec2, form("Action=RunInstances&Version=1&" + bad))) { error in
        XCTAssertEqual((error as? AWSError)?.code, "InvalidParameterValue")
        XCTAssertTrue("\(error)".contains("parameter \(name) "), "\(error)")
      }
    }
    let iam = WireCodec(model: try GeneratedModels.load("iam"))
    XCTAssertThrowsError(try decode(iam, form("Action=CreateRole&MaxSessionDuration=long"))) { error in
      XCTAssertEqual((error as? AWSError)?.code, "MalformedInput")
    }
    XCTAssertThrowsError(try decode(iam, form("Action=CreateRole&Tags=x"))) { XCTAssertEqual(($0 as? AWSError)?.code, "MalformedInput") }
    XCTAssertEqual(try decode(iam, form("Action=CreateRole&Tags="))["Tags"]?.asList?.count, 0)
  }

  func testQueryCompatibleErrorsCarryTheOldCode() throws {
    let model = try ServiceModel(
      service: "sqs",
      json: """
        {"metadata":{"protocols":["json"],"jsonVersion":"1.0","awsQueryCompatible":{}},
        "operations":{"Op":{"http":{"method":"POST","requestUri":"/"}}},
        "shapes":{"QueueDoesNotExist":{"type":"structure","members":{},"exception":true,
        "error":{"code":"AWS.SimpleQueueService.NonExistentQueue","httpStatusCode":400,"senderFault":true}}}}
        """)
    let codec = WireCodec(model: model)
    let request = WireRequest(method: "POST", path: "/", headers: [("x-amz-target", "A.Op"), ("x-amzn-query-mode", "true")])
    let response = codec.encode(
      error: AWSError("AWS.SimpleQueueService.NonExistentQueue", "none"), route: try codec.route(request), request: request,
      requestId: "r")
    XCTAssertEqual(response.header("x-amzn-query-error"), "AWS.SimpleQueueService.NonExistentQueue;Sender")
    XCTAssertEqual(try body(response), "{\"__type\":\"QueueDoesNotExist\",\"message\":\"none\"}")
  }

  func testAnOutputThatDoesNotFitIsAFaultOfTheRegion() throws {
    let codec = WireCodec(model: try GeneratedModels.load("codedeploy"))
    let route = WireRoute(try XCTUnwrap(codec.model.operations["CreateApplication"]), .json)
    XCTAssertThrowsError(try codec.encode(["applicationId": .list([])], route, requestId: "r")) { error in
      XCTAssertEqual((error as? AWSError)?.code, "InternalFailure")
    }
  }

  func testHeadersCannotBeSplit() throws {
    let codec = WireCodec(model: try GeneratedModels.load("s3"))
    let route = try XCTUnwrap(codec.route(WireRequest(method: "HEAD", path: "/b/k")))
    let response = try codec.encode(["ContentType": .string("a\r\nSet-Cookie: x")], route, requestId: "R")
    XCTAssertEqual(response.header("content-type"), "a  Set-Cookie: x")
  }
}
