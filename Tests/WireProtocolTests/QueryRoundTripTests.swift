import Foundation
import WireModel
import XCTest

@testable import WireProtocol

/// Writes forms as clients do, for the tests only: the model decides names, `member.N`, `entry.N` and what is flattened.
struct QueryWriter {
  let model: ServiceModel
  let ec2: Bool
  private(set) var pairs: [(String, String)] = []

  init(model: ServiceModel) {
    self.model = model
    ec2 = model.metadata.protocols.first == .ec2
  }

  mutating func structure(_ values: [String: WireValue], _ shape: Shape, _ prefix: String) throws {
    for member in shape.members {
      guard let value = values[member.name] else { continue }
      var name = member.queryName ?? member.locationName ?? member.name
      if ec2, member.queryName == nil, member.locationName != nil { name = name.prefix(1).uppercased() + name.dropFirst() }
      try write(value, member, prefix.isEmpty ? name : prefix + "." + name)
    }
  }

  private mutating func write(_ value: WireValue, _ member: Member, _ prefix: String) throws {
    let shape = model.shape(member)
    switch value {
    case .object(let values) where shape.kind == .structure: try structure(values, shape, prefix)
    case .object(let entries):
      let base = model.isFlattened(member) ? prefix : prefix + ".entry"
      for (i, entry) in entries.sorted(by: { $0.key < $1.key }).enumerated() {
        pairs.append(("\(base).\(i + 1).\(shape.key!.locationName ?? "key")", entry.key))
        try write(entry.value, shape.value!, "\(base).\(i + 1).\(shape.value!.locationName ?? "value")")
      }
    case .list(let items):
      if items.isEmpty, !ec2 { pairs.append((prefix, "")) }
      let base = ec2 || model.isFlattened(member) ? prefix : prefix + "." + (shape.element!.locationName ?? "member")
      for (i, item) in items.enumerated() { try write(item, shape.element!, "\(base).\(i + 1)") }
    default: pairs.append((prefix, try ScalarText.write(value, shape, model.timestampFormat(member) ?? .iso8601)))
    }
  }
}

final class QueryRoundTripTests: XCTestCase {
  /// Random input of every listed query and EC2 operation, written as a form, comes out of the codec unchanged.
  func testFormsOfEveryOperationDecode() throws {
    var random = SeededRandom(seed: 1)
    var checked = 0
    for (service, model) in try GeneratedModels.all().sorted(by: { $0.key < $1.key }) {
      guard [.query, .ec2].contains(model.metadata.protocols[0]) else { continue }
      let codec = WireCodec(model: model)
      for operation in model.operations.values.sorted(by: { $0.name < $1.name }) {
        guard let shape = model.inputShape(operation) else { continue }
        for _ in 0..<5 {
          let value = RandomValues(model: model).structure(shape, &random, depth: 4)
          var writer = QueryWriter(model: model)
          try writer.structure(value, shape, "")
          // Some clients sort the parameters, so their order must not matter.
          let pairs = ([("Action", operation.name), ("Version", model.metadata.apiVersion)] + writer.pairs).shuffled(using: &random)
          let text = pairs.map { Self.encode($0.0) + "=" + Self.encode($0.1) }.joined(separator: "&")
          let request = WireRequest(method: "POST", path: "/", body: .bytes(Array(text.utf8)))
          let route = try XCTUnwrap(codec.route(request), operation.name)
          let got = RandomValues.withoutEmpty(try codec.decode(request, route), elementsToo: true)
          let expected = RandomValues.withoutEmpty(value, elementsToo: true)
          XCTAssertNil(Vectors.difference(.object(got), .object(expected)), "\(service):\(operation.name) \(text)")
          checked += 1
        }
      }
    }
    XCTAssertGreaterThan(checked, 300)
  }

  private static func encode(_ text: String) -> String {
    text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
  }

  /// Patterns come from the models and texts from anyone: no text may keep the matcher busy.
  func testNoPatternInUseCanBeMadeSlow() throws {
    let patterns = Set(try GeneratedModels.all().values.flatMap { $0.shapes.compactMap(\.pattern) })
    for pattern in patterns.sorted() {
      let made = Pattern(pattern)
      for piece in ["a", "/a", "a-", "arn:aws:", "0.", "/", "-", " a", "a/", "ab.c"] {
        for ending in ["", "!", "\u{0}", "/"] {
          let text = String(String(repeating: piece, count: 4000 / piece.utf8.count)) + ending
          let start = ContinuousClock.now
          _ = made.matches(text)
          XCTAssertLessThan(ContinuousClock.now - start, .seconds(3), "\(pattern) on \(piece)… \(ending)")
        }
      }
    }
  }
}
