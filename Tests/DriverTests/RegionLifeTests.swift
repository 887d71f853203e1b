import Foundation
import HTTPKit
import Logging
import NamespaceDriver
import Ports
import RegionKit
import XCTest

/// Instances and the processes around them: the region's death, its listener on the bridge, other regions on the machine.
final class RegionLifeTests: XCTestCase {
  /// Launches an instance in a process of its own that then kills itself with SIGKILL.
  func testInstancesOutliveTheKilledRegion() async throws {
    if let home = ProcessInfo.processInfo.environment["ROADSTEAD_KILLED_HOME"] { return try await launchAndDie(home: home) }
    let fixture = try await NamespaceFixture(self)
    // Made here, so that the short life there is about the launch only.
    _ = try await DriverContract(fixture: fixture).spec(1)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments = ["DriverTests.RegionLifeTests/testInstancesOutliveTheKilledRegion"]
    process.environment = ProcessInfo.processInfo.environment.merging(["ROADSTEAD_KILLED_HOME": fixture.home]) { $1 }
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    XCTAssertEqual(process.terminationReason, .uncaughtSignal)
    XCTAssertEqual(process.terminationStatus, SIGKILL)

    let id = "i-00000000000000001"
    let before = try await fixture.waitFor("/root/beats", in: id, toHold: "beat")
    let note = try Data(contentsOf: URL(fileURLWithPath: "\(fixture.home)/instances/\(id)/handle.json"))
    let handle = try JSONDecoder().decode(InstanceHandle.self, from: note)
    let recovered = try await fixture.driver.recover(handle)
    XCTAssertEqual(recovered, handle)
    _ = try await fixture.waitFor("/root/beats", in: id, toHold: before + "beat\nbeat\n")
    try await fixture.driver.stop(handle, grace: 5)
    let inspection = try await fixture.driver.inspect(handle)
    XCTAssertEqual(inspection.condition, .stopped)
  }

  private func launchAndDie(home: String) async throws {
    let driver = try NamespaceDriver(
      home: home, launcherPath: try NamespaceFixture.launcher.get(), agentBinary: nil, imageCache: "/tmp/roadstead-image-cache")
    let contract = DriverContract(fixture: Borrowed(driver: driver))
    let spec = try await contract.spec(1, agent: ["/bin/sh", "-c", "while :; do echo beat >> /root/beats; sleep 0.2; done"])
    _ = try await driver.launch(spec, fresh: true)
    // The launcher's directory would stay behind.
    try? FileManager.default.removeItem(atPath: NSTemporaryDirectory() + "/roadstead-test-launcher-\(getpid())")
    kill(getpid(), SIGKILL)
  }

  private struct Borrowed: DriverFixture {
    let driver: any InstanceDriver
    func reopened() async throws -> any InstanceDriver { driver }
    func crash(_ handle: InstanceHandle) async throws {}
  }

  func testInstancesReachTheGatewayUnderTheirOwnAddress() async throws {
    let fixture = try await NamespaceFixture(self)
    let network = try await fixture.driver.prepareNetwork()
    let gateway = try XCTUnwrap(network.gatewayIP)
    let server = try await HTTPServer.start(
      bind: .host(gateway, port: 0), clock: SystemClock(), logger: Logger(label: "test")
    ) { request in HTTPServerResponse(status: 200, body: ByteStream(Array((request.remoteAddress ?? "?").utf8))) }
    let port = try XCTUnwrap(server.port)
    let spec = try await DriverContract(fixture: fixture).spec(
      1, userData: "#!/bin/sh\ncurl -s -m 20 --noproxy '*' http://\(gateway):\(port)/ > /root/seen.new; mv /root/seen.new /root/seen\n")
    _ = try await fixture.driver.launch(spec, fresh: true)
    let seen = try await fixture.waitFor("/root/seen", in: spec.instanceId)
    XCTAssertEqual(seen, spec.privateIP)
    await server.shutdown(grace: 0)
  }

  func testTwoRegionsOnOneMachine() async throws {
    let first = try await NamespaceFixture(self)
    let second = try await NamespaceFixture(self)
    var handles: [InstanceHandle] = []
    for fixture in [first, second] {
      let spec = try await DriverContract(fixture: fixture).spec(1, agent: ["/bin/sleep", "1000"])
      handles.append(try await fixture.driver.launch(spec, fresh: true))
    }
    XCTAssertNotEqual(handles[0].facts["bridge"], handles[1].facts["bridge"])
    XCTAssertNotEqual(handles[0].facts["address"], handles[1].facts["address"])
    try await first.namespace.teardown()
    let inspection = try await second.driver.inspect(handles[1])
    XCTAssertEqual(inspection.condition, .running, "taking one region down leaves the other alone")
  }
}
