import Ports
import RegionKit
import XCTest

/// What the contract suite needs of a driver under test.
protocol DriverFixture: Sendable {
  var driver: any InstanceDriver { get }
  /// Another driver object on the same machines, as after a restart of the region.
  func reopened() async throws -> any InstanceDriver
  /// The machine ends without having been asked to.
  func crash(_ handle: InstanceHandle) async throws
}

/// The contract that every driver keeps. Each function is one test; the test classes call them.
struct DriverContract {
  let fixture: any DriverFixture
  var driver: any InstanceDriver { fixture.driver }

  /// Addresses count up within the driver's network, `.16` and on.
  func spec(_ number: Int, agent: [String] = [], userData: String = "", files: [InstanceFile] = []) async throws -> InstanceSpec {
    let network = try await driver.prepareNetwork()
    let image = try await driver.baseImage { print($0) }
    let parts = network.cidr.split(separator: ".")
    return InstanceSpec(
      instanceId: "i-0000000000000000\(number)", scope: Scope(account: AccountID("123456789012"), region: RegionName("us-east-1")),
      hostname: "ip-\(parts[0])-\(parts[1])-0-\(16 + number)", layers: image.layers, memoryBytes: 256 << 20, cpuMillis: 1000,
      maxProcesses: 256, privateIP: "\(parts[0]).\(parts[1]).0.\(16 + number)", userData: Array(userData.utf8), files: files,
      agentCommand: agent)
  }

  func launchAndInspect() async throws {
    let spec = try await spec(1)
    let handle = try await driver.launch(spec, fresh: true)
    XCTAssertEqual(handle.instanceId, spec.instanceId)
    let inspection = try await driver.inspect(handle)
    XCTAssertEqual(inspection.condition, .running)
    XCTAssertNotNil(inspection.cpuSeconds)
    XCTAssertNotNil(inspection.memoryBytes)
    let listed = try await driver.list()
    XCTAssertEqual(listed, [spec.instanceId])
    let again = try await driver.launch(spec, fresh: true)
    XCTAssertEqual(again, handle, "a repeated launch answers with the running instance")
  }

  func refusals() async throws {
    let first = try await spec(1)
    var second = try await spec(2)
    _ = try await driver.launch(first, fresh: true)
    second.privateIP = first.privateIP
    await assertError("InvalidIPAddress.InUse") { _ = try await driver.launch(second, fresh: true) }
    second.privateIP = try await spec(2).privateIP
    second.layers = ["base-that-is-not-there"]
    await assertError("InvalidAMIID.NotFound") { _ = try await driver.launch(second, fresh: true) }
    let listed = try await driver.list()
    XCTAssertEqual(listed, [first.instanceId], "a refused launch leaves nothing")
  }

  func stopAndStart() async throws {
    let spec = try await spec(1)
    let first = try await driver.launch(spec, fresh: true)
    try await driver.stop(first, grace: 5)
    let stopped = try await driver.inspect(first)
    XCTAssertEqual(stopped.condition, .stopped)
    XCTAssertEqual(stopped.exitStatus, 0)
    try await driver.stop(first, grace: 5)
    var other = try await self.spec(2)
    other.privateIP = spec.privateIP
    await assertError("InvalidIPAddress.InUse") { _ = try await driver.launch(other, fresh: true) }
    let second = try await driver.launch(spec, fresh: false)
    XCTAssertNotEqual(first, second)
    let running = try await driver.inspect(second)
    XCTAssertEqual(running.condition, .running)
  }

  func destroy() async throws {
    try await driver.destroy(instanceId: "i-neverlaunched")
    let spec = try await spec(1)
    let handle = try await driver.launch(spec, fresh: true)
    try await driver.destroy(instanceId: spec.instanceId)
    try await driver.destroy(instanceId: spec.instanceId)
    let inspection = try await driver.inspect(handle)
    XCTAssertEqual(inspection.condition, .absent)
    let recovered = try await driver.recover(handle)
    XCTAssertNil(recovered)
    let listed = try await driver.list()
    XCTAssertEqual(listed, [])
    let console = try await driver.consoleOutput(instanceId: spec.instanceId)
    XCTAssertEqual(console, [])
    // The address is free again.
    var other = try await self.spec(2)
    other.privateIP = spec.privateIP
    _ = try await driver.launch(other, fresh: true)
  }

  func recover() async throws {
    let spec = try await spec(1)
    let handle = try await driver.launch(spec, fresh: true)
    let next = try await fixture.reopened()
    let recovered = try await next.recover(handle)
    XCTAssertEqual(recovered, handle)
    let again = try await next.launch(spec, fresh: true)
    XCTAssertEqual(again, handle, "a launch repeated after a restart finds the running instance")
    let exits = next.exits()
    try await fixture.crash(handle)
    for await id in exits {
      XCTAssertEqual(id, spec.instanceId)
      break
    }
    let gone = try await next.recover(handle)
    XCTAssertNil(gone)
    let inspection = try await next.inspect(handle)
    XCTAssertEqual(inspection.condition, .stopped)
  }

  func assertError(_ code: String, _ work: () async throws -> Void, file: StaticString = #filePath, line: UInt = #line) async {
    do {
      try await work()
      XCTFail("no \(code)", file: file, line: line)
    } catch let error as AWSError {
      XCTAssertEqual(error.code, code, error.message, file: file, line: line)
    } catch {
      XCTFail("\(error)", file: file, line: line)
    }
  }
}
