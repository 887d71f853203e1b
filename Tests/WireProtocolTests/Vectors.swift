import Foundation
import RegionKit
import WireModel
import XCTest

@testable import WireProtocol

/// The protocol vectors: mini services with requests and answers.
enum Vectors {
  struct Case {
    let file: String
    let id: String
    let model: ServiceModel
    let operation: OperationModel
    let json: JSONValue
    var key: String { "\(file)/\(id)" }
  }

  static let packageRoot = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// Skips the test when the vectors are not on this machine.
  static func folder() throws -> URL {
    let given = ProcessInfo.processInfo.environment["ROADSTEAD_VECTORS"].map { URL(fileURLWithPath: $0) }
    let folder = (given ?? packageRoot.deletingLastPathComponent().appendingPathComponent("shared/vectors"))
      .appendingPathComponent("protocols")
    guard FileManager.default.fileExists(atPath: folder.path) else {
      throw XCTSkip("no protocol vectors at \(folder.path); set ROADSTEAD_VECTORS")
    }
    return folder
  }

  static func load(_ direction: String) throws -> [Case] {
    let folder = try folder().appendingPathComponent(direction)
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".json") }.sorted()
    var out: [Case] = []
    for file in files {
      let suites = try JSONReader.read([UInt8](Data(contentsOf: folder.appendingPathComponent(file)))).asArray ?? []
      let name = String(file.dropLast(5))
      for suite in suites {
        for json in suite["cases"]?.asArray ?? [] {
          let given = json["given"] ?? .null
          let operation = given["name"]?.asString ?? ""
          let document = JSONValue.object([
            JSONMember("metadata", suite["metadata"] ?? .null), JSONMember("shapes", suite["shapes"] ?? .null),
            JSONMember("operations", .object([JSONMember(operation, given)])),
          ])
          let model = try ServiceModel(service: name, document: document)
          out.append(
            Case(
              file: name, id: json["id"]?.asString ?? "", model: model, operation: try XCTUnwrap(model.operations[operation]), json: json))
        }
      }
    }
    return out
  }

  /// Runs every case; `check` answers what is wrong with it, or nil.
  static func run(_ direction: String, _ check: (Case) throws -> String?) throws -> (passed: Int, excepted: Int) {
    let exceptions = direction == "input" ? VectorExceptions.input : VectorExceptions.output
    var unused = Set(exceptions.keys)
    var passed = 0
    for item in try load(direction) {
      unused.remove(item.key)
      let problem: String?
      do { problem = try check(item) } catch { problem = "threw \(error)" }
      switch (problem, exceptions[item.key]) {
      case (nil, nil): passed += 1
      case (nil, _?): XCTFail("\(direction) \(item.key) is listed as an exception, but passes: remove it from the list")
      case (let text?, nil): XCTFail("\(direction) \(item.key): \(text)")
      case (_?, _?): break
      }
    }
    for key in unused.sorted() { XCTFail("\(direction) \(key) is listed as an exception, but there is no such vector") }
    return (passed, exceptions.count)
  }

  // MARK: Values as the vectors write them

  /// A value of `params` or `result`: blobs are plain text, times are epoch seconds, NaN is a word.
  static func value(_ json: JSONValue, _ member: Member, _ model: ServiceModel) -> WireValue {
    let shape = model.shape(member)
    switch (shape.kind, json) {
    case (_, .null): return .null
    case (.structure, _): return .object(structure(json, shape, model))
    case (.list, .array(let items)): return .list(items.map { value($0, shape.element!, model) })
    case (.map, .object(let entries)):
      return .object(Dictionary(entries.map { ($0.name, value($0.value, shape.value!, model)) }, uniquingKeysWith: { a, _ in a }))
    case (.blob, .string(let text)): return .blob(Array(text.utf8))
    case (.timestamp, _): return .timestamp(Date(timeIntervalSince1970: json.asDouble ?? .nan))
    case (.double, .string(let text)): return .double(Numbers.double(text) ?? .nan)
    case (.double, _): return .double(json.asDouble ?? .nan)
    case (.document, _): return JSONBody.document(json)
    default: return JSONBody.document(json)
    }
  }

  static func structure(_ json: JSONValue, _ shape: Shape, _ model: ServiceModel) -> [String: WireValue] {
    var out: [String: WireValue] = [:]
    for entry in json.asObject ?? [] {
      guard let member = shape.member(entry.name) else { continue }
      out[entry.name] = value(entry.value, member, model)
    }
    return out
  }

  /// Nil when equal; else where and how the two differ.
  static func difference(_ a: WireValue, _ b: WireValue, _ path: String = "") -> String? {
    switch (a, b) {
    case (.object(let x), .object(let y)):
      for key in Set(x.keys).union(y.keys).sorted() {
        if let found = difference(x[key] ?? .null, y[key] ?? .null, path + "." + key) { return found }
      }
      return nil
    case (.list(let x), .list(let y)):
      guard x.count == y.count else { return "\(path): \(x.count) items, \(y.count) expected" }
      for (i, pair) in zip(x, y).enumerated() { if let found = difference(pair.0, pair.1, "\(path)[\(i)]") { return found } }
      return nil
    case (.double(let x), .double(let y)) where x == y || (x.isNaN && y.isNaN): return nil
    case (.int(let x), .double(let y)) where Double(x) == y: return nil
    case (.double(let x), .int(let y)) where x == Double(y): return nil
    case (.int(let x), .int(let y)) where x == y: return nil
    case (.string(let x), .string(let y)) where x == y: return nil
    case (.bool(let x), .bool(let y)) where x == y: return nil
    case (.blob(let x), .blob(let y)) where x == y: return nil
    case (.timestamp(let x), .timestamp(let y)) where abs(x.timeIntervalSince(y)) < 0.0005: return nil
    case (.null, .null): return nil
    default: return "\(path): got \(a), expected \(b)"
    }
  }
}
