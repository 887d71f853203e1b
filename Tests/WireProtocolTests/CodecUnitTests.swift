import Foundation
import WireModel
import XCTest

@testable import WireProtocol

final class CodecUnitTests: XCTestCase {
  func testJSONTakesWhatTheStandardAllows() throws {
    XCTAssertEqual(
      try JSONReader.read(" {\"a\" : [1, -2.5e1, true, null, \"\\u00e9\\ud83d\\ude00\\n\"]} "),
      .object([JSONMember("a", .array([.int(1), .double(-25), .bool(true), .null, .string("é😀\n")]))]))
    XCTAssertEqual(try JSONReader.read("9223372036854775807"), .int(.max))
    XCTAssertEqual(try JSONReader.read("9223372036854775808"), .double(9_223_372_036_854_775_808))
    XCTAssertEqual(try JSONReader.read("0"), .int(0))
  }

  func testJSONRefusesWhatItForbids() {
    for bad in [
      "", "{", "[1,]", "{\"a\":1,}", "{a:1}", "01", "1.", ".5", "+1", "1e", "NaN", "Infinity", "'a'", "\"\t\"", "\"\\x\"", "\"\\ud800\"",
      "\"\\udc00x\"", "tru", "nul", "[1 2]", "{\"a\" 1}", "1 2", "// c\n1", "1e999", "\"abc", "\"\\u12\"",
    ] {
      XCTAssertThrowsError(try JSONReader.read(bad), bad)
    }
    XCTAssertThrowsError(try JSONReader.read([0x22, 0xff, 0x22]))
    XCTAssertThrowsError(try JSONReader.read(String(repeating: "[", count: 100_000)))
    XCTAssertNoThrow(try JSONReader.read(String(repeating: "[", count: 128) + String(repeating: "]", count: 128)))
  }

  func testWrittenJSONReadsBack() throws {
    var random = SeededRandom(seed: 11)
    for _ in 0..<500 {
      let value = randomJSON(&random, depth: 4)
      XCTAssertEqual(try JSONReader.read(JSONWriter.write(value)), value)
    }
  }

  private func randomJSON(_ random: inout SeededRandom, depth: Int) -> JSONValue {
    switch random.below(depth > 0 ? 7 : 5) {
    case 0: return .null
    case 1: return .bool(random.below(2) == 0)
    case 2: return .int(Int64(bitPattern: random.next()))
    case 3: return .double(Double(Int32(truncatingIfNeeded: random.next())) + 0.5)
    case 4: return .string(String((0..<random.below(6)).map { _ in "a\"\\\u{1}\u{1f}é😀/".randomElement(using: &random)! }))
    case 5: return .array((0..<random.below(4)).map { _ in randomJSON(&random, depth: depth - 1) })
    default: return .object((0..<random.below(4)).map { JSONMember("k\($0)", randomJSON(&random, depth: depth - 1)) })
    }
  }

  func testCBORForms() throws {
    func read(_ hex: String) throws -> CBORValue {
      var bytes: [UInt8] = []
      var rest = hex[...]
      while !rest.isEmpty {
        bytes.append(UInt8(rest.prefix(2), radix: 16)!)
        rest = rest.dropFirst(2)
      }
      return try CBORReader.read(bytes)
    }
    // The examples of RFC 8949, appendix A.
    XCTAssertEqual(try read("1903e8"), .int(1000))
    XCTAssertEqual(try read("3903e7"), .int(-1000))
    XCTAssertEqual(try read("1bffffffffffffffff"), .double(18_446_744_073_709_551_615))
    XCTAssertEqual(try read("f93c00"), .double(1))
    XCTAssertEqual(try read("f97bff"), .double(65504))
    XCTAssertEqual(try read("f90001"), .double(5.960464477539063e-8))
    XCTAssertEqual(try read("f9c400"), .double(-4))
    XCTAssertEqual(try read("f97c00"), .double(.infinity))
    XCTAssertEqual(try read("fb3ff199999999999a"), .double(1.1))
    XCTAssertEqual(try read("c11a514b67b0"), .tagged(1, .int(1_363_896_240)))
    XCTAssertEqual(try read("5f42010243030405ff"), .bytes([1, 2, 3, 4, 5]))
    XCTAssertEqual(try read("7f657374726561646d696e67ff"), .text("streaming"))
    XCTAssertEqual(try read("9f018202039f0405ffff"), .array([.int(1), .array([.int(2), .int(3)]), .array([.int(4), .int(5)])]))
    XCTAssertEqual(try read("bf61610161629f0203ffff"), .map([("a", .int(1)), ("b", .array([.int(2), .int(3)]))]))
    for bad in ["", "18", "5f01ff", "9b7fffffffffffffff", "bb7fffffffffffffff", "a10101", "1c", "0101", "61ff", "ff", "5b7fffffffffffffff"]
    {
      XCTAssertThrowsError(try read(bad), bad)
    }
    XCTAssertThrowsError(try CBORReader.read([UInt8](repeating: 0x81, count: 100_000)))
    XCTAssertThrowsError(try CBORReader.read([UInt8](repeating: 0xc1, count: 100_000)))
  }

  func testXMLIsReadWithoutEntitiesOrDepth() throws {
    let root = try XMLReader.read(Array("<a xmlns:x='u'><x:b c='1&lt;'>t&amp;<![CDATA[<z>]]>u</x:b><b/></a>".utf8))
    XCTAssertEqual(root.children.map(\.name), ["b", "b"])
    XCTAssertEqual(root.children[0].text, "t&<z>u")
    XCTAssertEqual(root.children[0].attribute("c"), "1<")
    for bad in [
      "", "<a>", "<a></b>", "text", "<a/><b/>", "<a>&unknown;</a>", "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
      "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "<a b='1' b='2'/>",
    ] {
      XCTAssertThrowsError(try XMLReader.read(Array(bad.utf8)), bad)
    }
    let deep = String(repeating: "<a>", count: 1000) + String(repeating: "</a>", count: 1000)
    XCTAssertThrowsError(try XMLReader.read(Array(deep.utf8)))
    XCTAssertThrowsError(
      try XMLReader.read(Array(("<a>" + String(repeating: "<b/>", count: 11) + "</a>").utf8), limits: .init(depth: 9, elements: 10)))
  }

  func testTimestamps() {
    func iso(_ text: String) -> Double? { Timestamps.parseISO(text)?.timeIntervalSince1970 }
    XCTAssertEqual(iso("1970-01-01T00:00:00Z"), 0)
    XCTAssertEqual(iso("2026-01-02T03:04:05Z"), 1_767_323_045)
    XCTAssertEqual(iso("2026-01-02T03:04:05.25Z"), 1_767_323_045.25)
    XCTAssertEqual(iso("2026-01-02T04:04:05+01:00"), 1_767_323_045)
    XCTAssertEqual(iso("2024-02-29"), 1_709_164_800)
    for bad in [
      "", "2026", "2026-13-01T00:00:00Z", "2025-02-29T00:00:00Z", "2026-01-02T25:00:00Z", "2026-01-02T03:04:05X", "2026-01-02T03:04:05.Z",
    ] {
      XCTAssertNil(iso(bad), bad)
    }
    XCTAssertEqual(Timestamps.parseRFC822("Tue, 29 Apr 2014 18:30:38 GMT")?.timeIntervalSince1970, 1_398_796_238)
    XCTAssertNil(Timestamps.parseRFC822("Tue, 32 Apr 2014 18:30:38 GMT"))
    var random = SeededRandom(seed: 3)
    for _ in 0..<2000 {
      let date = Date(timeIntervalSince1970: Double(Int64(random.next() % 250_000_000_000_000)) / 1000)
      for format in [TimestampFormat.iso8601, .rfc822, .epochSeconds] {
        let text = Timestamps.format(date, format)
        let back = Timestamps.parse(text, format)?.timeIntervalSince1970 ?? .nan
        XCTAssertEqual(back, date.timeIntervalSince1970, accuracy: 0.0006, text)
      }
    }
  }

  func testBase64() {
    var random = SeededRandom(seed: 5)
    for length in 0..<200 {
      let bytes = (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      XCTAssertEqual(Base64.encode(bytes), Data(bytes).base64EncodedString())
      XCTAssertEqual(Base64.decode(Base64.encode(bytes)), bytes)
    }
    XCTAssertEqual(Base64.decode("aGk\n="), Array("hi".utf8))
    XCTAssertEqual(Base64.decode("aGk"), Array("hi".utf8))
    for bad in ["a", "a===", "aGk=x", "aG*k", "=", "aGk=="] { XCTAssertNil(Base64.decode(bad), bad) }
  }

  func testHeaderLists() {
    XCTAssertEqual(HeaderLists.split("a, \"b,c\", \"d\\\"e\",f"), ["a", "b,c", "d\"e", "f"])
    XCTAssertEqual(HeaderLists.join(["a", "b,c", "d\"e"]), "a, \"b,c\", \"d\\\"e\"")
    XCTAssertEqual(HeaderLists.dates("Mon, 16 Dec 2019 23:48:18 GMT, Mon, 16 Dec 2019 23:48:18 GMT").count, 2)
  }

  /// A random value of every body shape goes through each writer and reader unchanged.
  func testValuesOfEveryShapeComeBackFromEachFormat() throws {
    var random = SeededRandom(seed: 42)
    for (service, model) in try GeneratedModels.all().sorted(by: { $0.key < $1.key }) {
      for shape in model.shapes where shape.kind == .structure && !shape.isEventStream && !shape.isUnion {
        let value = RandomValues(model: model).structure(shape, &random, depth: 3)
        let json = JSONBody(model: model)
        let written = JSONWriter.write(try json.json(value, shape))
        let back = try json.structure(JSONReader.read(written), shape)
        XCTAssertNil(Vectors.difference(.object(back), .object(value)), "\(service) \(shape.name) json")
        let cbor = CBORBody(model: model)
        let packed = try cbor.structure(CBORReader.read(CBORWriter.write(cbor.item(value, shape))), shape)
        XCTAssertNil(Vectors.difference(.object(packed), .object(value)), "\(service) \(shape.name) cbor")
        var xml = XMLBodyWriter(model: model)
        try xml.root("Root", value, shape, namespace: nil)
        let read = try XMLBodyReader(model: model).structure(XMLReader.read(xml.writer.bytes), shape)
        XCTAssertNil(
          Vectors.difference(.object(RandomValues.withoutEmpty(read)), .object(RandomValues.withoutEmpty(value))),
          "\(service) \(shape.name) xml")
      }
    }
  }
}

/// Seeded values that fit a model.
struct RandomValues {
  let model: ServiceModel

  func structure(_ shape: Shape, _ random: inout SeededRandom, depth: Int) -> [String: WireValue] {
    var out: [String: WireValue] = [:]
    for member in shape.members {
      let target = model.shape(member)
      if target.isEventStream || model.isStreaming(member) || random.below(4) == 0 { continue }
      if depth == 0, [.structure, .list, .map].contains(target.kind) { continue }
      out[member.name] = value(target, &random, depth: depth - 1)
      if shape.isUnion { break }
    }
    return out
  }

  func value(_ shape: Shape, _ random: inout SeededRandom, depth: Int) -> WireValue {
    switch shape.kind {
    case .structure: return .object(structure(shape, &random, depth: max(0, depth)))
    case .list:
      guard depth > 0, let element = shape.element.map(model.shape) else { return .list([]) }
      return .list((0..<random.below(3)).map { _ in value(element, &random, depth: depth - 1) })
    case .map:
      guard depth > 0, let element = shape.value.map(model.shape) else { return .object([:]) }
      var out: [String: WireValue] = [:]
      for i in 0..<random.below(3) { out["k<\(i)>"] = value(element, &random, depth: depth - 1) }
      return .object(out)
    case .string: return .string(["", "a", "<&>\"'", "é😀", " x "][random.below(5)])
    case .boolean: return .bool(random.below(2) == 0)
    case .integer:
      let size = ["byte": Int64(Int8.max), "short": Int64(Int16.max), "integer": Int64(Int32.max)][shape.modelType] ?? .max
      return .int(Int64(truncatingIfNeeded: random.next()) % size)
    case .double: return .double(Double(random.below(1000)) / 8)
    case .blob: return .blob((0..<random.below(9)).map { _ in UInt8(truncatingIfNeeded: random.next()) })
    case .timestamp: return .timestamp(Date(timeIntervalSince1970: Double(random.below(2_000_000_000))))
    case .document: return .string("d")
    }
  }

  /// A flattened list without elements leaves no trace in XML, so empty collections do not count there; in a form neither do empty
  /// elements of a list.
  static func withoutEmpty(_ value: [String: WireValue], elementsToo: Bool = false) -> [String: WireValue] {
    value.compactMapValues { clean($0, elementsToo) }
  }
  private static func clean(_ value: WireValue, _ elementsToo: Bool) -> WireValue? {
    switch value {
    case .list(let items):
      let kept = items.compactMap { clean($0, elementsToo) ?? (elementsToo ? nil : .null) }
      return kept.isEmpty ? nil : .list(kept)
    case .object(let entries):
      let kept = entries.compactMapValues { clean($0, elementsToo) }
      return kept.isEmpty ? nil : .object(kept)
    default: return value
    }
  }
}
