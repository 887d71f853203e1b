import FoundationEssentials
public import RegionKit
import WireModel

extension WireCodec {
  /// The answer to a failed call, in the protocol's error shape. `route` is nil when the request named no operation.
  public func encode(error: AWSError, route: WireRoute?, request: WireRequest, requestId: String) -> WireResponse {
    let shape = errorShape(error.code)
    var members: [String: WireValue] = [:]
    for (name, text) in error.fields {
      let member = shape?.member(name)
      members[name] = member.flatMap { try? ScalarText.parse(text, model.shape($0), .iso8601) } ?? .string(text)
    }
    return encode(
      FailureParts(
        code: error.code, status: error.status ?? shape?.errorStatus ?? (error.fault == .receiver ? 500 : 400), fault: error.fault,
        message: error.message, members: members, headers: error.headers.sorted { $0.key < $1.key }),
      route: route, request: request, requestId: requestId)
  }

  /// By the code on the wire, else by the shape's own name.
  func errorShape(_ code: String) -> Shape? {
    if let shape = model.errorShapes[code] { return shape }
    return model.shape(named: code).flatMap { $0.isException ? $0 : nil }
  }

  func encode(_ failure: FailureParts, route: WireRoute?, request: WireRequest, requestId: String) -> WireResponse {
    let spoken = route?.wireProtocol ?? wireProtocol(of: request)
    var response: WireResponse
    switch spoken {
    case .json, .restJSON, .cbor: response = typed(failure, spoken, route, request, requestId)
    case .query: response = xml(failure, requestId, bare: false, declare: false)
    case .restXML: response = xml(failure, requestId, bare: model.isS3, declare: true)
    case .ec2: response = ec2(failure, requestId)
    }
    response.headers += failure.headers
    if request.method == "HEAD" || response.status == 304 { response.body = .bytes([]) }
    return response
  }

  private func typed(
    _ failure: FailureParts, _ spoken: WireProtocolName, _ route: WireRoute?, _ request: WireRequest, _ requestId: String
  ) -> WireResponse {
    let shape = errorShape(failure.code)
    // Callers of awsQueryCompatible services read the shape's name in the body and the old code in a header.
    let type = model.metadata.awsQueryCompatible ? shape?.name ?? failure.code : failure.code
    var values = failure.members
    let messageName = shape?.members.first { equalIgnoringCase($0.name, "message") }?.name
    if let messageName, let message = failure.message { values[messageName] = .string(message) }
    let plainMessage = messageName == nil ? failure.message : nil
    // The model's status of such a service is the one of its query protocol.
    let status = model.metadata.awsQueryCompatible && shape != nil ? (failure.fault == .receiver ? 500 : 400) : failure.status
    var headers: [(String, String)] = []
    if model.metadata.awsQueryCompatible, request.header("x-amzn-query-mode") != nil {
      headers.append(("x-amzn-query-error", "\(shape?.errorCode ?? failure.code);\(failure.fault.rawValue)"))
    }
    let inBody: (Member) -> Bool = { spoken != .restJSON || $0.location == .body }
    if spoken == .cbor {
      var entries: [(String, CBORValue)] = [("__type", .text(type))]
      if let plainMessage { entries.append(("message", .text(plainMessage))) }
      if let shape, case .map(let more)? = try? CBORBody(model: model).item(values, shape) { entries += more }
      return WireResponse(
        status: status, headers: Self.cborHeaders(requestId, hasBody: true) + headers,
        body: .bytes(CBORWriter.write(.map(entries))))
    }
    var entries: [JSONMember] = spoken == .restJSON ? [] : [JSONMember("__type", .string(type))]
    if let plainMessage { entries.append(JSONMember("message", .string(plainMessage))) }
    if let shape, case .object(let more)? = try? JSONBody(model: model).json(values, shape, only: inBody) { entries += more }
    if spoken == .restJSON, let shape { headers += (try? RestOutput(model: model).headers(values, shape)) ?? [] }
    headers.append(("x-amzn-ErrorType", RestOutput.clean(type)))
    headers.append(("x-amzn-RequestId", requestId))
    let version = route?.jsonVersion ?? model.metadata.jsonVersion
    headers.append(("Content-Type", spoken == .restJSON ? "application/json" : "application/x-amz-json-\(version)"))
    return WireResponse(status: status, headers: headers, body: .bytes(JSONWriter.write(.object(entries))))
  }

  /// The members of an error besides code and message, as elements.
  private func extras(_ failure: FailureParts, into body: inout XMLBodyWriter) {
    let shape = errorShape(failure.code)
    for (name, value) in failure.members.sorted(by: { $0.key < $1.key }) where !equalIgnoringCase(name, "message") {
      if let member = shape?.member(name) {
        guard member.location == .body else { continue }
        try? body.write(value, member, name: member.locationName ?? member.name)
      } else if case .string(let text) = value {
        body.writer.element(name, text)
      }
    }
  }

  private func xml(_ failure: FailureParts, _ requestId: String, bare: Bool, declare: Bool) -> WireResponse {
    var body = XMLBodyWriter(model: model, millis: bare, shapeNamespaces: declare)
    if declare { body.writer.declaration() }
    if !bare { body.writer.open("ErrorResponse", xmlNamespace.map { [("xmlns", $0.uri)] } ?? []) }
    body.writer.open("Error")
    if !bare { body.writer.element("Type", failure.fault.rawValue) }
    body.writer.element("Code", failure.code)
    if let message = failure.message { body.writer.element("Message", message) }
    extras(failure, into: &body)
    if bare {
      body.writer.element("RequestId", requestId)
      body.writer.element("HostId", Self.hostId(requestId))
    }
    body.writer.close("Error")
    if !bare {
      body.writer.element("RequestId", requestId)
      body.writer.close("ErrorResponse")
    }
    var headers = [("Content-Type", declare ? "application/xml" : "text/xml")]
    headers += declare ? idHeaders(requestId) : [("x-amzn-RequestId", requestId)]
    if declare, let shape = errorShape(failure.code) {
      headers += (try? RestOutput(model: model).headers(failure.members, shape)) ?? []
    }
    return WireResponse(status: failure.status, headers: headers, body: .bytes(body.writer.bytes))
  }

  private func ec2(_ failure: FailureParts, _ requestId: String) -> WireResponse {
    var body = XMLBodyWriter(model: model, millis: true)
    body.writer.declaration()
    body.writer.open("Response")
    body.writer.open("Errors")
    body.writer.open("Error")
    body.writer.element("Code", failure.code)
    if let message = failure.message { body.writer.element("Message", message) }
    extras(failure, into: &body)
    body.writer.close("Error")
    body.writer.close("Errors")
    body.writer.element("RequestID", requestId)
    body.writer.close("Response")
    return WireResponse(
      status: failure.status, headers: [("Content-Type", "text/xml;charset=UTF-8"), ("x-amzn-requestid", requestId)],
      body: .bytes(body.writer.bytes))
  }

  /// The protocol's own error for a message that cannot be read.
  func malformed(_ problem: WireProblem, _ spoken: WireProtocolName, operation: OperationModel?) -> AWSError {
    let what = operation.map { "\(model.service):\($0.name)" } ?? model.service
    switch spoken {
    case .json, .restJSON, .cbor:
      return AWSError("SerializationException", "The request to \(what) cannot be read: \(problem)")
    case .query: return AWSError("MalformedInput", "The request to \(what) cannot be read: \(problem)")
    case .ec2:
      guard !problem.path.isEmpty, let shape = operation.flatMap(model.inputShape) else {
        return AWSError("InvalidParameterValue", "The request to \(what) cannot be read: \(problem.reason)")
      }
      let name = QueryReader(model: model, ec2: true).parameter(problem.path, of: shape)
      return AWSError("InvalidParameterValue", "Value for parameter \(name) is invalid: \(problem.reason)")
    case .restXML where model.isS3:
      if problem.path.isEmpty || operation == nil || isBodyMember(problem.path[0], operation) {
        return AWSError(
          "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema: \(problem)")
      }
      return AWSError("InvalidArgument", "\(problem.path[0]): \(problem.reason)", fields: ["ArgumentName": problem.path[0]])
    case .restXML: return AWSError("InvalidInput", "The request to \(what) cannot be read: \(problem)")
    }
  }

  private func isBodyMember(_ name: String, _ operation: OperationModel?) -> Bool {
    operation.flatMap { model.inputShape($0)?.member(name) }?.location == .body
  }
}

/// An error taken apart; members are the error structure's, typed.
struct FailureParts {
  var code: String
  var status: Int
  var fault: AWSError.Fault = .sender
  /// Nil in recorded answers that have none; an `AWSError` always has one.
  var message: String?
  var members: [String: WireValue] = [:]
  var headers: [(String, String)] = []
}
