/// Why a service model could not be read.
public struct ModelProblem: Error, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}

/// The protocols AWS services speak.
public enum WireProtocolName: String, Sendable {
  case query, ec2, json
  case restJSON = "rest-json"
  case restXML = "rest-xml"
  case cbor = "smithy-rpc-v2-cbor"
}

/// What the model's metadata says of a service.
public struct ServiceMetadata: Sendable {
  /// The name AWS's SDKs use for the service: `codedeploy`, `s3`.
  public let service: String
  /// The model's `serviceId`: `CodeDeploy`.
  public let serviceId: String
  public let fullName: String
  /// The service in a credential scope.
  public let signingName: String
  public let endpointPrefix: String
  /// What stands before the operation in `X-Amz-Target`.
  public let targetPrefix: String?
  public let apiVersion: String
  /// `1.0` or `1.1`.
  public let jsonVersion: String
  /// All that the service answers; the first is the model's preference.
  public let protocols: [WireProtocolName]
  public let xmlNamespace: XMLNamespace?
  public let awsQueryCompatible: Bool
}

/// One operation of a service.
public struct OperationModel: Sendable {
  /// A reference to an input or output shape with its traits.
  public struct ShapeUse: Sendable {
    public let shape: Int
    public let locationName: String?
    public let xmlNamespace: XMLNamespace?
    public let resultWrapper: String?
  }
  public let name: String
  public let method: String
  /// The path template, with a query string when the model has one: `/{Bucket}/{Key+}?uploads`.
  public let requestUri: String
  public let responseCode: Int
  public let input: ShapeUse?
  public let output: ShapeUse?
  /// Names of the error shapes the operation declares.
  public let errors: [String]
  /// Whether `operations.txt` lists it; an unlisted one has no shapes here.
  public let isListed: Bool
  /// True when the model says that the call need not be signed (`authtype: none`).
  public let isUnsigned: Bool
  /// The host prefix template, e.g. `{AccountId}.`.
  public let hostPrefix: String?
  public let isDeprecated: Bool
  /// Headers and query keys that the input requires: they tell operations with the same method and path apart.
  public let requiredHeaders: [String]
  public let requiredQueryKeys: [String]
}

/// A service's trimmed model, read once: all operations, and the shapes of the listed ones.
public final class ServiceModel: Sendable {
  public let metadata: ServiceMetadata
  public let operations: [String: OperationModel]
  public let shapes: [Shape]
  public let shapeIndex: [String: Int]
  /// Error shapes by their code on the wire.
  public let errorShapes: [String: Shape]
  /// Why the model is empty; nil when it was read. A model made by the generator never has one, and a test looks.
  public let problem: String?

  /// Reads the trimmed (or botocore's full) JSON of a service. Throws `JSONProblem` or `ModelProblem`.
  public convenience init(service: String, json: String) throws {
    try self.init(service: service, document: JSONReader.read(json))
  }

  /// Reads what `Tools/shapegen` wrote. A damaged text gives a model without operations that says so in `problem`.
  public convenience init(service: String, generated json: String) {
    do {
      try self.init(service: service, document: JSONReader.read(json))
    } catch {
      self.init(service: service, problem: "\(error)")
    }
  }

  public init(service: String, document: JSONValue) throws {
    let shapeList = document["shapes"]?.asObject ?? []
    let indexes = Dictionary(shapeList.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { a, _ in a })
    shapes = try shapeList.map { try Shape(name: $0.name, json: $0.value, indexes: indexes) }
    shapeIndex = indexes
    metadata = try ServiceMetadata(service: service, json: document["metadata"] ?? .null)
    var operations: [String: OperationModel] = [:]
    for entry in document["operations"]?.asObject ?? [] {
      operations[entry.name] = try OperationModel(name: entry.name, json: entry.value, indexes: indexes, shapes: shapes)
    }
    self.operations = operations
    errorShapes = Dictionary(
      shapes.filter(\.isException).map { ($0.errorCode, $0) }, uniquingKeysWith: { a, _ in a })
    problem = nil
  }

  private init(service: String, problem: String) {
    metadata = ServiceMetadata(
      service: service, serviceId: service, fullName: service, signingName: service, endpointPrefix: service, targetPrefix: nil,
      apiVersion: "", jsonVersion: "1.1", protocols: [], xmlNamespace: nil, awsQueryCompatible: false)
    operations = [:]
    shapes = []
    shapeIndex = [:]
    errorShapes = [:]
    self.problem = problem
  }

  public var service: String { metadata.service }
  public func shape(_ member: Member) -> Shape { shapes[member.shape] }
  public func shape(named name: String) -> Shape? { shapeIndex[name].map { shapes[$0] } }
  public func inputShape(_ operation: OperationModel) -> Shape? { operation.input.map { shapes[$0.shape] } }
  public func outputShape(_ operation: OperationModel) -> Shape? { operation.output.map { shapes[$0.shape] } }
}

extension ServiceMetadata {
  init(service: String, json: JSONValue) throws {
    self.service = service
    serviceId = json["serviceId"]?.asString ?? service
    fullName = json["serviceFullName"]?.asString ?? serviceId
    endpointPrefix = json["endpointPrefix"]?.asString ?? service
    signingName = json["signingName"]?.asString ?? endpointPrefix
    targetPrefix = json["targetPrefix"]?.asString
    apiVersion = json["apiVersion"]?.asString ?? ""
    jsonVersion = json["jsonVersion"]?.asString ?? "1.0"
    let names = (json["protocols"]?.asArray ?? json["protocol"].map { [$0] } ?? []).compactMap(\.asString)
    protocols = names.compactMap(WireProtocolName.init(rawValue:))
    guard !protocols.isEmpty else { throw ModelProblem("\(service) names no protocol that is known: \(names)") }
    xmlNamespace = XMLNamespace(json: json["xmlNamespace"])
    awsQueryCompatible = json["awsQueryCompatible"] != nil
  }
}

extension OperationModel {
  init(name: String, json: JSONValue, indexes: [String: Int], shapes: [Shape]) throws {
    func use(_ key: String) throws -> ShapeUse? {
      guard let json = json[key] else { return nil }
      guard let name = json["shape"]?.asString, let shape = indexes[name] else {
        throw ModelProblem("operation \(name) refers to a missing shape")
      }
      return ShapeUse(
        shape: shape, locationName: json["locationName"]?.asString, xmlNamespace: XMLNamespace(json: json["xmlNamespace"]),
        resultWrapper: json["resultWrapper"]?.asString)
    }
    self.name = name
    let http = json["http"]
    method = http?["method"]?.asString ?? "POST"
    requestUri = http?["requestUri"]?.asString ?? "/"
    responseCode = http?["responseCode"]?.asInt.map(Int.init) ?? 200
    input = try use("input")
    output = try use("output")
    errors = (json["errors"]?.asArray ?? []).compactMap { $0.asString ?? $0["shape"]?.asString }
    isListed = json["unlisted"]?.asBool != true
    isUnsigned = json["authtype"]?.asString == "none"
    hostPrefix = json["endpoint"]?["hostPrefix"]?.asString
    isDeprecated = json["deprecated"]?.asBool ?? false
    var headers: [String] = []
    var queryKeys: [String] = []
    for need in (json["needs"]?.asArray ?? []).compactMap(\.asString) {
      if need.hasPrefix("header:") { headers.append(String(need.dropFirst(7))) }
      if need.hasPrefix("querystring:") { queryKeys.append(String(need.dropFirst(12))) }
    }
    if let shape = input.map({ shapes[$0.shape] }) {
      for member in shape.required.compactMap(shape.member) {
        if member.location == .header, let name = member.locationName { headers.append(name) }
        if member.location == .querystring, let name = member.locationName { queryKeys.append(name) }
      }
    }
    requiredHeaders = headers
    requiredQueryKeys = queryKeys
  }
}
