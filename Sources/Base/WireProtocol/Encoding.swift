import RegionKit
public import WireModel

extension WireCodec {
  /// The answer to a successful call. Throws `AWSError` InternalFailure when a value does not fit the model: a mistake of the service.
  public func encode(_ output: [String: WireValue], _ route: WireRoute, requestId: String) throws -> WireResponse {
    do {
      let shape = model.outputShape(route.operation)
      switch route.wireProtocol {
      case .json:
        let json = try shape.map { try JSONBody(model: model).json(output, $0) } ?? .object([])
        return WireResponse(
          status: route.operation.responseCode,
          headers: [("Content-Type", "application/x-amz-json-\(route.jsonVersion)"), ("x-amzn-RequestId", requestId)],
          body: .bytes(JSONWriter.write(json)))
      case .cbor:
        let item = try shape.map { try CBORBody(model: model).item(output, $0) }
        return WireResponse(
          status: route.operation.responseCode, headers: Self.cborHeaders(requestId, hasBody: item != nil),
          body: .bytes(item.map(CBORWriter.write) ?? []))
      case .query: return try query(output, shape, route, requestId)
      case .ec2: return try ec2(output, shape, route, requestId)
      case .restJSON, .restXML: return try rest(output, shape, route, requestId)
      }
    } catch let problem as WireProblem {
      throw AWSError.internalFailure(
        "The answer of \(model.service):\(route.operation.name) does not fit its model: \(problem). This is a fault of the region.")
    }
  }

  static func cborHeaders(_ requestId: String, hasBody: Bool) -> [(String, String)] {
    [("smithy-protocol", "rpc-v2-cbor"), ("x-amzn-requestid", requestId)] + (hasBody ? [("Content-Type", "application/cbor")] : [])
  }

  private func query(_ output: [String: WireValue], _ shape: Shape?, _ route: WireRoute, _ requestId: String) throws -> WireResponse {
    var body = XMLBodyWriter(model: model)
    let name = route.operation.name
    body.writer.open(name + "Response", xmlNamespace.map { [("xmlns", $0.uri)] } ?? [])
    if let shape {
      let wrapper = route.operation.output?.resultWrapper ?? name + "Result"
      body.writer.open(wrapper)
      try body.members(output, shape)
      body.writer.close(wrapper)
    }
    body.writer.open("ResponseMetadata")
    body.writer.element("RequestId", requestId)
    body.writer.close("ResponseMetadata")
    body.writer.close(name + "Response")
    return WireResponse(
      status: route.operation.responseCode, headers: [("Content-Type", "text/xml"), ("x-amzn-RequestId", requestId)],
      body: .bytes(body.writer.bytes))
  }

  private func ec2(_ output: [String: WireValue], _ shape: Shape?, _ route: WireRoute, _ requestId: String) throws -> WireResponse {
    var body = XMLBodyWriter(model: model, millis: model.metadata.serviceId == "EC2")
    let name = route.operation.name + "Response"
    body.writer.declaration()
    body.writer.open(name, xmlNamespace.map { [("xmlns", $0.uri)] } ?? [])
    body.writer.element("requestId", requestId)
    if let shape { try body.members(output, shape) }
    body.writer.close(name)
    return WireResponse(
      status: route.operation.responseCode, headers: [("Content-Type", "text/xml;charset=UTF-8"), ("x-amzn-requestid", requestId)],
      body: .bytes(body.writer.bytes))
  }

  private func rest(_ output: [String: WireValue], _ shape: Shape?, _ route: WireRoute, _ requestId: String) throws -> WireResponse {
    let binding = RestOutput(model: model)
    var response = WireResponse(status: binding.status(output, shape, default: route.operation.responseCode))
    response.headers = idHeaders(requestId)
    guard let shape else {
      if route.wireProtocol == .restJSON, response.status != 204 { try json(.object([]), into: &response) }
      return response
    }
    response.headers += try binding.headers(output, shape)
    if route.wireProtocol == .restXML, !model.isS3, shape.payload == nil { setType("application/xml", &response) }
    if let name = shape.payload, let member = shape.member(name) {
      if let value = output[name], !value.isNull { try payload(value, member, route, into: &response) }
      return response
    }
    // A structure used for input too may bind members to places that an answer does not have.
    let inBody: (Member) -> Bool = { [.body, .uri, .querystring].contains($0.location) }
    let hasBody = shape.members.contains(where: inBody)
    if route.wireProtocol == .restJSON {
      guard response.status != 204 else { return response }
      try json(try JSONBody(model: model).json(output, shape, only: inBody), into: &response)
    } else if hasBody {
      var body = XMLBodyWriter(model: model, millis: model.isS3, shapeNamespaces: true)
      body.writer.declaration()
      // S3 writes this answer's one member as the root itself, which the model does not say.
      if model.isS3, route.operation.name == "GetBucketLocation" {
        body.writer.open("LocationConstraint", xmlNamespace.map { [("xmlns", $0.uri)] } ?? [])
        if case .string(let region)? = output["LocationConstraint"] { body.writer.text(region) }
        body.writer.close("LocationConstraint")
        setType("application/xml", &response)
        response.body = .bytes(body.writer.bytes)
        return response
      }
      let name = route.operation.output?.locationName ?? shape.locationName ?? shape.name
      try body.root(
        name, output, shape, namespace: route.operation.output?.xmlNamespace ?? shape.xmlNamespace ?? xmlNamespace, only: inBody)
      setType("application/xml", &response)
      response.body = .bytes(body.writer.bytes)
    }
    return response
  }

  private func json(_ value: JSONValue, into response: inout WireResponse) throws {
    setType("application/json", &response)
    response.body = .bytes(JSONWriter.write(value))
  }

  /// A content type that the output names itself stays.
  private func setType(_ type: String, _ response: inout WireResponse) {
    if response.header("content-type") == nil { response.headers.append(("Content-Type", type)) }
  }

  private func payload(_ value: WireValue, _ member: Member, _ route: WireRoute, into response: inout WireResponse) throws {
    let shape = model.shape(member)
    switch (shape.kind, value) {
    case (.blob, .stream(let stream)):
      setType("application/octet-stream", &response)
      response.body = .stream(stream)
    case (.blob, .blob(let bytes)):
      setType("application/octet-stream", &response)
      response.body = .bytes(bytes)
    case (.string, .string(let text)):
      setType("text/plain", &response)
      response.body = .bytes(Array(text.utf8))
    default:
      if route.wireProtocol == .restJSON { return try json(try JSONBody(model: model).json(value, member), into: &response) }
      guard case .object(let values) = value, shape.kind == .structure else {
        throw WireProblem("the body of \(route.operation.name) is not a structure")
      }
      var body = XMLBodyWriter(model: model, millis: model.isS3, shapeNamespaces: true)
      body.writer.declaration()
      let namespace = model.namespace(member) ?? xmlNamespace
      try body.root(model.rootName(member), values, shape, namespace: namespace)
      setType("application/xml", &response)
      response.body = .bytes(body.writer.bytes)
    }
  }

  /// Where REST services put the request id.
  func idHeaders(_ requestId: String) -> [(String, String)] {
    guard model.isS3 else { return [("x-amzn-RequestId", requestId)] }
    return [("x-amz-request-id", requestId), ("x-amz-id-2", Self.hostId(requestId))]
  }

  /// S3's second id; derived from the first, so that an answer and the log agree.
  static func hostId(_ requestId: String) -> String { Base64.encode(Array(requestId.utf8)) }

  /// The namespace of answers: the service's, else the one that its REST inputs and bodies name.
  static func responseNamespace(_ model: ServiceModel) -> XMLNamespace? {
    if let namespace = model.metadata.xmlNamespace { return namespace }
    guard model.metadata.protocols.first == .restXML else { return nil }
    let inputs = model.operations.values.sorted { $0.name < $1.name }
    if let namespace = inputs.lazy.compactMap({ $0.input?.xmlNamespace }).first { return namespace }
    guard model.isS3 else { return nil }
    return model.shapes.lazy.flatMap(\.members).first { $0.xmlNamespace != nil && $0.xmlNamespace?.prefix == nil }?.xmlNamespace
  }
}
