import Foundation
import RegionKit
import WireModel
import XCTest

@testable import WireProtocol

/// Every recorded result and error is encoded as the recorded answer: status, headers and the body's structure.
final class OutputVectorTests: XCTestCase {
  func testEveryResultEncodesAsItsAnswer() throws {
    let result = try Vectors.run("output") { item in
      let codec = WireCodec(model: item.model)
      let route = WireRoute(
        item.operation, item.model.metadata.protocols[0], jsonVersion: item.model.metadata.jsonVersion)
      let response: WireResponse
      if let code = item.json["errorCode"]?.asString {
        response = try self.failure(item, code, codec, route)
      } else {
        let shape = item.model.outputShape(item.operation)
        let values = shape.map { Vectors.structure(item.json["result"] ?? .null, $0, item.model) } ?? [:]
        response = try codec.encode(values, route, requestId: self.requestId(item))
      }
      return try self.difference(response, item)
    }
    print("output vectors: \(result.passed) encoded, \(result.excepted) excepted")
  }

  private func requestId(_ item: Vectors.Case) -> String {
    let headers = item.json["response"]?["headers"]?.asObject ?? []
    return headers.first { $0.name.lowercased() == "x-amzn-requestid" }?.value.asString ?? "foo-id"
  }

  private func failure(_ item: Vectors.Case, _ code: String, _ codec: WireCodec, _ route: WireRoute) throws -> WireResponse {
    let shape = codec.errorShape(code)
    let members = shape.map { Vectors.structure(item.json["error"] ?? .null, $0, item.model) } ?? [:]
    let mode = item.model.metadata.awsQueryCompatible ? [("x-amzn-query-mode", "true")] : []
    return codec.encode(
      FailureParts(
        code: code, status: shape?.errorStatus ?? 400, message: item.json["errorMessage"]?.asString, members: members),
      route: route, request: WireRequest(method: "POST", path: "/", headers: mode), requestId: "foo-id")
  }

  private func difference(_ response: WireResponse, _ item: Vectors.Case) throws -> String? {
    let expected = try XCTUnwrap(item.json["response"])
    let status = expected["status_code"]?.asInt ?? 200
    guard response.status == Int(status) else { return "status \(response.status), expected \(status)" }
    for entry in expected["headers"]?.asObject ?? [] {
      let value = entry.value.asString ?? ""
      // The HTTP server counts the body.
      if entry.name.lowercased() == "content-length" { continue }
      guard let got = response.header(entry.name) else { return "header \(entry.name) is missing" }
      if !same(header: entry.name, got, value) { return "header \(entry.name) is '\(got)', expected '\(value)'" }
    }
    guard case .bytes(let bytes) = response.body else { return "the body is a stream" }
    let text = expected["body"]?.asString ?? ""
    switch item.model.metadata.protocols[0] {
    case .json, .restJSON: return try json(bytes, text, response)
    case .cbor: return try cbor(bytes, text)
    case .query, .ec2, .restXML: return try xml(bytes, text, response, item)
    }
  }

  private func same(header name: String, _ got: String, _ expected: String) -> Bool {
    if name.lowercased() == "content-type" { return got.split(separator: ";")[0] == expected.split(separator: ";")[0] }
    if name.lowercased() == "x-amzn-errortype" {
      return got == plain(expected)
    }
    return got == expected
  }

  /// An answer may name an error's type with its namespace and a URL; readers take the part between.
  private func plain(_ type: String) -> String? {
    let end = type.range(of: ":http").map { type[..<$0.lowerBound] } ?? type[...]
    return end.split(separator: "#").last.map(String.init)
  }

  private func json(_ bytes: [UInt8], _ text: String, _ response: WireResponse) throws -> String? {
    let isJSON = response.header("content-type")?.contains("json") ?? false
    guard isJSON else { return bytes == Array(text.utf8) ? nil : "body '\(String(decoding: bytes, as: UTF8.self))', expected '\(text)'" }
    // An answer without members may be empty or an empty object.
    let got = try JSONReader.read(bytes)
    let expected = text.isEmpty ? .object([]) : try JSONReader.read(text)
    return jsonDifference(got, expected, "")
  }

  private func jsonDifference(_ a: JSONValue, _ b: JSONValue, _ path: String) -> String? {
    switch (a, b) {
    case (.object(let x), .object(let y)):
      for name in Set(x.map(\.name)).union(y.map(\.name)).sorted() {
        if name == "__type", let type = b[name]?.asString, plain(type) == a[name]?.asString { continue }
        if let found = jsonDifference(a[name] ?? .null, b[name] ?? .null, path + "." + name) { return found }
      }
      return nil
    case (.array(let x), .array(let y)):
      guard x.count == y.count else { return "\(path): \(x.count) items, \(y.count) expected" }
      for (i, pair) in zip(x, y).enumerated() { if let found = jsonDifference(pair.0, pair.1, "\(path)[\(i)]") { return found } }
      return nil
    default:
      if let x = a.asDouble, let y = b.asDouble { return x == y ? nil : "\(path): \(x), expected \(y)" }
      return a == b ? nil : "\(path): \(a), expected \(b)"
    }
  }

  private func cbor(_ bytes: [UInt8], _ text: String) throws -> String? {
    let expected = try XCTUnwrap(Base64.decode(text))
    if bytes.isEmpty || expected.isEmpty { return bytes.isEmpty == expected.isEmpty ? nil : "one body is empty" }
    let a = try CBORReader.read(bytes)
    let b = try CBORReader.read(expected)
    return a == b || stripped(a) == stripped(b) ? nil : "body \(a), expected \(b)"
  }

  /// The namespace of an error's type is the writer's choice.
  private func stripped(_ value: CBORValue) -> CBORValue {
    guard case .map(let entries) = value else { return value }
    return .map(
      entries.map { name, item in
        guard name == "__type", case .text(let text) = item else { return (name, item) }
        return (name, .text(text.split(separator: "#").last.map(String.init) ?? text))
      })
  }

  private func xml(_ bytes: [UInt8], _ text: String, _ response: WireResponse, _ item: Vectors.Case) throws -> String? {
    if bytes.isEmpty || text.isEmpty {
      return bytes.isEmpty == text.isEmpty ? nil : "body '\(String(decoding: bytes, as: UTF8.self))', expected '\(text)'"
    }
    guard response.header("content-type")?.contains("xml") ?? false else {
      return bytes == Array(text.utf8) ? nil : "body '\(String(decoding: bytes, as: UTF8.self))', expected '\(text)'"
    }
    let got = try XMLReader.read(bytes)
    let expected = try XMLReader.read(Array(text.utf8))
    let difference = XMLDifference(anyOrder: item.id.contains("Map"), anyNamespace: item.model.metadata.xmlNamespace == nil)
    guard let found = difference.find(got, expected, got.name) else { return nil }
    return "\(found) in \(String(decoding: bytes, as: UTF8.self)), expected \(text)"
  }
}

/// Compares XML by structure: white space between elements, order of differently named elements and ids of requests do not count.
struct XMLDifference {
  /// Maps have no order.
  let anyOrder: Bool
  /// The recorded answers of query and ec2 name a namespace that their models leave out; only the root's is overlooked.
  let anyNamespace: Bool

  func find(_ a: XMLElement, _ b: XMLElement, _ path: String) -> String? {
    if a.name != b.name { return "\(path): <\(a.name)>, expected <\(b.name)>" }
    let isRoot = !path.contains("/") && !path.isEmpty
    func attributes(_ element: XMLElement) -> [String] {
      let list = anyNamespace && isRoot ? element.attributes.filter { $0 != ("xmlns", "https://example.com/") } : element.attributes
      return list.map { "\($0.0)=\($0.1)" }.sorted()
    }
    let x = attributes(a)
    let y = attributes(b)
    if x != y { return "\(path): attributes \(x), expected \(y)" }
    if a.children.isEmpty, b.children.isEmpty {
      return trimmed(a.text) == trimmed(b.text) ? nil : "\(path): '\(a.text)', expected '\(b.text)'"
    }
    let ids: Set<String> = ["requestId", "RequestId", "RequestID", "ResponseMetadata", "HostId"]
    for name in Set((a.children + b.children).map(\.name)).subtracting(ids).sorted() {
      let mine = a.children(named: name)
      var theirs = b.children(named: name)
      guard mine.count == theirs.count else { return "\(path): \(mine.count) × <\(name)>, expected \(theirs.count)" }
      for (i, child) in mine.enumerated() {
        if anyOrder {
          guard let at = theirs.firstIndex(where: { find(child, $0, "") == nil }) else { return "\(path)/\(name): no match" }
          theirs.remove(at: at)
        } else if let found = find(child, theirs[i], "\(path)/\(name)") {
          return found
        }
      }
    }
    return nil
  }
}
