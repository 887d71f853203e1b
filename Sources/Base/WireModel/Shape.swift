/// What a shape's value is.
public enum ShapeKind: String, Sendable {
  case structure, list, map, string, integer, double, boolean, blob, timestamp, document
}

/// How a timestamp is written where nothing else is said.
public enum TimestampFormat: String, Sendable {
  case iso8601, rfc822
  case epochSeconds = "unixTimestamp"
}

/// Where in an HTTP message a member stands.
public enum MemberLocation: String, Sendable {
  case body, uri, header, headers, querystring, statusCode
}

/// An XML namespace: `xmlns="uri"` or `xmlns:prefix="uri"`.
public struct XMLNamespace: Sendable, Hashable {
  public let uri: String
  public let prefix: String?
}

/// A member of a structure, or the element, key or value of a list or map. Traits written on the reference win over its shape's.
public struct Member: Sendable {
  /// The member's name in the model, which is its key in `WireValue.object`.
  public let name: String
  /// Its place in `ServiceModel.shapes`.
  public let shape: Int
  public let location: MemberLocation
  public let locationName: String?
  public let queryName: String?
  public let flattened: Bool
  public let xmlAttribute: Bool
  public let xmlNamespace: XMLNamespace?
  public let timestampFormat: TimestampFormat?
  public let streaming: Bool
  public let idempotencyToken: Bool
  public let jsonValue: Bool
  public let hostLabel: Bool
}

/// One shape of a service's model.
public final class Shape: Sendable {
  public let name: String
  public let kind: ShapeKind
  /// In the model's order.
  public let members: [Member]
  public let memberIndex: [String: Int]
  public let required: [String]
  /// The element of a list.
  public let element: Member?
  public let key: Member?
  /// The value of a map.
  public let value: Member?
  public let enumValues: [String]
  /// The least and greatest length (strings, lists, maps, blobs) or value (numbers).
  public let min: Double?
  public let max: Double?
  public let pattern: String?
  public let flattened: Bool
  /// The member that is the whole body.
  public let payload: String?
  public let locationName: String?
  public let xmlNamespace: XMLNamespace?
  public let timestampFormat: TimestampFormat?
  public let streaming: Bool
  public let sensitive: Bool
  public let isUnion: Bool
  public let isEventStream: Bool
  /// True for error structures.
  public let isException: Bool
  /// The code on the wire of an error structure: the model's, else the shape's name.
  public let errorCode: String
  /// The HTTP status of an error structure.
  public let errorStatus: Int
  public let isFault: Bool
  /// `byte`, `short`, `integer`, `long`, `float`, `double`, … as the model says.
  public let modelType: String

  public func member(_ name: String) -> Member? { memberIndex[name].map { members[$0] } }

  init(name: String, json: JSONValue, indexes: [String: Int]) throws {
    self.name = name
    modelType = json["type"]?.asString ?? "structure"
    kind = Self.kind(modelType, json)
    members = try (json["members"]?.asObject ?? []).map { try Member(name: $0.name, json: $0.value, indexes: indexes) }
    memberIndex = Dictionary(members.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { a, _ in a })
    required = (json["required"]?.asArray ?? []).compactMap(\.asString)
    element = try json["member"].map { try Member(name: "member", json: $0, indexes: indexes) }
    key = try json["key"].map { try Member(name: "key", json: $0, indexes: indexes) }
    value = try json["value"].map { try Member(name: "value", json: $0, indexes: indexes) }
    enumValues = (json["enum"]?.asArray ?? []).compactMap(\.asString)
    min = json["min"]?.asDouble
    max = json["max"]?.asDouble
    pattern = json["pattern"]?.asString
    flattened = json["flattened"]?.asBool ?? false
    payload = json["payload"]?.asString
    locationName = json["locationName"]?.asString
    xmlNamespace = XMLNamespace(json: json["xmlNamespace"])
    timestampFormat = json["timestampFormat"]?.asString.flatMap(TimestampFormat.init(rawValue:))
    streaming = json["streaming"]?.asBool ?? false
    sensitive = json["sensitive"]?.asBool ?? false
    isUnion = json["union"]?.asBool ?? false
    isEventStream = json["eventstream"]?.asBool ?? false
    isException = json["exception"]?.asBool ?? (json["error"] != nil)
    isFault = json["fault"]?.asBool ?? false
    errorCode = json["error"]?["code"]?.asString ?? name
    errorStatus = json["error"]?["httpStatusCode"]?.asInt.map(Int.init) ?? (isFault ? 500 : 400)
  }

  private static func kind(_ type: String, _ json: JSONValue) -> ShapeKind {
    if json["document"]?.asBool == true { return .document }
    return switch type {
    case "byte", "short", "integer", "long", "biginteger": .integer
    case "float", "double", "bigdecimal": .double
    default: ShapeKind(rawValue: type) ?? .string
    }
  }
}

extension XMLNamespace {
  init?(json: JSONValue?) {
    if let uri = json?.asString {
      self.init(uri: uri, prefix: nil)
    } else if let uri = json?["uri"]?.asString {
      self.init(uri: uri, prefix: json?["prefix"]?.asString)
    } else {
      return nil
    }
  }
}

extension Member {
  init(name: String, json: JSONValue, indexes: [String: Int]) throws {
    guard let shapeName = json["shape"]?.asString, let shape = indexes[shapeName] else {
      throw ModelProblem("member \(name) refers to the missing shape \(json["shape"]?.asString ?? "(none)")")
    }
    self.name = name
    self.shape = shape
    location = json["location"]?.asString.flatMap(MemberLocation.init(rawValue:)) ?? .body
    locationName = json["locationName"]?.asString
    queryName = json["queryName"]?.asString
    flattened = json["flattened"]?.asBool ?? false
    xmlAttribute = json["xmlAttribute"]?.asBool ?? false
    xmlNamespace = XMLNamespace(json: json["xmlNamespace"])
    timestampFormat = json["timestampFormat"]?.asString.flatMap(TimestampFormat.init(rawValue:))
    streaming = json["streaming"]?.asBool ?? false
    idempotencyToken = json["idempotencyToken"]?.asBool ?? false
    jsonValue = json["jsonvalue"]?.asBool ?? false
    hostLabel = json["hostLabel"]?.asBool ?? false
  }
}
