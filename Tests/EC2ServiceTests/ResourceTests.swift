import Durable
import FakeDriver
import Foundation
import Ports
import RegionKit
import RegionStore
import RoadsteadTesting
import Synchronization
import WireModel
import XCTest

@testable import EC2Service

final class ResourceTests: XCTestCase {
  func testSecurityGroupsAndTheirNames() async throws {
    let world = try await World()
    let made = try await world.call("CreateSecurityGroup", ["GroupName": .string("web"), "Description": .string("w")])
    let id = made["GroupId"]?.asString ?? ""
    let twice = await world.code("CreateSecurityGroup", ["GroupName": .string("web"), "Description": .string("w")])
    XCTAssertEqual(twice, "InvalidGroup.Duplicate")
    let instance = try await world.run(1, ["SecurityGroupIds": strings([id])])[0]
    let used = await world.code("DeleteSecurityGroup", ["GroupId": .string(id)])
    XCTAssertEqual(used, "DependencyViolation")
    _ = try await world.call("TerminateInstances", ["InstanceIds": strings([instance])])
    try await world.wait(instance, "terminated")
    _ = try await world.call("DeleteSecurityGroup", ["GroupName": .string("web")])
    let groups = try await world.call("DescribeSecurityGroups")["SecurityGroups"]?.asList ?? []
    XCTAssertEqual(groups.compactMap { $0.asObject?["GroupName"]?.asString }, ["default"])
    let standard = await world.code("DeleteSecurityGroup", ["GroupName": .string("default")])
    XCTAssertEqual(standard, "CannotDelete")
  }

  func testTagsAreSetShownAndTakenAway() async throws {
    let world = try await World()
    let id = try await world.run()[0]
    let tags: WireValue = .list([
      .object(["Key": .string("a"), "Value": .string("1")]), .object(["Key": .string("b"), "Value": .string("2")]),
    ])
    _ = try await world.call("CreateTags", ["Resources": strings([id]), "Tags": tags])
    let summary = try await world.service.instance(id, in: testScope)
    XCTAssertEqual(summary?.tags, ["a": "1", "b": "2"])
    _ = try await world.call(
      "DeleteTags",
      [
        "Resources": strings([id]),
        "Tags": .list([.object(["Key": .string("a")]), .object(["Key": .string("b"), "Value": .string("x")])]),
      ])
    let left = try await world.call("DescribeTags", filter("resource-id", id))["Tags"]?.asList ?? []
    XCTAssertEqual(left.compactMap { $0.asObject?["Key"]?.asString }, ["b"], "a value given must match")
    let reserved = await world.code("CreateTags", ["Resources": strings([id]), "Tags": .list([.object(["Key": .string("aws:x")])])])
    XCTAssertEqual(reserved, "InvalidParameterValue")
    let none = await world.code(
      "CreateTags", ["Resources": strings([id, "i-00000000000000000"]), "Tags": .list([.object(["Key": .string("c")])])])
    XCTAssertEqual(none, "InvalidInstanceID.NotFound")
    let after = try await world.service.instance(id, in: testScope)
    XCTAssertNil(after?.tags["c"], "all or none")
  }

  func testTheDefaultNetwork() async throws {
    let world = try await World()
    let vpcs = try await world.call("DescribeVpcs")["Vpcs"]?.asList ?? []
    XCTAssertEqual(vpcs.first?.asObject?["CidrBlock"]?.asString, "172.31.0.0/16")
    let subnets = try await world.call("DescribeSubnets")["Subnets"]?.asList ?? []
    XCTAssertEqual(
      Set(subnets.compactMap { $0.asObject?["CidrBlock"]?.asString }), ["172.31.0.0/20", "172.31.16.0/20", "172.31.32.0/20"])
    let zones = try await world.call("DescribeAvailabilityZones")["AvailabilityZones"]?.asList ?? []
    XCTAssertEqual(zones.compactMap { $0.asObject?["ZoneName"]?.asString }, ["us-east-1a", "us-east-1b", "us-east-1c"])
    let regions = try await world.call("DescribeRegions")["Regions"]?.asList ?? []
    XCTAssertEqual(regions.first?.asObject?["RegionName"]?.asString, "us-east-1")
    let elsewhere = try await world.call("DescribeVpcs", region: "eu-north-9")["Vpcs"]?.asList ?? []
    XCTAssertNotEqual(elsewhere.first?.asObject?["VpcId"]?.asString, vpcs.first?.asObject?["VpcId"]?.asString)
    let types = try await world.call("DescribeInstanceTypes", ["InstanceTypes": strings(["t2.micro"])])["InstanceTypes"]?.asList ?? []
    XCTAssertEqual(types.first?.asObject?["MemoryInfo"]?.asObject?["SizeInMiB"]?.asInt, 1024)
  }

  func testProfilesComeAndGoOnARunningInstance() async throws {
    let world = try await World()
    let id = try await world.run()[0]
    func role() -> String? { world.outside.metadata.published.withLock { $0[id]?.roleName } }
    XCTAssertNil(role())
    let made = try await world.call(
      "AssociateIamInstanceProfile", ["InstanceId": .string(id), "IamInstanceProfile": .object(["Name": .string("web")])])
    let association = made["IamInstanceProfileAssociation"]?.asObject?["AssociationId"] ?? .null
    XCTAssertEqual(role(), "web")
    let twice = await world.code(
      "AssociateIamInstanceProfile", ["InstanceId": .string(id), "IamInstanceProfile": .object(["Name": .string("web")])])
    XCTAssertEqual(twice, "IncorrectState")
    let replaced = try await world.call(
      "ReplaceIamInstanceProfileAssociation", ["AssociationId": association, "IamInstanceProfile": .object(["Name": .string("web")])])
    let next = replaced["IamInstanceProfileAssociation"]?.asObject?["AssociationId"] ?? .null
    let listed = try await world.call("DescribeIamInstanceProfileAssociations")["IamInstanceProfileAssociations"]?.asList ?? []
    XCTAssertEqual(listed.count, 1)
    _ = try await world.call("DisassociateIamInstanceProfile", ["AssociationId": next])
    XCTAssertNil(role())
    let options = try await world.call("ModifyInstanceMetadataOptions", ["InstanceId": .string(id), "HttpTokens": .string("required")])
    XCTAssertEqual(options["InstanceMetadataOptions"]?.asObject?["HttpTokens"]?.asString, "required")
    XCTAssertEqual(world.outside.metadata.published.withLock { $0[id]?.tokensRequired }, true)
  }

  func testCredentialsAreRenewedAtHalfTheirLife() async throws {
    let world = try await World()
    let id = try await world.run(1, ["IamInstanceProfile": .object(["Name": .string("web")])])[0]
    func token() -> String? { world.outside.metadata.published.withLock { $0[id]?.credentials?.sessionToken } }
    let first = token()
    XCTAssertNotNil(first)
    world.clock.advance(by: CredentialTask.lifetime / 2 + 1)
    for _ in 0..<20_000 where token() == first { await Task.yield() }
    let second = token()
    XCTAssertNotEqual(second, first)
    world.clock.advance(by: CredentialTask.lifetime / 2 + 1)
    for _ in 0..<20_000 where token() == second { await Task.yield() }
    XCTAssertNotEqual(token(), second, "and again")
  }

  func testAddressesAreChosenInTheSubnetAndNeverTwice() {
    let taken: Set<String> = ["10.0.0.4", "10.0.0.6"]
    XCTAssertEqual(AddressChooser.choose(3, in: "10.0.0.0/28", taken: taken), ["10.0.0.5", "10.0.0.7", "10.0.0.8"])
    XCTAssertNil(AddressChooser.choose(12, in: "10.0.0.0/28", taken: []), "11 usable addresses in a /28")
    XCTAssertEqual(AddressChooser.choose(11, in: "10.0.0.0/28", taken: [])?.last, "10.0.0.14")
    XCTAssertNil(IPv4Block("10.0.0.0/33"))
    XCTAssertNil(IPv4Block("10.0.0/8"))
  }

  func testWildcardsAgreeWithANaiveMatcher() {
    func naive(_ text: Substring, _ pattern: Substring) -> Bool {
      guard let p = pattern.first else { return text.isEmpty }
      if p == "*" { return naive(text, pattern.dropFirst()) || (!text.isEmpty && naive(text.dropFirst(), pattern)) }
      guard let t = text.first, p == "?" || p == t else { return false }
      return naive(text.dropFirst(), pattern.dropFirst())
    }
    var state: UInt64 = 42
    func pick(_ letters: String, _ count: Int) -> String {
      String(
        (0..<count).map { _ in
          state = state &* 6_364_136_223_846_793_005 &+ 1
          return Array(letters)[Int(state >> 33) % letters.count]
        })
    }
    for round in 0..<3000 {
      let text = pick("ab", round % 9)
      let pattern = pick("ab*?", round % 7)
      XCTAssertEqual(Wildcard.matches(text, pattern: pattern), naive(text[...], pattern[...]), "\(text) \(pattern)")
    }
    XCTAssertTrue(Wildcard.matches("a*b", pattern: "a\\*b"))
    XCTAssertFalse(Wildcard.matches("axb", pattern: "a\\*b"))
  }
}
