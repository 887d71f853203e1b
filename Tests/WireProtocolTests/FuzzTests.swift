import Foundation
import RegionKit
import WireModel
import XCTest

@testable import WireProtocol

/// Damaged messages: an AWS error or a value comes out, never a crash or a hang.
final class FuzzTests: XCTestCase {
  private func mutate(_ bytes: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
    var out = bytes
    for _ in 0...random.below(4) {
      let at = random.below(out.count + 1)
      switch random.below(7) {
      case 0 where !out.isEmpty: out[min(at, out.count - 1)] ^= UInt8(1 << random.below(8))
      case 1 where !out.isEmpty: out.remove(at: min(at, out.count - 1))
      case 2: out.insert(UInt8(truncatingIfNeeded: random.next()), at: at)
      case 3: out = Array(out.prefix(at))
      case 4:
        let piece = Array(out.dropFirst(at).prefix(random.below(20)))
        for _ in 0..<random.below(30) { out.insert(contentsOf: piece, at: at) }
      case 5: out.insert(contentsOf: Array("{}[]<>&%.=\"\\\u{0}-9e".utf8).shuffled(using: &random).prefix(3), at: at)
      default:
        out.insert(contentsOf: [UInt8](repeating: out.isEmpty ? 0x5b : out[min(at, out.count - 1)], count: random.below(300)), at: at)
      }
      if out.count > 20_000 { out = Array(out.prefix(20_000)) }
    }
    return out
  }

  /// Mutations of every recorded request: body, query string, path and header values.
  func testMutatedRequests() throws {
    let cases = try Vectors.load("input")
    var random = SeededRandom(seed: 2026)
    var refused = 0
    for round in 0..<6000 {
      let item = cases[random.below(cases.count)]
      let json = try XCTUnwrap(item.json["serialized"])
      let uri = json["uri"]?.asString ?? "/"
      let parts = uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      let text = json["body"]?.asString ?? ""
      var body = item.model.metadata.protocols.first == .cbor ? Base64.decode(text) ?? [] : Array(text.utf8)
      var path = parts[0]
      var query = parts.count > 1 ? parts[1] : ""
      var headers = (json["headers"]?.asObject ?? []).map { ($0.name, $0.value.asString ?? "") }
      if random.below(4) > 0 { body = mutate(body, &random) }
      if random.below(4) == 0 { path = String(decoding: mutate(Array(path.utf8), &random), as: UTF8.self) }
      if random.below(4) == 0 { query = String(decoding: mutate(Array(query.utf8), &random), as: UTF8.self) }
      if random.below(4) == 0, !headers.isEmpty {
        let at = random.below(headers.count)
        headers[at].1 = String(decoding: mutate(Array(headers[at].1.utf8), &random), as: UTF8.self)
      }
      let request = WireRequest(
        method: json["method"]?.asString ?? "POST", path: path, query: query, headers: headers, body: .bytes(body))
      let codec = WireCodec(model: item.model)
      do {
        guard let route = try codec.route(request) else {
          _ = codec.unknownOperation(request)
          continue
        }
        let input = try codec.decode(request, route)
        try codec.validate(input, route)
      } catch let error as AWSError {
        refused += 1
        let response = codec.encode(error: error, route: nil, request: request, requestId: "r")
        XCTAssertTrue((400..<500).contains(response.status), "round \(round): \(error)")
      }
    }
    XCTAssertGreaterThan(refused, 500)
  }

  func testMutatedDocuments() throws {
    var random = SeededRandom(seed: 99)
    let json = Array("{\"a\":[1,2.5e3,true,null,{\"b\":\"\\u00e9\\ud83d\\ude00\"}],\"c\":-0.1}".utf8)
    let xml = Array("<?xml version=\"1.0\"?><a xmlns=\"u\"><b c=\"1\">t&amp;<![CDATA[x]]></b><!-- c --><d/></a>".utf8)
    let cbor = CBORWriter.write(.map([("a", .array([.int(-5), .double(1.5), .text("é"), .tagged(1, .int(9))])), ("b", .bytes([1, 2]))]))
    for _ in 0..<6000 {
      _ = try? JSONReader.read(mutate(json, &random))
      _ = try? XMLReader.read(mutate(xml, &random))
      _ = try? CBORReader.read(mutate(cbor, &random))
    }
  }

  func testMutatedScalars() {
    var random = SeededRandom(seed: 17)
    for seed in [
      "2026-01-02T03:04:05.678+01:00", "Tue, 29 Apr 2014 18:30:38 GMT", "1398796238.5", "aGVsbG8=", "a, \"b\\\"c\", d", "%41%zz+%",
    ] {
      for _ in 0..<1000 {
        let text = String(decoding: mutate(Array(seed.utf8), &random), as: UTF8.self)
        _ = Timestamps.parse(text, .iso8601)
        _ = Timestamps.parse(text, .rfc822)
        _ = Timestamps.parse(text, .epochSeconds)
        _ = Base64.decode(text)
        _ = HeaderLists.split(text)
        _ = HeaderLists.dates(text)
        _ = PercentCoding.decode(text, plus: true)
        _ = Pattern("[" + text + "]+").matches(text)
      }
    }
  }

  /// Bodies made to cost time or memory are refused, or read, quickly.
  func testHostileBodies() throws {
    let model = try GeneratedModels.load("ec2")
    let codec = WireCodec(model: model)
    let start = ContinuousClock.now
    let many = "Action=DescribeInstances" + (0..<50_000).map { "&InstanceId.\($0)=i" }.joined()
    let deep = "Action=DescribeInstances&" + String(repeating: "Filter.1.", count: 50_000) + "Name=x"
    let far = "Action=DescribeInstances&InstanceId.4294967295=i-1&InstanceId.99999999999999999999=i-2"
    for (text, works) in [(many, false), (deep, false), (far, true)] {
      let request = WireRequest(method: "POST", path: "/", body: .bytes(Array(text.utf8)))
      let done = (try? codec.route(request)).flatMap { $0 }.flatMap { try? codec.decode(request, $0) } != nil
      XCTAssertEqual(done, works, String(text.prefix(40)))
    }
    XCTAssertLessThan(ContinuousClock.now - start, .seconds(10))
  }
}
