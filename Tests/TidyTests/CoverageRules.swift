import Foundation
import XCTest

/// A listed operation is one whose effect a test sees.
final class CoverageRules: XCTestCase {
  static let services = ["iam", "sts", "s3", "ec2", "codedeploy"]

  static func operations(_ service: String) -> [String] {
    SourceTree.text("Models/\(service)/operations.txt").split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
      .filter { !$0.isEmpty && !$0.hasPrefix("#") }
  }

  func testEveryListedOperationIsNamedByATest() {
    var tests = SourceTree.swiftFiles(below: "Tests").filter { !$0.path.contains("TidyTests") }.flatMap(\.lines).joined(separator: "\n")
    let compat = SourceTree.root.appending(path: "compat")
    for case let url as URL in FileManager.default.enumerator(at: compat, includingPropertiesForKeys: nil)
      ?? FileManager.DirectoryEnumerator()
    where url.pathExtension == "py" {
      tests += (try? String(contentsOf: url, encoding: .utf8)) ?? ""
    }
    let words = Set(tests.split { !($0.isLetter || $0.isNumber || $0 == "_" || $0 == "-") }.map { Self.folded(String($0)) })
    for service in Self.services {
      let listed = Self.operations(service)
      XCTAssertFalse(listed.isEmpty, "Models/\(service)/operations.txt is empty")
      for operation in listed {
        XCTAssertTrue(words.contains(Self.folded(operation)), "\(service):\(operation) is listed, but no test names it")
      }
    }
  }

  /// `create-deployment-group`, `create_deployment_group`, `createDeploymentGroup` and `CreateDeploymentGroup` are one name.
  private static func folded(_ name: String) -> String { name.filter { $0 != "-" && $0 != "_" }.lowercased() }

  func testNoListedOperationThrowsNotImplemented() {
    for file in SourceTree.swiftFiles(below: "Sources/Services") where !file.isGenerated {
      for (number, text) in file.code where text.contains("AWSError.notImplemented(") {
        XCTAssertTrue(
          file.path.hasSuffix("CommandService.swift"), "\(file.path):\(number): take the operation off operations.txt instead")
      }
    }
  }

  func testTheCoverageTableIsTrue() {
    let table = SourceTree.text("docs/coverage.md")
    for service in Self.services {
      XCTAssertTrue(
        table.contains("| \(service) | \(Self.operations(service).count) |"),
        "docs/coverage.md does not say that \(service) has \(Self.operations(service).count) operations; run Tools/scripts/coverage.py")
    }
  }
}
