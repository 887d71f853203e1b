import XCTest

@testable import DeployAgent

final class YAMLTests: XCTestCase {
  private func read(_ text: String) -> Result<YAMLValue?, YAMLFault> { YAMLReader.read(Array(text.utf8)) }

  func testPlainScalarsFollowYAML11AsPsychReadsIt() throws {
    let table: [(String, YAMLValue)] = [
      ("", .null), ("~", .null), ("Null", .null), ("yes", .bool(true)), ("Off", .bool(false)), ("TRUE", .bool(true)),
      ("0", .int(0)), ("755", .int(755)), ("0755", .int(493)), ("0644", .int(420)), ("08", .string("08")), ("0b101", .int(5)),
      ("0x1F", .int(31)), ("-17", .int(-17)), ("+3", .int(3)), ("1_000", .int(1000)), ("1,000", .int(1000)),
      ("1:30", .int(5400)), ("1:30:15", .int(5415)), ("1:75", .string("1:75")), ("190:20:30.15", .float(685230.15)),
      ("0.0", .float(0)), ("0.00", .float(0)), ("1.", .float(1)), (".5", .float(0.5)), ("1.5e+3", .float(1500)),
      ("1e3", .string("1e3")), (".", .string(".")), ("-", .string("-")), (".inf", .float(.infinity)), ("-.INF", .float(-.infinity)),
      (":name", .symbol("name")), ("30s", .string("30s")), ("linux", .string("linux")), ("2.9", .float(2.9)),
      ("99999999999999999999", .string("99999999999999999999")), ("1.2.3", .string("1.2.3")), ("10.0.0.1", .string("10.0.0.1")),
    ]
    for (text, expected) in table { XCTAssertEqual(try YAMLScalar.resolve(text), expected, text) }
  }

  func testQuotedScalarsAreStrings() {
    XCTAssertEqual(read("a: '0755'\nb: \"yes\"\n").value, .map(map(("a", .string("0755")), ("b", .string("yes")))))
  }

  func testDatesAliasesAndTagsAreRefused() {
    for text in ["a: 2024-01-02", "a: 2024-01-02 03:04:05", "a: &x 1\nb: *x", "a: !ruby/object:Foo {}", "a: !!binary aGk="] {
      XCTAssertNotNil(read(text).failure, text)
    }
    XCTAssertEqual(read("a: &x 1\nb: *x").failure?.message, "Unknown alias: x")
    XCTAssertEqual(read("a: !!str 12").value, .map(map(("a", .string("12")))))
  }

  func testFirstDocumentLastDuplicateMergeAndByteOrderMark() {
    XCTAssertEqual(read("a: 1\na: 2\n---\nb: 3\n").value, .map(map(("a", .int(2)))))
    XCTAssertEqual(read("a: 1\n<<: {b: 2}\n").value, .map(map(("a", .int(1)), ("b", .int(2)))))
    XCTAssertEqual(read("\u{feff}a: 1\r\nb: 2\r\n").value, .map(map(("a", .int(1)), ("b", .int(2)))))
    XCTAssertEqual(read("").value, .some(nil))
    XCTAssertNotNil(read("a: [1\n").failure)
    XCTAssertNotNil(YAMLReader.read([0x61, 0x3a, 0x20, 0xff, 0xfe]).failure)
  }

  func testDeepNestingIsAnErrorAndNoCrash() {
    XCTAssertNotNil(read(String(repeating: "[", count: 100_000)).failure)
    XCTAssertNotNil(read(String(repeating: "{a: ", count: 50_000)).failure)
  }

  func testRubysLeadingInteger() {
    for (text, number) in [("30s", 30), ("1_000x", 1000), ("abc", 0), ("-5", -5), ("  7", 7), ("", 0), ("1__0", 1)] {
      XCTAssertEqual(YAMLScalar.leadingInteger(text), number, text)
    }
  }

  private func map(_ pairs: (String, YAMLValue)...) -> YAMLMap {
    var out = YAMLMap()
    for (key, value) in pairs { out.set(.string(key), value) }
    return out
  }
}
