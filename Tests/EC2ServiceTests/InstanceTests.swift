import Durable
import EC2Service
import FakeDriver
import Foundation
import Ports
import RegionKit
import RegionStore
import RoadsteadTesting
import Synchronization
import WireModel
import XCTest

final class InstanceTests: XCTestCase {
  func testRunInstancesStartsWhatWasAskedFor() async throws {
    let world = try await World()
    let ids = try await world.run(
      3,
      [
        "UserData": .string(Data("#!/bin/sh\ntrue\n".utf8).base64EncodedString()), "IamInstanceProfile": .object(["Name": .string("web")]),
        "TagSpecifications": tagged(["fleet": "a"]), "InstanceType": .string("t2.small"),
      ])
    let rows = try await world.instances(filter("tag:fleet", "a"))
    XCTAssertEqual(Set(rows.compactMap { $0["InstanceId"]?.asString }), Set(ids))
    XCTAssertEqual(Set(rows.compactMap { $0["PrivateIpAddress"]?.asString }).count, 3)
    let machine = await world.outside.driver.instance(ids[0])
    XCTAssertEqual(machine?.spec.memoryBytes, 2048 << 20)
    XCTAssertEqual(machine?.spec.userData, Array("#!/bin/sh\ntrue\n".utf8))
    XCTAssertEqual(machine?.spec.agentCommand, ["/bin/agent"])
    let metadata = world.outside.metadata.published.withLock { $0[ids[0]] }
    XCTAssertEqual(metadata?.credentials?.accessKeyId, "ASIATEST")
    XCTAssertEqual(metadata?.paths["instance-id"], ids[0])
    XCTAssertEqual(metadata?.identityDocument["region"], "us-east-1")
  }

  func testAClientTokenStartsOnce() async throws {
    let world = try await World()
    let token: [String: WireValue] = ["ClientToken": .string("once")]
    let first = try await world.run(2, token)
    let second = try await world.run(2, token)
    XCTAssertEqual(first, second)
    let held = try await world.outside.driver.list()
    XCTAssertEqual(held.count, 2)
  }

  func testAClientTokenStartsOnceThoughManyCallsRace() async throws {
    let world = try await World()
    let token: [String: WireValue] = ["ClientToken": .string("raced")]
    let answers = try await withThrowingTaskGroup(of: [String].self) { group in
      for _ in 0..<8 { group.addTask { try await world.run(2, token) } }
      return try await group.reduce(into: Set<[String]>()) { $0.insert($1) }
    }
    XCTAssertEqual(answers.count, 1)
    let held = try await world.outside.driver.list()
    XCTAssertEqual(held.count, 2)
  }

  func testAClientTokenWithOtherArgumentsIsRefused() async throws {
    let world = try await World()
    let ids = try await world.run(1, ["ClientToken": .string("mine")])
    let image = try await world.instances()[0]["ImageId"] ?? .null
    let other: [String: WireValue] = [
      "ImageId": image, "MinCount": .int(2), "MaxCount": .int(2), "ClientToken": .string("mine"),
    ]
    let refused = await world.code("RunInstances", other)
    XCTAssertEqual(refused, "IdempotentParameterMismatch")
    let long = await world.code("RunInstances", other.merging(["ClientToken": .string(String(repeating: "t", count: 65))]) { $1 })
    XCTAssertEqual(long, "InvalidParameterValue")
    // Forgotten an hour after the instance's end, the token is free again.
    _ = try await world.call("TerminateInstances", ["InstanceIds": strings(ids)])
    try await world.wait(ids[0], "terminated")
    world.clock.advance(by: 3700)
    for _ in 0..<20_000 where try await world.service.instance(ids[0], in: testScope) != nil { await Task.yield() }
    let free = try await world.run(1, ["ClientToken": .string("mine"), "MinCount": .int(1)])
    XCTAssertNotEqual(free, ids)
  }

  func testStopKeepsTheRootAndTheAddressAndStartBringsItBack() async throws {
    let world = try await World()
    let id = try await world.run()[0]
    await world.outside.driver.write([42], to: "/kept", in: id)
    let address = try await world.instances()[0]["PrivateIpAddress"]?.asString
    let stopping = try await world.call("StopInstances", ["InstanceIds": strings([id])])
    let change = stopping["StoppingInstances"]?.asList?.first?.asObject
    XCTAssertEqual(change?["PreviousState"]?.asObject?["Name"]?.asString, "running")
    XCTAssertEqual(change?["CurrentState"]?.asObject?["Name"]?.asString, "stopping")
    try await world.wait(id, "stopped")
    XCTAssertNil(world.outside.metadata.published.withLock { $0[id] })
    let again = await world.code("StopInstances", ["InstanceIds": strings([id])])
    XCTAssertNil(again, "stopping a stopped instance changes nothing")
    _ = try await world.call("StartInstances", ["InstanceIds": strings([id])])
    try await world.wait(id, "running")
    let machine = await world.outside.driver.instance(id)
    XCTAssertEqual(machine?.files["/kept"], [42])
    XCTAssertEqual(machine?.spec.privateIP, address)
    let reboot = await world.code("RebootInstances", ["InstanceIds": strings([id])])
    XCTAssertNil(reboot)
  }

  func testTerminateLeavesNothingButARowForAnHour() async throws {
    let world = try await World()
    let id = try await world.run()[0]
    _ = try await world.call("TerminateInstances", ["InstanceIds": strings([id])])
    try await world.wait(id, "terminated")
    let held = try await world.outside.driver.list()
    XCTAssertEqual(held, [])
    let rows = try await world.instances()
    XCTAssertEqual(rows.first?["State"]?.asObject?["Name"]?.asString, "terminated")
    XCTAssertNil(rows.first?["PrivateIpAddress"]?.asString, "the address is free again")
    let start = await world.code("StartInstances", ["InstanceIds": strings([id])])
    XCTAssertEqual(start, "IncorrectInstanceState")
    world.clock.advance(by: 3601)
    for _ in 0..<20_000 where try await world.service.instance(id, in: testScope) != nil { await Task.yield() }
    let gone = try await world.service.instance(id, in: testScope)
    XCTAssertNil(gone)
  }

  func testProtectionsHold() async throws {
    let world = try await World()
    let id = try await world.run(1, ["DisableApiTermination": .bool(true)])[0]
    let terminate = await world.code("TerminateInstances", ["InstanceIds": strings([id])])
    XCTAssertEqual(terminate, "OperationNotPermitted")
    _ = try await world.call(
      "ModifyInstanceAttribute", ["InstanceId": .string(id), "DisableApiTermination": .object(["Value": .bool(false)])])
    let shown = try await world.call(
      "DescribeInstanceAttribute", ["InstanceId": .string(id), "Attribute": .string("disableApiTermination")])
    guard case .bool(false)? = shown["DisableApiTermination"]?.asObject?["Value"] else { return XCTFail("\(shown)") }
    let type = await world.code(
      "ModifyInstanceAttribute", ["InstanceId": .string(id), "InstanceType": .object(["Value": .string("t2.nano")])])
    XCTAssertEqual(type, "IncorrectInstanceState")
  }

  func testAnInstanceThatEndsByItselfIsStopped() async throws {
    let world = try await World()
    let id = try await world.run()[0]
    let service = world.service
    let following = Task { await service.followExits() }
    defer { following.cancel() }
    for _ in 0..<100 { await Task.yield() }
    await world.outside.driver.kill(id)
    try await world.wait(id, "stopped")
  }

  func testARebootIsNoShutdown() async throws {
    let world = try await World()
    let id = try await world.run()[0]
    let service = world.service
    let following = Task { await service.followExits() }
    defer { following.cancel() }
    for _ in 0..<5 {
      let before = await world.outside.driver.instance(id)?.life ?? 0
      _ = try await world.call("RebootInstances", ["InstanceIds": strings([id])])
      for _ in 0..<20_000 where (await world.outside.driver.instance(id)?.life ?? 0) == before { await Task.yield() }
      try await world.wait(id, "running")
    }
    for _ in 0..<200 { await Task.yield() }
    let state = try await service.instance(id, in: testScope)?.state
    XCTAssertEqual(state, "running")
  }

  func testWhatEndedWithAnErrorIsEndedAllTheSame() async throws {
    let world = try await World()
    let id = try await world.run()[0]
    await world.outside.driver.kill(id)
    let service = world.service
    let following = Task { await service.followExits() }
    defer { following.cancel() }
    try await world.wait(id, "stopped")
    let stop = await world.code("StopInstances", ["InstanceIds": strings([id])])
    XCTAssertNil(stop, "stopping what is stopped changes nothing, however it ended")
    _ = try await world.call("TerminateInstances", ["InstanceIds": strings([id])])
    try await world.wait(id, "terminated")
    let terminate = await world.code("TerminateInstances", ["InstanceIds": strings([id])])
    XCTAssertNil(terminate)
  }

  func testInstanceStatusIsProbed() async throws {
    let world = try await World()
    let id = try await world.run()[0]
    func status() async throws -> String? {
      try await world.call("DescribeInstanceStatus", ["InstanceIds": strings([id])])["InstanceStatuses"]?.asList?.first?
        .asObject?["InstanceStatus"]?.asObject?["Status"]?.asString
    }
    let healthy = try await status()
    XCTAssertEqual(healthy, "ok")
    await world.outside.driver.kill(id)
    let dead = try await status()
    XCTAssertEqual(dead, "impaired")
  }

  func testEveryBadRunIsRefusedByName() async throws {
    let world = try await World()
    let image = try await world.image()
    let good: [String: WireValue] = ["ImageId": .string(image), "MinCount": .int(1), "MaxCount": .int(1)]
    let cases: [(String, [String: WireValue])] = [
      ("InvalidAMIID.NotFound", ["ImageId": .string("ami-0123456789abcdef0")]), ("InvalidAMIID.Malformed", ["ImageId": .string("x")]),
      ("InvalidParameterValue", ["MinCount": .int(2)]), ("InvalidParameterValue", ["InstanceType": .string("z9.huge")]),
      ("InstanceLimitExceeded", ["MaxCount": .int(101)]), ("InvalidKeyPair.NotFound", ["KeyName": .string("k")]),
      ("InvalidSubnetID.NotFound", ["SubnetId": .string("subnet-1")]), ("InvalidGroup.NotFound", ["SecurityGroupIds": strings(["sg-1"])]),
      ("InvalidParameterValue", ["UserData": .string("!!!")]),
      ("InvalidParameterValue", ["UserData": .string(Data(count: 16385).base64EncodedString())]),
      ("InvalidParameterValue", ["IamInstanceProfile": .object(["Name": .string("none")])]),
      ("InvalidParameterValue", ["IamInstanceProfile": .object(["Name": .string("empty")])]),
      ("UnsupportedOperation", ["BlockDeviceMappings": .list([.object(["DeviceName": .string("/dev/sdb")])])]),
      ("UnsupportedOperation", ["Placement": .object(["HostId": .string("h")])]),
      ("InvalidParameterValue", ["PrivateIpAddress": .string("10.0.0.1")]), ("DryRunOperation", ["DryRun": .bool(true)]),
    ]
    for (expected, change) in cases {
      let code = await world.code("RunInstances", good.merging(change) { $1 })
      XCTAssertEqual(code, expected, "\(change)")
    }
    world.authorizer.denied.withLock { _ = $0.insert("iam:PassRole") }
    let pass = await world.code("RunInstances", good.merging(["IamInstanceProfile": .object(["Name": .string("web")])]) { $1 })
    XCTAssertEqual(pass, "AccessDenied")
    let held = try await world.outside.driver.list()
    XCTAssertEqual(held, [], "nothing was half done")
  }

  func testFiltersAndPages() async throws {
    let world = try await World()
    _ = try await world.run(7, ["TagSpecifications": tagged(["n": "many"])])
    var seen: Set<String> = []
    var token: WireValue?
    var pages = 0
    repeat {
      var input = filter("instance-state-name", "run*")
      input["MaxResults"] = .int(5)
      if let token { input["NextToken"] = token }
      let answer = try await world.call("DescribeInstances", input)
      for reservation in answer["Reservations"]?.asList ?? [] {
        for instance in reservation.asObject?["Instances"]?.asList ?? [] { seen.insert(instance.asObject?["InstanceId"]?.asString ?? "") }
      }
      token = answer["NextToken"]
      pages += 1
    } while token != nil
    XCTAssertEqual(seen.count, 7)
    XCTAssertEqual(pages, 2)
    let unknown = await world.code("DescribeInstances", filter("no-such-filter", "x"))
    XCTAssertEqual(unknown, "InvalidParameterValue")
    let forged = await world.code("DescribeInstances", ["NextToken": .string("forged"), "MaxResults": .int(5)])
    XCTAssertEqual(forged, "InvalidNextToken")
    let missing = await world.code("DescribeInstances", ["InstanceIds": strings(["i-00000000000000000"])])
    XCTAssertEqual(missing, "InvalidInstanceID.NotFound")
  }
}
