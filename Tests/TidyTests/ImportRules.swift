import XCTest

/// Imports point one way: Base ← Gateway, Services, Drivers, Planes, Agents ← Region ← roadstead; siblings never import each other.
final class ImportRules: XCTestCase {
  /// What each module of the project may import of the project.
  static let allowed: [String: Set<String>] = {
    let service: Set<String> = ["RegionKit", "WireModel", "RegionStore", "Durable", "Ports"]
    return [
      "RegionKit": [], "WireModel": ["RegionKit"], "WireProtocol": ["RegionKit", "WireModel", "CExpat"],
      "RequestSigning": ["RegionKit"], "HTTPKit": ["RegionKit"], "RegionStore": ["RegionKit"],
      "ContentStore": ["RegionKit", "CPosixFiles"], "Durable": ["RegionKit", "RegionStore"], "Ports": ["RegionKit"],
      "Gateway": ["RegionKit", "WireModel", "WireProtocol", "RequestSigning", "HTTPKit", "Ports"],
      "IdentityService": service, "EC2Service": service, "CodeDeployService": service,
      "ObjectStorageService": service.union(["ContentStore", "CZlib"]),
      "NamespaceDriver": ["RegionKit", "Ports", "CInstance"], "FakeDriver": ["RegionKit", "Ports"],
      "MetadataPlane": ["RegionKit", "Ports", "HTTPKit", "CInstance"],
      "DeployAgent": ["RegionKit", "HTTPKit", "RequestSigning", "CArchive", "CProcess"],
      "RoadsteadTesting": ["RegionKit", "WireModel", "RegionStore", "Durable", "Ports"],
    ]
  }()

  func testEachModuleImportsOnlyWhatItsLayerMay() {
    let modules = Set(Self.allowed.keys).union([
      "Region", "roadstead", "CExpat", "CArchive", "CZlib", "CInstance", "CProcess", "CPosixFiles",
    ])
    var seen = 0
    for file in SourceTree.swiftFiles(below: "Sources") {
      guard let module = file.path.split(separator: "/").map(String.init).last(where: { Self.allowed[$0] != nil }),
        let allowed = Self.allowed[module]
      else { continue }
      seen += 1
      for (number, text) in file.code where text.contains("import ") {
        guard let name = text.split(separator: " ").last.map(String.init), modules.contains(name), name != module else { continue }
        XCTAssertTrue(allowed.contains(name), "\(file.path):\(number): \(module) may not import \(name); talk through Ports or events")
      }
    }
    XCTAssertGreaterThan(seen, 100, "the rule looked at too few files")
  }

  func testOnlyTheStoreKnowsSQL() {
    for file in SourceTree.swiftFiles(below: "Sources") where !file.path.contains("/RegionStore/") {
      for (number, text) in file.code {
        XCTAssertFalse(text.contains("import GRDB"), "\(file.path):\(number): only RegionStore may know SQL")
      }
    }
  }

  func testOnlyTheEdgesKnowHTTP() {
    for file in SourceTree.swiftFiles(below: "Sources/Services") {
      for (number, text) in file.code {
        XCTAssertFalse(text.contains("import NIO") || text.contains("import HTTPKit"), "\(file.path):\(number): handlers never see HTTP")
      }
    }
  }
}
