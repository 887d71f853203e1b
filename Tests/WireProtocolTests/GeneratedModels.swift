import Foundation
import WireModel
import XCTest

@testable import WireProtocol

/// The checked-in models of the services, read from the generated source files: this target may not import a service.
enum GeneratedModels {
  static func all() throws -> [String: ServiceModel] {
    let services = Vectors.packageRoot.appendingPathComponent("Sources/Services")
    var out: [String: ServiceModel] = [:]
    for module in try FileManager.default.contentsOfDirectory(atPath: services.path) {
      let folder = services.appendingPathComponent(module).appendingPathComponent("Generated")
      for file in (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [] where file.hasSuffix("Model.swift") {
        let model = try read(folder.appendingPathComponent(file))
        out[model.service] = model
      }
    }
    return out
  }

  static func load(_ service: String) throws -> ServiceModel { try XCTUnwrap(all()[service], "no generated model of \(service)") }

  private static func read(_ file: URL) throws -> ServiceModel {
    let text = try String(contentsOf: file, encoding: .utf8)
    let name = try XCTUnwrap(text.range(of: "ServiceModel(service: \""))
    let service = String(text[name.upperBound...].prefix { $0 != "\"" })
    let start = try XCTUnwrap(text.range(of: "\"\"\"\n")).upperBound
    let end = try XCTUnwrap(text.range(of: "\n\"\"\"", options: .backwards)).lowerBound
    return ServiceModel(service: service, generated: String(text[start..<end]))
  }
}

final class GeneratedModelTests: XCTestCase {
  func testEveryModelIsReadable() throws {
    let models = try GeneratedModels.all()
    for service in ["iam", "sts", "s3", "ec2", "codedeploy"] { XCTAssertNotNil(models[service], service) }
    for (service, model) in models {
      XCTAssertNil(model.problem, service)
      XCTAssertFalse(model.operations.isEmpty, service)
      XCTAssertTrue(model.operations.values.contains { $0.isListed }, service)
    }
  }

  func testUnlistedOperationsHaveNoShapesAndListedOnesFindTheirs() throws {
    for (service, model) in try GeneratedModels.all() {
      for operation in model.operations.values {
        if !operation.isListed { XCTAssertNil(operation.input, "\(service):\(operation.name)") }
        for error in operation.errors { XCTAssertNotNil(model.shape(named: error), "\(service):\(operation.name) \(error)") }
      }
    }
  }

  /// A pattern that cannot be checked is skipped, so each one must be known here.
  func testEveryPatternOfTheModelsInUseCanBeChecked() throws {
    for (service, model) in try GeneratedModels.all() {
      XCTAssertEqual(WireCodec(model: model).unusablePatterns, [:], service)
    }
  }

  func testADamagedModelSaysSo() {
    let model = ServiceModel(service: "x", generated: "{\"metadata\":")
    XCTAssertNotNil(model.problem)
    XCTAssertTrue(model.operations.isEmpty)
  }
}
