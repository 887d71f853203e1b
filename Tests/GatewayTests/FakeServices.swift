import FoundationEssentials
import HTTPKit
import Logging
import Ports
import RegionKit
import RequestSigning
import Synchronization
import WireModel
import XCTest

@testable import Gateway

/// A service of two operations, `Echo` and the unlisted `Absent`, in any protocol.
struct FakeService: ServiceModule {
  let model: ServiceModel
  let handlers: [String: OperationHandler]
  var permissions: @Sendable (String) -> [AuthorizationRequest] = { [AuthorizationRequest("fake:\($0)", on: "arn:aws:fake:::thing")] }

  func authorization(for operation: String, input: [String: WireValue], call: Call) async throws -> [AuthorizationRequest] {
    permissions(operation)
  }

  /// `metadata`: what follows the service's names; `uri`: of Echo; `open`: the operation needs no signature.
  static func echo(_ service: String, _ metadata: String, uri: String = "/", _ handler: @escaping OperationHandler) throws -> FakeService {
    let json = """
      {"metadata":{"serviceFullName":"\(service)","serviceId":"\(service)","endpointPrefix":"\(service)",\(metadata)},
       "operations":{
        "Echo":{"http":{"method":"POST","requestUri":"\(uri)"},"input":{"shape":"In"},
                "output":{"shape":"Out","resultWrapper":"EchoResult"},"errors":[]},
        "Open":{"http":{"method":"POST","requestUri":"\(uri)open"},"input":{"shape":"In"},
                "output":{"shape":"Out","resultWrapper":"OpenResult"},"authtype":"none","errors":[]},
        "Absent":{"http":{"method":"POST","requestUri":"\(uri)absent"},"errors":[]}},
       "shapes":{
        "In":{"type":"structure","required":["Text"],"members":{"Text":{"shape":"Text"}}},
        "Out":{"type":"structure","members":{"Text":{"shape":"Text"}}},
        "Text":{"type":"string","min":1,"max":1000}}}
      """
    return FakeService(model: try ServiceModel(service: service, json: json), handlers: ["Echo": handler, "Open": handler])
  }

  static func s3(_ handlers: [String: OperationHandler]) throws -> FakeService {
    let json = """
      {"metadata":{"serviceFullName":"S3","serviceId":"S3","endpointPrefix":"s3","apiVersion":"2006-03-01","protocol":"rest-xml"},
       "operations":{
        "ListBuckets":{"http":{"method":"GET","requestUri":"/"},"errors":[]},
        "GetObject":{"http":{"method":"GET","requestUri":"/{Bucket}/{Key+}"},"input":{"shape":"Get"},"output":{"shape":"Got"},"errors":[]},
        "PutObject":{"http":{"method":"PUT","requestUri":"/{Bucket}/{Key+}"},"input":{"shape":"Put"},"output":{"shape":"Done"},"errors":[]},
        "PutBucketPolicy":{"http":{"method":"PUT","requestUri":"/{Bucket}?policy"},"input":{"shape":"Policy"},"errors":[]}},
       "shapes":{
        "Get":{"type":"structure","required":["Bucket","Key"],"members":{
          "Bucket":{"shape":"Text","location":"uri","locationName":"Bucket"},"Key":{"shape":"Text","location":"uri","locationName":"Key"}}},
        "Got":{"type":"structure","payload":"Body","members":{"Body":{"shape":"Bytes","streaming":true}}},
        "Put":{"type":"structure","required":["Bucket","Key"],"payload":"Body","members":{
          "Body":{"shape":"Bytes","streaming":true},
          "Bucket":{"shape":"Text","location":"uri","locationName":"Bucket"},"Key":{"shape":"Text","location":"uri","locationName":"Key"},
          "Encoding":{"shape":"Text","location":"header","locationName":"Content-Encoding"},
          "Length":{"shape":"Long","location":"header","locationName":"Content-Length"}}},
        "Done":{"type":"structure","members":{"ETag":{"shape":"Text","location":"header","locationName":"ETag"}}},
        "Policy":{"type":"structure","required":["Bucket"],"payload":"Policy","members":{
          "Bucket":{"shape":"Text","location":"uri","locationName":"Bucket"},"Policy":{"shape":"Text"}}},
        "Bytes":{"type":"blob","streaming":true},"Text":{"type":"string"},"Long":{"type":"long"}}}
      """
    return FakeService(model: try ServiceModel(service: "s3", json: json), handlers: handlers)
  }
}

/// One key of each kind.
struct FakeCredentials: CredentialResolver {
  static let account = AccountID("123456789012")
  func resolve(accessKeyId: String, sessionToken: String?, now: Date) async throws -> SigningIdentity {
    let principal = Principal(
      kind: .user, account: Self.account, arn: "arn:aws:iam::123456789012:user/ann", userId: "AIDAX", accessKeyId: accessKeyId)
    switch (accessKeyId, sessionToken) {
    case ("AKIAGOOD", nil), ("ASIAGOOD", "token"?): return SigningIdentity(secretAccessKey: "secret", principal: principal)
    case ("ASIAGOOD", "old"?): throw CredentialProblem.expiredToken
    case ("ASIAGOOD", _): throw CredentialProblem.invalidToken
    case ("AKIABROKEN", _): throw Broken()
    default: throw CredentialProblem.unknownKey
    }
  }
  struct Broken: Error {}
}

/// Denies what it is told to.
final class FakeAuthorizer: Authorizer {
  let denied = Mutex<Set<String>>([])
  func authorize(_ request: AuthorizationRequest, principal: Principal, facts: CallFacts) async throws {
    if denied.withLock({ $0.contains(request.action) }) {
      throw AWSError("AccessDenied", "User: \(principal.arn) is not authorized to perform: \(request.action)", status: 403)
    }
  }
}

final class FakeAudit: AuditSink {
  private let kept = Mutex<[AuditRecord]>([])
  func record(_ record: AuditRecord) { kept.withLock { $0.append(record) } }
  var records: [AuditRecord] { kept.withLock { $0 } }
}

/// What came back.
struct Answer {
  let status: Int
  let headers: HTTPFields
  let bytes: [UInt8]
  var text: String { String(decoding: bytes, as: UTF8.self) }
}

/// A gateway on a loopback socket, and a client that signs.
final class Harness: Sendable {
  let server: HTTPServer
  let audit = FakeAudit()
  let authorizer = FakeAuthorizer()
  let web = HTTPClient()
  var port: Int { server.port ?? 0 }
  var host: String { "127.0.0.1:\(port)" }

  init(_ services: [any ServiceModule], change: (inout GatewayParts) -> Void = { _ in }) async throws {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    var parts = GatewayParts(
      services: services, credentials: FakeCredentials(), authorizer: authorizer, audit: audit, clock: SystemClock(),
      random: SystemRandomness(), homeRegion: RegionName("home-1"), logger: logger)
    change(&parts)
    server = try await HTTPServer.start(
      bind: .host("127.0.0.1", port: 0), clock: SystemClock(), logger: logger, responder: Gateway(parts).responder)
  }

  func stop() async {
    web.closeIdle()
    await server.shutdown(grace: 0)
  }

  struct Signing {
    var service: String
    var region = "us-east-1"
    var key = "AKIAGOOD"
    var secret = "secret"
    var token: String?
    var offset = 0.0
    var payloadHash: String?
    var signer: Signer {
      Signer(
        credentials: SigningCredentials(accessKeyId: key, secretAccessKey: secret, sessionToken: token), region: region, service: service)
    }
  }

  /// `sending`: another body than the one that is signed.
  func send(
    _ method: String = "POST", _ target: String = "/", headers: [(String, String)] = [], body: [UInt8] = [], sending: ByteStream? = nil,
    as signing: Signing?, hostHeader: String? = nil
  ) async throws -> Answer {
    var all = [(name: "Host", value: hostHeader ?? host)] + headers.map { (name: $0.0, value: $0.1) }
    if let signing {
      all = signing.signer.sign(
        SignableRequest(method: method, target: target, headers: all), payloadHash: signing.payloadHash ?? sha256Hex(body),
        date: SystemClock().now().addingTimeInterval(signing.offset))
    }
    let request = HTTPClientRequest(
      method: method, url: "http://\(host)\(target)", headers: HTTPFields(all),
      body: sending ?? (body.isEmpty && method == "GET" ? nil : ByteStream(body)))
    let response = try await web.execute(request)
    return Answer(status: response.status, headers: response.headers, bytes: try await response.body.collect(limit: 1 << 28))
  }
}
