import FakeDriver
import Ports
import RegionKit
import XCTest

private struct FakeFixture: DriverFixture {
  let fake = FakeDriver(clock: SystemClock(), randomness: SystemRandomness())
  var driver: any InstanceDriver { fake }
  func reopened() async throws -> any InstanceDriver { fake }
  func crash(_ handle: InstanceHandle) async throws { await fake.kill(handle.instanceId) }
}

final class FakeDriverTests: XCTestCase {
  private let contract = DriverContract(fixture: FakeFixture())

  func testLaunchAndInspect() async throws { try await contract.launchAndInspect() }
  func testRefusals() async throws { try await contract.refusals() }
  func testStopAndStart() async throws { try await contract.stopAndStart() }
  func testDestroy() async throws { try await contract.destroy() }
  func testRecover() async throws { try await contract.recover() }

  func testAFailureAfterTheEffectLeavesTheInstance() async throws {
    let fake = FakeDriver(clock: SystemClock(), randomness: SystemRandomness())
    let contract = DriverContract(fixture: FakeFixture())
    let spec = try await contract.spec(1)
    await fake.set(
      behaviour: FakeDriver.Behaviour(failure: { operation, _, _ in
        operation == .launch ? FakeDriver.Failure(AWSError("InternalError", "lost"), afterEffect: true) : nil
      }))
    await contract.assertError("InternalError") { _ = try await fake.launch(spec, fresh: true) }
    let instance = await fake.instance(spec.instanceId)
    XCTAssertEqual(instance?.isRunning, true)
    await fake.set(behaviour: FakeDriver.Behaviour())
    let handle = try await fake.launch(spec, fresh: true)
    XCTAssertEqual(handle.facts["life"], "1")
  }
}
