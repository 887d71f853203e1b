import Foundation
import RegionKit
import WireModel
import XCTest

@testable import WireProtocol

/// Every recorded request is routed to its operation and decoded to its parameters.
final class InputVectorTests: XCTestCase {
  func testEveryRequestDecodesToItsParameters() throws {
    let result = try Vectors.run("input") { item in
      let request = try self.request(item)
      let codec = WireCodec(model: item.model)
      guard let route = try codec.route(request) else { return "no operation found" }
      guard route.operation.name == item.operation.name else { return "routed to \(route.operation.name)" }
      let shape = item.model.inputShape(item.operation)
      var got = try codec.decode(request, route)
      var expected = shape.map { Vectors.structure(item.json["params"] ?? .null, $0, item.model) } ?? [:]
      for member in shape?.members ?? [] {
        // On the wire no prefixed header and an empty map are the same.
        if member.location == .headers, case .object(let entries)? = expected[member.name], entries.isEmpty {
          expected[member.name] = nil
        }
        // A map of the query string holds the keys bound by name too; what a caller passed in it does not tell.
        if member.location == .querystring, let shape, item.model.shape(member).kind == .map {
          let bound = Set(shape.members.filter { $0.location == .querystring && $0.name != member.name }.compactMap(\.locationName))
          got[member.name] = self.without(bound, got[member.name])
          expected[member.name] = self.without(bound, expected[member.name])
        }
        if case .stream? = got[member.name], case .bytes(let bytes) = request.body { got[member.name] = .blob(bytes) }
      }
      return Vectors.difference(.object(got), .object(expected))
    }
    print("input vectors: \(result.passed) decoded, \(result.excepted) excepted")
  }

  private func without(_ keys: Set<String>, _ value: WireValue?) -> WireValue? {
    guard let entries = value?.asObject?.filter({ !keys.contains($0.key) }), !entries.isEmpty else { return nil }
    return .object(entries)
  }

  private func request(_ item: Vectors.Case) throws -> WireRequest {
    let json = try XCTUnwrap(item.json["serialized"])
    let uri = json["uri"]?.asString ?? "/"
    let parts = uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    let text = json["body"]?.asString ?? ""
    let isCBOR = item.model.metadata.protocols.first == .cbor
    let body = isCBOR ? try XCTUnwrap(Base64.decode(text)) : Array(text.utf8)
    let headers = (json["headers"]?.asObject ?? []).map { ($0.name, $0.value.asString ?? "") }
    return WireRequest(
      method: json["method"]?.asString ?? "POST", path: parts[0], query: parts.count > 1 ? parts[1] : "", headers: headers,
      body: .bytes(body))
  }
}
