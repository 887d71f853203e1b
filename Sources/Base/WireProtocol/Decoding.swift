import RegionKit
public import WireModel

extension WireCodec {
  /// The input of an operation as member names and values. Throws the protocol's error for a body that cannot be read:
  /// `SerializationException` (json, rest-json, cbor), `MalformedInput` (query), `InvalidParameterValue` (ec2), `MalformedXML` (S3).
  public func decode(_ request: WireRequest, _ route: WireRoute) throws -> [String: WireValue] {
    guard let shape = model.inputShape(route.operation) else { return [:] }
    do {
      switch route.wireProtocol {
      case .query, .ec2:
        return try QueryReader(model: model, ec2: route.wireProtocol == .ec2).structure(FormNode.tree(route.form), shape)
      case .json:
        let body = try collected(request)
        return body.isEmpty ? [:] : try JSONBody(model: model).structure(try json(body), shape)
      case .cbor:
        let body = try collected(request)
        return body.isEmpty ? [:] : try CBORBody(model: model).structure(CBORReader.read(body), shape)
      case .restJSON, .restXML: return try rest(request, route, shape)
      }
    } catch let problem as WireProblem {
      throw malformed(problem, route.wireProtocol, operation: route.operation)
    }
  }

  private func collected(_ request: WireRequest) throws -> [UInt8] {
    guard case .bytes(let bytes) = request.body else { throw WireProblem("the body was not collected") }
    return bytes
  }

  private func json(_ bytes: [UInt8]) throws -> JSONValue {
    do {
      return try JSONReader.read(bytes)
    } catch let problem as JSONProblem {
      throw WireProblem("the body is not JSON: \(problem)")
    }
  }

  private func rest(_ request: WireRequest, _ route: WireRoute, _ shape: Shape) throws -> [String: WireValue] {
    var out = try RestInput(model: model).bindings(request, route.labels, shape)
    if let name = shape.payload, let member = shape.member(name) {
      if let value = try located(name, { try payload(request, route, member) }) { out[name] = value }
      return out
    }
    guard shape.members.contains(where: { $0.location == .body }) else { return out }
    let body = try collected(request)
    guard !body.isEmpty else { return out }
    let inBody: (Member) -> Bool = { $0.location == .body }
    let values: [String: WireValue]
    if route.wireProtocol == .restJSON {
      values = try JSONBody(model: model).structure(try json(body), shape, only: inBody)
    } else {
      let root = try XMLReader.read(body)
      try expect(root, route.operation.input?.locationName)
      values = try XMLBodyReader(model: model).structure(root, shape, only: inBody)
    }
    return out.merging(values) { bound, _ in bound }
  }

  /// S3 refuses a body of another kind; elsewhere the name of the root does not matter.
  private func expect(_ root: XMLElement, _ name: String?) throws {
    guard model.isS3, let name, root.name != XMLElement.local(name) else { return }
    throw WireProblem("the root element is <\(ScalarText.clip(root.name))> where <\(name)> is due")
  }

  private func payload(_ request: WireRequest, _ route: WireRoute, _ member: Member) throws -> WireValue? {
    let shape = model.shape(member)
    if shape.kind == .blob {
      switch request.body {
      case .stream(let stream): return model.isStreaming(member) ? .stream(stream) : nil
      case .bytes(let bytes):
        if model.isStreaming(member) { return bytes.isEmpty && !hasBody(request) ? nil : .stream(ByteStream(bytes)) }
        return bytes.isEmpty ? nil : .blob(bytes)
      }
    }
    let body = try collected(request)
    guard !body.isEmpty else { return nil }
    if shape.kind == .string {
      guard let text = String(validating: body, as: UTF8.self) else { throw WireProblem("the body is not UTF-8") }
      return .string(text)
    }
    if route.wireProtocol == .restJSON { return try JSONBody(model: model).value(try json(body), member) }
    let root = try XMLReader.read(body)
    try expect(root, model.rootName(member))
    return try XMLBodyReader(model: model).value(root, member)
  }

  private func hasBody(_ request: WireRequest) -> Bool { request.header("content-length") != nil }
}
