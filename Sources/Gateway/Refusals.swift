import FoundationEssentials
import HTTPKit
import Logging
import RegionKit
import RequestSigning
import WireModel
import WireProtocol

// The end of a request that cannot be answered as it wished.
extension Gateway {
  func refuse(_ error: any Error, _ journey: Journey) -> HTTPServerResponse {
    if Task.isCancelled {
      // The client is gone: whatever is answered is thrown away.
      audit(journey, status: 499, error: AWSError("ClientDisconnected", "The client closed the connection before the answer."))
      return HTTPServerResponse(status: 499)
    }
    if let absent = error as? AbsentService { return refuse(absent, journey) }
    let shown = awsError(of: error, journey)
    guard let endpoint = journey.endpoint else { return plain(shown, journey) }
    let response = http(
      endpoint.codec.encode(error: shown, route: journey.route, request: journey.wire, requestId: journey.requestId))
    audit(journey, status: response.status, error: shown)
    return response
  }

  /// Causes are logged with the request id and never shown.
  private func awsError(of error: any Error, _ journey: Journey) -> AWSError {
    let known = error as? AWSError
    if known == nil || known?.fault == .receiver {
      parts.logger.error(
        "a call failed",
        metadata: [
          "requestId": "\(journey.requestId)", "service": "\(journey.endpoint?.model.service ?? "-")",
          "operation": "\(journey.operation ?? "-")", "error": "\(error)",
        ])
    }
    guard let known else {
      let code = journey.endpoint?.isS3 == true ? "InternalError" : "InternalFailure"
      return AWSError(
        code, "The region failed to process the request. Its log has the cause under request id \(journey.requestId).", status: 500,
        fault: .receiver)
    }
    return journey.dialect.accessDenied(known)
  }

  /// No model tells how this service's errors look, so the request's own form decides.
  private func refuse(_ absent: AbsentService, _ journey: Journey) -> HTTPServerResponse {
    let here = directory.endpoints.filter { $0.module != nil }.map(\.model.service).sorted().joined(separator: ", ")
    return plain(
      AWSError(
        "UnsupportedOperation",
        "The service '\(absent.name.prefix(100))' is not part of this Roadstead region. It has: \(here).", status: 400),
      journey)
  }

  private func plain(_ error: AWSError, _ journey: Journey) -> HTTPServerResponse {
    audit(journey, status: error.status ?? 400, error: error)
    let wire = journey.wire
    let isForm = wire.header("content-type")?.hasPrefix("application/x-www-form-urlencoded") == true || wire.query.contains("Action=")
    let speaksXML = ["s3", "route53", "cloudfront"].contains(journey.claim?.scope?.service ?? "")
    var headers: HTTPFields = ["x-amzn-RequestId": journey.requestId]
    let body: String
    if isForm || speaksXML {
      headers.append("Content-Type", "text/xml")
      body =
        "<ErrorResponse><Error><Type>Sender</Type><Code>\(error.code)</Code><Message>\(Self.escaped(error.message, "<>&"))</Message>"
        + "</Error><RequestId>\(journey.requestId)</RequestId></ErrorResponse>"
    } else {
      headers.append("Content-Type", "application/x-amz-json-1.1")
      headers.append("x-amzn-ErrorType", error.code)
      body = "{\"__type\":\"\(error.code)\",\"message\":\"\(Self.escaped(error.message, "\"\\"))\"}"
    }
    return HTTPServerResponse(status: error.status ?? 400, headers: headers, body: ByteStream(Array(body.utf8)))
  }

  /// For XML and JSON alike: what could end the text, and anything beyond printable ASCII, becomes `?`; such a name is no service's.
  private static func escaped(_ text: String, _ forbidden: String) -> String {
    String(decoding: text.utf8.map { forbidden.utf8.contains($0) || $0 < 0x20 || $0 > 0x7e ? 0x3f : $0 }, as: UTF8.self)
  }

  func plain(_ status: Int, _ text: String, _ journey: Journey) -> HTTPServerResponse {
    HTTPServerResponse(
      status: status, headers: ["Content-Type": "text/plain; charset=utf-8", "x-amzn-RequestId": journey.requestId],
      body: ByteStream(Array(text.utf8)))
  }

  // MARK: 12

  func audit(_ journey: Journey, status: Int, error: AWSError?) {
    let now = parts.clock.now()
    parts.audit.record(
      AuditRecord(
        time: journey.started, requestId: journey.requestId, service: journey.endpoint?.model.service, operation: journey.operation,
        region: journey.call?.region.rawValue ?? journey.region, account: journey.principal?.account.rawValue,
        principal: journey.principal?.arn, accessKeyId: journey.claim?.accessKeyId, sourceIP: journey.http.remoteAddress,
        userAgent: journey.http.headers["user-agent"].map { String($0.prefix(512)) }, resources: journey.resources, status: status,
        errorCode: error?.code, errorMessage: error.map { Self.auditText($0) },
        milliseconds: now.timeIntervalSince(journey.started) * 1000))
  }

  /// The canonical request in a signature error repeats headers, the session token among them: the record keeps the sentence only.
  private static func auditText(_ error: AWSError) -> String {
    String((error.message.split(separator: "\n", maxSplits: 1).first ?? "").prefix(1000))
  }
}
