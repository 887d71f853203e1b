import XCTest

final class CodeRules: XCTestCase {
  /// Time and chance are injected; only RegionKit asks the machine.
  func testNoWallClockOrSystemRandomnessOutsideRegionKit() {
    let forbidden = [
      "Date()", "Date.now", "UUID()", "Task.sleep", "SystemRandomNumberGenerator", "ContinuousClock", "usleep(", ".random(in:",
    ]
    for file in SourceTree.swiftFiles(below: "Sources") where !file.path.contains("/RegionKit/") && !file.isGenerated {
      for (number, text) in file.code {
        for word in forbidden where text.contains(word) {
          XCTFail("\(file.path):\(number): \(word) – take a RegionClock or a Randomness instead")
        }
      }
    }
  }

  /// A long-lived server does not trap on what it can report.
  func testNoTrapsInLongLivedCode() {
    let forbidden = ["try!", "fatalError(", "as!", ".unsafelyUnwrapped"]
    for file in SourceTree.swiftFiles(below: "Sources") where !file.isGenerated {
      for (number, text) in file.code {
        for word in forbidden where text.contains(word) { XCTFail("\(file.path):\(number): \(word)") }
      }
    }
  }

  /// Lines of a file, with a ratchet: the longest today may not grow.
  func testFilesStaySmall() {
    for file in SourceTree.swiftFiles(below: "Sources") where !file.isGenerated {
      XCTAssertLessThanOrEqual(file.lines.count, 500, "\(file.path) has \(file.lines.count) lines; split it by idea")
    }
  }

  func testNothingIsLeftForLater() {
    for file in SourceTree.swiftFiles(below: "Sources") where !file.isGenerated {
      for (index, line) in file.lines.enumerated() {
        for word in ["TODO", "FIXME", "XXX", "HACK"] where line.contains(word) && !line.contains("\\uXXXX") {
          XCTFail("\(file.path):\(index + 1): \(word) – do it, refuse it by name at run time, or write it into an issue")
        }
      }
    }
  }

  func testNoPathOfABuildMachineInTheTree() {
    let needle = "\"/" + "work/"
    for folder in ["Sources", "Tests"] {
      for file in SourceTree.swiftFiles(below: folder) {
        for (index, line) in file.lines.enumerated() where line.contains(needle) {
          XCTFail("\(file.path):\(index + 1): a path of one machine")
        }
      }
    }
  }
}
