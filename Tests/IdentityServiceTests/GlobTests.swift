import RegionKit
import RoadsteadTesting
import XCTest

@testable import IdentityService

final class GlobTests: XCTestCase {
  func testDocumentedForms() {
    let cases: [(String, String, Bool)] = [
      ("*", "", true), ("", "", true), ("", "a", false), ("a*", "a", true), ("a*", "abc", true), ("a*c", "abc", true),
      ("a*c", "ab", false), ("?", "", false), ("?", "é", true), ("??", "é", false), ("*?", "é", true), ("a?c", "abc", true),
      ("s3:get*", "s3:getobject", true), ("*:getobject", "s3:getobject", true),
      ("arn:aws:s3:::b/*/x", "arn:aws:s3:::b/a/b/x", true),
      ("**", "anything", true), ("a**b", "ab", true), ("*a*a*a*b", String(repeating: "a", count: 200), false),
    ]
    for (pattern, text, wanted) in cases {
      XCTAssertEqual(Glob(pattern).matches(text), wanted, "\(pattern) against \(text)")
    }
  }

  /// Against the obvious recursive definition.
  func testAgreesWithNaiveReference() {
    func naive(_ pattern: [Character], _ text: [Character]) -> Bool {
      guard let first = pattern.first else { return text.isEmpty }
      let rest = Array(pattern.dropFirst())
      switch first {
      case "*": return (0...text.count).contains { naive(rest, Array(text.dropFirst($0))) }
      case "?": return !text.isEmpty && naive(rest, Array(text.dropFirst()))
      default: return text.first == first && naive(rest, Array(text.dropFirst()))
      }
    }
    var random = SeededGenerator(seed: 42)
    let patternLetters = Array("ab*?é")
    let textLetters = Array("abé")
    for _ in 0..<5_000 {
      let pattern = (0..<random.below(8)).map { _ in patternLetters[random.below(patternLetters.count)] }
      let text = (0..<random.below(9)).map { _ in textLetters[random.below(textLetters.count)] }
      XCTAssertEqual(
        Glob(String(pattern)).matches(String(text)), naive(pattern, text), "\(String(pattern)) against \(String(text))")
    }
  }

  /// A pattern made to go wrong in a backtracking matcher stays quick.
  func testHostilePatternIsQuick() {
    let pattern = Glob(String(repeating: "*a", count: 500) + "b")
    let text = [UInt8](repeating: UInt8(ascii: "a"), count: 4_000)
    let clock = ContinuousClock()
    let took = clock.measure { XCTAssertFalse(pattern.matches(text)) }
    XCTAssertLessThan(took, .seconds(5))
  }
}
