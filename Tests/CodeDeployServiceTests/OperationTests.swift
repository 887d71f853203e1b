import FoundationEssentials
import RegionKit
import RegionStore
import RoadsteadTesting
import Synchronization
import WireModel
import XCTest

@testable import CodeDeployService

final class OperationTests: XCTestCase {
  private let app: [String: WireValue] = ["applicationName": .string("app")]
  private let web: [String: WireValue] = ["applicationName": .string("app"), "deploymentGroupName": .string("web")]

  func testApplications() async throws {
    let harness = try Harness()
    let made = try await harness.api("CreateApplication", ["applicationName": .string("app"), "computePlatform": .string("Server")])
    XCTAssertEqual(made["applicationId"]?.asString?.count, 36)
    let twice = await harness.error("CreateApplication", app)
    XCTAssertEqual(twice, "ApplicationAlreadyExistsException")
    let got = try await harness.api("GetApplication", app)
    XCTAssertEqual(got["application"]?["applicationId"]?.asString, made["applicationId"]?.asString)
    XCTAssertEqual(got["application"]?["linkedToGitHub"].flatMap { Bool(wire: $0) }, false)
    try await harness.api("UpdateApplication", ["applicationName": .string("app"), "newApplicationName": .string("new")])
    let gone = await harness.error("GetApplication", app)
    XCTAssertEqual(gone, "ApplicationDoesNotExistException")
    let list = try await harness.api("ListApplications", [:])
    XCTAssertEqual(list["applications"]?.strings, ["new"])
    let batch = try await harness.api("BatchGetApplications", ["applicationNames": .list([.string("new")])])
    XCTAssertEqual(batch["applicationsInfo"]?.asList?.count, 1)
    try await harness.api("DeleteApplication", ["applicationName": .string("new")])
    let empty = try await harness.api("ListApplications", [:])
    XCTAssertEqual(empty["applications"]?.strings, [])
    for (input, code) in [
      ([:], "ApplicationNameRequiredException"), (["applicationName": .string("a b")], "InvalidApplicationNameException"),
      (["applicationName": .string(String(repeating: "x", count: 101))], "InvalidApplicationNameException"),
      (["applicationName": .string("x"), "computePlatform": .string("Lambda")], "InvalidComputePlatformException"),
    ] as [([String: WireValue], String)] {
      let answer = await harness.error("CreateApplication", input)
      XCTAssertEqual(answer, code)
    }
  }

  func testPagesFollowOneAnother() async throws {
    let harness = try Harness()
    for index in 0..<230 {
      try await harness.api("CreateApplication", ["applicationName": .string("app-\(1000 + index)")])
    }
    var names: [String] = []
    var token: WireValue?
    var pages = 0
    repeat {
      let page = try await harness.api("ListApplications", token.map { ["nextToken": $0] } ?? [:])
      names += page["applications"]?.strings ?? []
      token = page["nextToken"]
      pages += 1
    } while token != nil && pages < 10
    XCTAssertEqual(pages, 3)
    XCTAssertEqual(names, (0..<230).map { "app-\(1000 + $0)" })
    let first = try await harness.api("ListApplications", [:])
    let foreign = await harness.error("ListDeploymentConfigs", ["nextToken": first["nextToken"] ?? .null])
    XCTAssertEqual(foreign, "InvalidNextTokenException")
  }

  func testConfigs() async throws {
    let harness = try Harness()
    let list = try await harness.api("ListDeploymentConfigs", [:])
    XCTAssertEqual(list["deploymentConfigsList"]?.strings.count, 17)
    let one = try await harness.api("GetDeploymentConfig", ["deploymentConfigName": .string("CodeDeployDefault.OneAtATime")])
    XCTAssertEqual(one["deploymentConfigInfo"]?["minimumHealthyHosts"]?["type"]?.asString, "MOST_CONCURRENCY")
    func hosts(_ type: String, _ value: Int) -> WireValue { .object(["type": .string(type), "value": .int(Int64(value))]) }
    try await harness.api(
      "CreateDeploymentConfig", ["deploymentConfigName": .string("most"), "minimumHealthyHosts": hosts("FLEET_PERCENT", 80)])
    let own = try await harness.api("GetDeploymentConfig", ["deploymentConfigName": .string("most")])
    XCTAssertEqual(own["deploymentConfigInfo"]?["minimumHealthyHosts"]?["value"]?.asInt, 80)
    for (name, spec, code) in [
      ("most", hosts("HOST_COUNT", 1), "DeploymentConfigAlreadyExistsException"),
      ("CodeDeployDefault.x", hosts("HOST_COUNT", 1), "InvalidDeploymentConfigNameException"),
      ("x", hosts("FLEET_PERCENT", 100), "InvalidMinimumHealthyHostValueException"),
      ("x", hosts("HOST_COUNT", -1), "InvalidMinimumHealthyHostValueException"),
      ("x", hosts("MOST_CONCURRENCY", 1), "InvalidMinimumHealthyHostValueException"),
    ] {
      let answer = await harness.error(
        "CreateDeploymentConfig", ["deploymentConfigName": .string(name), "minimumHealthyHosts": spec])
      XCTAssertEqual(answer, code)
    }
    try await harness.prepare(hosts: 1, ["deploymentConfigName": .string("most")])
    let used = await harness.error("DeleteDeploymentConfig", ["deploymentConfigName": .string("most")])
    XCTAssertEqual(used, "DeploymentConfigInUseException")
    let builtIn = await harness.error("DeleteDeploymentConfig", ["deploymentConfigName": .string("CodeDeployDefault.AllAtOnce")])
    XCTAssertEqual(builtIn, "InvalidOperationException")
    try await harness.api("DeleteDeploymentGroup", web)
    try await harness.api("DeleteDeploymentConfig", ["deploymentConfigName": .string("most")])
    let gone = await harness.error("GetDeploymentConfig", ["deploymentConfigName": .string("most")])
    XCTAssertEqual(gone, "DeploymentConfigDoesNotExistException")
  }

  func testGroups() async throws {
    let harness = try Harness()
    try await harness.prepare(hosts: 1)
    let passed = harness.world.state.withLock { $0.asked.contains { $0.action == "iam:PassRole" && $0.resource == roleARN } }
    XCTAssertTrue(passed)
    var group = try await harness.api("GetDeploymentGroup", web)["deploymentGroupInfo"]
    XCTAssertEqual(group?["deploymentConfigName"]?.asString, "CodeDeployDefault.OneAtATime")
    XCTAssertEqual(group?["ec2TagFilters"]?[0]?["Value"]?.asString, "web")
    XCTAssertEqual(group?["deploymentStyle"]?["deploymentOption"]?.asString, "WITHOUT_TRAFFIC_CONTROL")
    let id = group?["deploymentGroupId"]?.asString
    try await harness.api(
      "UpdateDeploymentGroup",
      [
        "applicationName": .string("app"), "currentDeploymentGroupName": .string("web"), "newDeploymentGroupName": .string("www"),
        "deploymentConfigName": .string("CodeDeployDefault.AllAtOnce"), "autoScalingGroups": .list([.string("asg")]),
      ])
    group = try await harness.api(
      "GetDeploymentGroup", ["applicationName": .string("app"), "deploymentGroupName": .string("www")])["deploymentGroupInfo"]
    XCTAssertEqual(group?["deploymentGroupId"]?.asString, id, "renaming keeps the id that agents store files under")
    XCTAssertEqual(group?["deploymentConfigName"]?.asString, "CodeDeployDefault.AllAtOnce")
    XCTAssertEqual(group?["ec2TagFilters"]?.asList?.count, 1, "what is not given stays")
    XCTAssertEqual(group?["autoScalingGroups"]?[0]?["name"]?.asString, "asg")
    let list = try await harness.api("ListDeploymentGroups", app)
    XCTAssertEqual(list["deploymentGroups"]?.strings, ["www"])
    let batch = try await harness.api(
      "BatchGetDeploymentGroups",
      ["applicationName": .string("app"), "deploymentGroupNames": .list([.string("www"), .string("none")])])
    XCTAssertEqual(batch["deploymentGroupsInfo"]?.asList?.count, 1)
    XCTAssertTrue(batch["errorMessage"]?.asString?.contains("none") ?? false)
    try await harness.api(
      "DeleteDeploymentGroup", ["applicationName": .string("app"), "deploymentGroupName": .string("www")])
    let gone = await harness.error("GetDeploymentGroup", web)
    XCTAssertEqual(gone, "DeploymentGroupDoesNotExistException")
    let missing = await harness.error(
      "UpdateDeploymentGroup", ["applicationName": .string("app"), "currentDeploymentGroupName": .string("none")])
    XCTAssertEqual(missing, "DeploymentGroupDoesNotExistException")
  }

  func testGroupsRefuseWhatIsWrongOrMissing() async throws {
    let harness = try Harness()
    try await harness.prepare(hosts: 1)
    let filter: WireValue = .object(["Key": .string("a"), "Type": .string("KEY_ONLY")])
    let set: WireValue = .object(["ec2TagSetList": .list([.list([filter])])])
    func style(_ type: String, _ option: String) -> WireValue {
      .object(["deploymentType": .string(type), "deploymentOption": .string(option)])
    }
    let cases: [([String: WireValue], String)] = [
      ([:], "DeploymentGroupAlreadyExistsException"), (["serviceRoleArn": .null], "RoleRequiredException"),
      (["serviceRoleArn": .string("arn:aws:iam::123456789012:role/none")], "InvalidRoleException"),
      (["serviceRoleArn": .string("role")], "InvalidRoleException"),
      (["applicationName": .string("none")], "ApplicationDoesNotExistException"),
      (["deploymentConfigName": .string("none")], "DeploymentConfigDoesNotExistException"),
      (["deploymentConfigName": .string("CodeDeployDefault.ECSAllAtOnce")], "InvalidDeploymentConfigNameException"),
      (["ec2TagSet": set], "InvalidEC2TagCombinationException"),
      (["ec2TagFilters": .list([.object(["Key": .string("a"), "Type": .string("ODD")])])], "InvalidEC2TagException"),
      (["deploymentStyle": style("BLUE_GREEN", "WITH_TRAFFIC_CONTROL")], "InvalidDeploymentStyleException"),
      (["deploymentStyle": style("IN_PLACE", "ODD")], "InvalidDeploymentStyleException"),
      (["deploymentStyle": .object(["deploymentType": .string("IN_PLACE")])], "InvalidDeploymentStyleException"),
      (["deploymentStyle": style("IN_PLACE", "WITH_TRAFFIC_CONTROL")], "InvalidLoadBalancerInfoException"),
      (["autoRollbackConfiguration": .object(["enabled": .bool(true)])], "InvalidAutoRollbackConfigException"),
      (["alarmConfiguration": .object(["enabled": .bool(true)])], "InvalidAlarmConfigException"),
      (["triggerConfigurations": .list([.object([:])])], "InvalidTriggerConfigException"),
    ]
    for (change, code) in cases {
      var input = web
      input["serviceRoleArn"] = .string(roleARN)
      input["ec2TagFilters"] = .list([filter])
      let answer = await harness.error("CreateDeploymentGroup", input.merging(change) { $1 })
      XCTAssertEqual(answer, code, "\(change)")
    }
    harness.world.state.withLock { $0.denied = ["iam:PassRole"] }
    let denied = await harness.error(
      "CreateDeploymentGroup", web.merging(["serviceRoleArn": .string(roleARN)]) { $1 })
    XCTAssertEqual(denied, "AccessDenied")
  }

  func testTagSelection() throws {
    func condition(_ key: String?, _ value: String?, _ type: String) -> TagCondition { TagCondition(type: type, key: key, value: value) }
    var selection = TargetSelection()
    XCTAssertFalse(selection.matchesEC2(["a": "1"]))
    selection.ec2TagSet = [
      [condition("a", "1", "KEY_AND_VALUE"), condition("a", "2", "KEY_AND_VALUE")], [condition("b", nil, "KEY_ONLY")],
    ]
    XCTAssertTrue(selection.matchesEC2(["a": "2", "b": ""]))
    XCTAssertFalse(selection.matchesEC2(["a": "3", "b": ""]))
    XCTAssertFalse(selection.matchesEC2(["a": "1"]))
    selection.ec2Filters = [condition(nil, "x", "VALUE_ONLY")]
    XCTAssertTrue(selection.matchesEC2(["any": "x"]))
    selection.autoScalingGroups = ["g"]
    XCTAssertTrue(selection.matchesEC2(["aws:autoscaling:groupName": "g"]))
  }

  func testRevisions() async throws {
    let harness = try Harness()
    try await harness.prepare(hosts: 1)
    for key in ["b.zip", "a.zip"] {
      try await harness.api(
        "RegisterApplicationRevision",
        ["applicationName": .string("app"), "revision": Harness.revision(key), "description": .string("about " + key)])
      harness.clock.advance(by: 1)
    }
    let got = try await harness.api("GetApplicationRevision", app.merging(["revision": Harness.revision("b.zip")]) { $1 })
    XCTAssertEqual(got["revisionInfo"]?["description"]?.asString, "about b.zip")
    let none = await harness.error("GetApplicationRevision", app.merging(["revision": Harness.revision("c.zip")]) { $1 })
    XCTAssertEqual(none, "RevisionDoesNotExistException")
    func keys(_ more: [String: WireValue]) async throws -> [String] {
      let list = try await harness.api("ListApplicationRevisions", app.merging(more) { $1 })
      return (list["revisions"]?.asList ?? []).compactMap { $0["s3Location"]?["key"]?.asString }
    }
    var found = try await keys(["sortBy": .string("registerTime"), "sortOrder": .string("ascending")])
    XCTAssertEqual(found, ["b.zip", "a.zip"])
    found = try await keys(["s3Bucket": .string("bucket"), "s3KeyPrefix": .string("a")])
    XCTAssertEqual(found, ["a.zip"])
    found = try await keys(["deployed": .string("include")])
    XCTAssertEqual(found, [])
    _ = try await harness.deploy()
    try await TestAgent(harness, "i-0").work()
    found = try await keys(["deployed": .string("include")])
    XCTAssertEqual(found, ["app.zip"], "a deployed revision is registered, and the group's target")
    let batch = try await harness.api(
      "BatchGetApplicationRevisions",
      app.merging(["revisions": .list([Harness.revision("app.zip"), Harness.revision("none.zip")])]) { $1 })
    XCTAssertEqual(batch["revisions"]?[0]?["genericRevisionInfo"]?["deploymentGroups"]?.strings, ["web"])
    XCTAssertNotNil(batch["errorMessage"])
    let cases: [(WireValue, String)] = [
      (.null, "RevisionRequiredException"), (.object(["revisionType": .string("String")]), "InvalidRevisionException"),
      (.object(["revisionType": .string("S3"), "s3Location": .object(["bucket": .string("b")])]), "InvalidRevisionException"),
      (
        .object([
          "revisionType": .string("S3"),
          "s3Location": .object(["bucket": .string("b"), "key": .string("k"), "bundleType": .string("rar")]),
        ]), "InvalidRevisionException"
      ),
      (
        .object([
          "revisionType": .string("GitHub"), "gitHubLocation": .object(["repository": .string("r"), "commitId": .string("1")]),
        ]), "InvalidRevisionException"
      ),
    ]
    for (revision, code) in cases {
      let answer = await harness.error("RegisterApplicationRevision", app.merging(["revision": revision]) { $1 })
      XCTAssertEqual(answer, code)
    }
    let prefix = await harness.error("ListApplicationRevisions", app.merging(["s3KeyPrefix": .string("a")]) { $1 })
    XCTAssertEqual(prefix, "BucketNameFilterRequiredException")
  }

  func testDeploymentsAndTheirHosts() async throws {
    let harness = try Harness()
    try await harness.prepare(hosts: 2, config: "AllAtOnce")
    let id = try await harness.deploy("app.zip", ["description": .string("first")])
    try await TestAgent(harness, "i-0").work(failing: "Install")
    try await TestAgent(harness, "i-1").work()
    let d: [String: WireValue] = ["deploymentId": .string(id)]
    let batch = try await harness.api("BatchGetDeployments", ["deploymentIds": .list([.string(id), .string("d-ZZZZZZZZZ")])])
    XCTAssertEqual(batch["deploymentsInfo"]?.asList?.count, 1)
    XCTAssertEqual(batch["deploymentsInfo"]?[0]?["description"]?.asString, "first")
    var list = try await harness.api("ListDeployments", ["includeOnlyStatuses": .list([.string("Succeeded")])])
    XCTAssertEqual(list["deployments"]?.strings, [id])
    list = try await harness.api("ListDeployments", ["includeOnlyStatuses": .list([.string("Failed")])])
    XCTAssertEqual(list["deployments"]?.strings, [])
    let targets = try await harness.api(
      "ListDeploymentTargets", d.merging(["targetFilters": .object(["TargetStatus": .list([.string("Failed")])])]) { $1 })
    XCTAssertEqual(targets["targetIds"]?.strings, ["i-0"])
    let described = try await harness.api(
      "BatchGetDeploymentTargets", d.merging(["targetIds": .list([.string("i-0"), .string("i-1")])]) { $1 })
    let failed = described["deploymentTargets"]?[0]?["instanceTarget"]
    XCTAssertEqual(failed?["status"]?.asString, "Failed")
    let install = failed?["lifecycleEvents"]?[3]
    XCTAssertEqual(install?["lifecycleEventName"]?.asString, "Install")
    XCTAssertEqual(install?["diagnostics"]?["errorCode"]?.asString, "ScriptFailed")
    XCTAssertNotNil(install?["startTime"])
    XCTAssertNotNil(install?["endTime"])
    XCTAssertEqual(failed?["lifecycleEvents"]?[4]?["status"]?.asString, "Skipped")
    let instances = try await harness.api(
      "ListDeploymentInstances", d.merging(["instanceStatusFilter": .list([.string("Succeeded")])]) { $1 })
    XCTAssertEqual(instances["instancesList"]?.strings, ["i-1"])
    let arn: WireValue = .string("arn:aws:ec2:us-east-1:123456789012:instance/i-1")
    let instance = try await harness.api("GetDeploymentInstance", d.merging(["instanceId": arn]) { $1 })
    XCTAssertEqual(instance["instanceSummary"]?["status"]?.asString, "Succeeded")
    let both = try await harness.api(
      "BatchGetDeploymentInstances", d.merging(["instanceIds": .list([.string("i-1"), .string("i-7")])]) { $1 })
    XCTAssertEqual(both["instancesSummary"]?.asList?.count, 1)
    XCTAssertTrue(both["errorMessage"]?.asString?.contains("i-7") ?? false)
    for (operation, more, code) in [
      ("GetDeploymentTarget", ["targetId": .string("i-7")], "DeploymentTargetDoesNotExistException"),
      ("GetDeploymentInstance", ["instanceId": .string("i-7")], "InstanceDoesNotExistException"),
      ("GetDeployment", ["deploymentId": .string("d-ZZZZZZZZZ")], "DeploymentDoesNotExistException"),
      ("GetDeployment", ["deploymentId": .string("nonsense")], "InvalidDeploymentIdException"),
      ("GetDeployment", ["deploymentId": .null], "DeploymentIdRequiredException"),
      ("StopDeployment", ["deploymentId": .string("d-ZZZZZZZZZ")], "DeploymentDoesNotExistException"),
      ("ContinueDeployment", [:], "DeploymentAlreadyCompletedException"),
    ] as [(String, [String: WireValue], String)] {
      let answer = await harness.error(operation, d.merging(more) { $1 })
      XCTAssertEqual(answer, code, operation)
    }
    let running = try await harness.deploy("app2.zip")
    let notReady = await harness.error("ContinueDeployment", ["deploymentId": .string(running)])
    XCTAssertEqual(notReady, "DeploymentIsNotInReadyStateException")
  }

  func testCreateDeploymentRefusesBadWishes() async throws {
    let harness = try Harness()
    try await harness.prepare(hosts: 1)
    let cases: [([String: WireValue], String)] = [
      (["applicationName": .string("none")], "ApplicationDoesNotExistException"),
      (["deploymentGroupName": .null], "DeploymentGroupNameRequiredException"),
      (["deploymentGroupName": .string("none")], "DeploymentGroupDoesNotExistException"),
      (["revision": .null], "RevisionRequiredException"),
      (["deploymentConfigName": .string("none")], "DeploymentConfigDoesNotExistException"),
      (["fileExistsBehavior": .string("ODD")], "InvalidFileExistsBehaviorException"),
      (["description": .string(String(repeating: "x", count: 300))], "DescriptionTooLongException"),
      (["targetInstances": .object([:])], "InvalidTargetInstancesException"),
      (["autoRollbackConfiguration": .object(["enabled": .bool(true)])], "InvalidAutoRollbackConfigException"),
      (["overrideAlarmConfiguration": .object(["enabled": .bool(true)])], "InvalidAlarmConfigException"),
    ]
    for (change, code) in cases {
      let answer = await harness.error(
        "CreateDeployment", web.merging(["revision": Harness.revision()]) { $1 }.merging(change) { $1 })
      XCTAssertEqual(answer, code, "\(change)")
    }
    let none = try await harness.api("ListDeployments", [:])
    XCTAssertEqual(none["deployments"]?.strings, [], "nothing half-done")
  }

  func testOnPremisesInstances() async throws {
    let harness = try Harness()
    let session = "arn:aws:sts::123456789012:assumed-role/Boxes/box"
    try await harness.api("RegisterOnPremisesInstance", ["instanceName": .string("box"), "iamSessionArn": .string(session)])
    for (input, code) in [
      (["instanceName": .string("box"), "iamSessionArn": .string(session)], "InstanceNameAlreadyRegisteredException"),
      (["instanceName": .string("b2"), "iamSessionArn": .string(session)], "IamSessionArnAlreadyRegisteredException"),
      (["instanceName": .string("b2")], "IamArnRequiredException"),
      (
        ["instanceName": .string("b2"), "iamSessionArn": .string(session), "iamUserArn": .string("x")],
        "MultipleIamArnsProvidedException"
      ), (["instanceName": .string("b2"), "iamUserArn": .string("x")], "InvalidIamUserArnException"),
      (["instanceName": .string("i-1"), "iamSessionArn": .string(session)], "InvalidInstanceNameException"),
    ] as [([String: WireValue], String)] {
      let answer = await harness.error("RegisterOnPremisesInstance", input)
      XCTAssertEqual(answer, code)
    }
    let tags: WireValue = .list([.object(["Key": .string("rack"), "Value": .string("7")])])
    let names: WireValue = .list([.string("box")])
    try await harness.api("AddTagsToOnPremisesInstances", ["instanceNames": names, "tags": tags])
    var got = try await harness.api("GetOnPremisesInstance", ["instanceName": .string("box")])["instanceInfo"]
    XCTAssertEqual(got?["tags"]?[0]?["Value"]?.asString, "7")
    XCTAssertEqual(got?["instanceArn"]?.asString, "arn:aws:codedeploy:us-east-1:123456789012:instance:box")
    let filter: WireValue = .list([.object(["Key": .string("rack"), "Value": .string("7"), "Type": .string("KEY_AND_VALUE")])])
    var list = try await harness.api("ListOnPremisesInstances", ["tagFilters": filter, "registrationStatus": .string("Registered")])
    XCTAssertEqual(list["instanceNames"]?.strings, ["box"])
    try await harness.api("RemoveTagsFromOnPremisesInstances", ["instanceNames": names, "tags": tags])
    list = try await harness.api("ListOnPremisesInstances", ["tagFilters": filter])
    XCTAssertEqual(list["instanceNames"]?.strings, [])
    try await harness.api("DeregisterOnPremisesInstance", ["instanceName": .string("box")])
    got = try await harness.api("GetOnPremisesInstance", ["instanceName": .string("box")])["instanceInfo"]
    XCTAssertNotNil(got?["deregisterTime"])
    let batch = try await harness.api("BatchGetOnPremisesInstances", ["instanceNames": names])
    XCTAssertEqual(batch["instanceInfos"]?.asList?.count, 1)
    list = try await harness.api("ListOnPremisesInstances", ["registrationStatus": .string("Deregistered")])
    XCTAssertEqual(list["instanceNames"]?.strings, ["box"])
    try await harness.api("RegisterOnPremisesInstance", ["instanceName": .string("b2"), "iamSessionArn": .string(session)])
    let unknown = await harness.error("AddTagsToOnPremisesInstances", ["instanceNames": .list([.string("none")]), "tags": tags])
    XCTAssertEqual(unknown, "InstanceNotRegisteredException")
  }

  func testTags() async throws {
    let harness = try Harness()
    try await harness.prepare(hosts: 0)
    for arn in [ARNs.application("app", scope), ARNs.group("app", "web", scope)] {
      let tags: WireValue = .list([.object(["Key": .string("team"), "Value": .string("blue")])])
      try await harness.api("TagResource", ["ResourceArn": .string(arn), "Tags": tags])
      var list = try await harness.api("ListTagsForResource", ["ResourceArn": .string(arn)])
      XCTAssertEqual(list["Tags"]?[0]?["Value"]?.asString, "blue")
      try await harness.api("UntagResource", ["ResourceArn": .string(arn), "TagKeys": .list([.string("team")])])
      list = try await harness.api("ListTagsForResource", ["ResourceArn": .string(arn)])
      XCTAssertEqual(list["Tags"]?.asList?.count, 0)
    }
    let config = await harness.error("ListTagsForResource", ["ResourceArn": .string(ARNs.config("x", scope))])
    XCTAssertEqual(config, "ArnNotSupportedException")
    let junk = await harness.error("ListTagsForResource", ["ResourceArn": .string("junk")])
    XCTAssertEqual(junk, "InvalidArnException")
    let reserved = await harness.error(
      "TagResource",
      [
        "ResourceArn": .string(ARNs.application("app", scope)), "Tags": .list([.object(["Key": .string("aws:x")])]),
      ])
    XCTAssertEqual(reserved, "InvalidTagsToAddException")
  }

  func testEveryListedOperationNamesItsResource() async throws {
    let harness = try Harness()
    for operation in harness.service.module.handlers.keys {
      let input: [String: WireValue] = [
        "applicationName": .string("app"), "deploymentGroupName": .string("web"), "deploymentId": .string("d-ABCDEFGHI"),
        "deploymentConfigName": .string("most"), "instanceName": .string("box"), "ResourceArn": .string(ARNs.application("app", scope)),
      ]
      let asked = try await harness.service.module.authorization(for: operation, input: input, call: harness.call(operation))
      XCTAssertFalse(asked.isEmpty, operation)
      for request in asked {
        XCTAssertEqual(request.action, "codedeploy:" + operation)
        XCTAssertTrue(request.resource == "*" || request.resource.hasPrefix("arn:aws:codedeploy:us-east-1:123456789012:"), operation)
      }
    }
  }

  func testModelErrorsBecomeCodeDeploysOwn() throws {
    let harness = try Harness()
    func code(_ kind: ValidationFailure.Kind, _ path: [String], _ shape: String, _ operation: String) -> String? {
      let failure = ValidationFailure(kind: kind, path: path, shapeName: shape, constraint: "c", subject: "s")
      return harness.service.module.validationError([failure], operation: operation)?.code
    }
    XCTAssertEqual(code(.required, ["applicationName"], "ApplicationName", "CreateDeployment"), "ApplicationNameRequiredException")
    XCTAssertEqual(code(.length, ["applicationName"], "ApplicationName", "CreateDeployment"), "InvalidApplicationNameException")
    XCTAssertEqual(code(.required, ["serviceRoleArn"], "Role", "CreateDeploymentGroup"), "RoleRequiredException")
    XCTAssertEqual(
      code(.enumeration, ["revision", "s3Location", "bundleType"], "BundleType", "CreateDeployment"), "InvalidRevisionException")
    XCTAssertEqual(
      code(.enumeration, ["fileExistsBehavior"], "FileExistsBehavior", "CreateDeployment"), "InvalidFileExistsBehaviorException")
    XCTAssertEqual(code(.required, ["deploymentId"], "DeploymentId", "GetDeployment"), "DeploymentIdRequiredException")
    XCTAssertEqual(
      code(.enumeration, ["ec2TagFilters", "1", "Type"], "EC2TagFilterType", "CreateDeploymentGroup"), "InvalidEC2TagException")
  }
}
