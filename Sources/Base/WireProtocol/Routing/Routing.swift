public import RegionKit
public import WireModel

extension WireRoute {
  init(_ operation: OperationModel, _ wireProtocol: WireProtocolName, labels: [String: String] = [:], jsonVersion: String = "1.1") {
    self.operation = operation
    self.wireProtocol = wireProtocol
    self.labels = labels
    self.jsonVersion = jsonVersion
    form = []
  }
}

extension WireCodec {
  /// The protocol a request speaks, among those of the service; its first when nothing tells.
  public func wireProtocol(of request: WireRequest) -> WireProtocolName {
    let offered = model.metadata.protocols
    func has(_ name: WireProtocolName) -> Bool { offered.contains(name) }
    if offered.count > 1 {
      if has(.cbor), request.header("smithy-protocol") != nil { return .cbor }
      if has(.json), request.header("x-amz-target") != nil { return .json }
      let type = request.header("content-type") ?? ""
      if has(.query), hasPrefixIgnoringCase(type, "application/x-www-form-urlencoded") || request.method == "GET" { return .query }
    }
    return offered.first ?? .json
  }

  /// The operation a request asks for; nil when the service has none such. Throws `AWSError` when the request cannot be read so far.
  public func route(_ request: WireRequest) throws -> WireRoute? {
    let spoken = wireProtocol(of: request)
    do {
      switch spoken {
      case .json:
        guard let target = request.header("x-amz-target"), let name = target.split(separator: ".").last else { return nil }
        let type = request.header("content-type") ?? ""
        let version = type.contains("json-1.0") ? "1.0" : type.contains("json-1.1") ? "1.1" : model.metadata.jsonVersion
        return model.operations[String(name)].map { WireRoute($0, .json, jsonVersion: version) }
      case .query, .ec2:
        let form = try formPairs(request)
        guard let name = form.first(where: { $0.0 == "Action" })?.1, let operation = model.operations[name] else { return nil }
        var route = WireRoute(operation, spoken)
        route.form = form
        return route
      case .cbor:
        let parts = request.path.split(separator: "/")
        guard request.method == "POST", parts.count >= 4, parts[parts.count - 2] == "operation" else { return nil }
        return model.operations[String(parts[parts.count - 1])].map { WireRoute($0, .cbor) }
      case .restJSON, .restXML:
        return try router.match(request).map { WireRoute($0.0, spoken, labels: $0.1) }
      }
    } catch let problem as WireProblem {
      throw malformed(problem, spoken, operation: nil)
    }
  }

  /// The name of the operation a request asks for.
  public func operation(for request: WireRequest) -> String? { (try? route(request))??.operation.name }

  /// True when the operation's input is a body of any size that must not be collected (S3's PutObject and UploadPart).
  public func streamsInput(of route: WireRoute) -> Bool {
    guard let shape = model.inputShape(route.operation), let name = shape.payload, let member = shape.member(name) else { return false }
    return model.isStreaming(member) && model.shape(member).kind == .blob
  }

  /// The error for a request that names no operation of the service.
  public func unknownOperation(_ request: WireRequest) -> AWSError {
    let service = model.metadata.fullName
    switch wireProtocol(of: request) {
    case .query, .ec2:
      let form = (try? formPairs(request)) ?? []
      guard let action = form.first(where: { $0.0 == "Action" })?.1 else {
        return AWSError("MissingAction", "The request has no Action parameter, so \(service) cannot tell what is asked for.")
      }
      let version = form.first { $0.0 == "Version" }?.1 ?? ""
      return AWSError("InvalidAction", "Could not find operation \(ScalarText.clip(action)) for version \(ScalarText.clip(version))")
    case .json, .cbor:
      let target = request.header("x-amz-target") ?? request.path
      return AWSError("UnknownOperationException", "\(service) has no operation '\(ScalarText.clip(target))'.")
    case .restXML where model.isS3:
      return AWSError(
        "MethodNotAllowed", "The specified method is not allowed against this resource.", status: 405,
        fields: ["Method": request.method])
    case .restJSON, .restXML:
      return AWSError(
        "UnknownOperationException", "\(service) has no operation for \(request.method) \(ScalarText.clip(request.path)).", status: 404)
    }
  }

  func formPairs(_ request: WireRequest) throws -> [(String, String)] {
    guard case .bytes(let body) = request.body, !body.isEmpty else { return try PercentCoding.pairs(request.query) }
    guard let text = String(validating: body, as: UTF8.self) else { throw WireProblem("the form is not UTF-8") }
    let pairs = try PercentCoding.pairs(text)
    return pairs.contains { $0.0 == "Action" } ? pairs : try PercentCoding.pairs(request.query) + pairs
  }
}
