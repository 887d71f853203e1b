import Durable
import FoundationEssentials
import Ports
import RegionKit
import RegionStore
import RoadsteadTesting
import Synchronization
import WireModel
import XCTest

@testable import CodeDeployService

let account = AccountID("123456789012")
let scope = Scope(account: account, region: RegionName("us-east-1"))
let roleARN = "arn:aws:iam::123456789012:role/CodeDeployRole"

/// EC2, IAM and S3 as the service sees them.
final class FakeWorld: InstanceDirectory, RolePort, ObjectReader, Authorizer {
  struct State: Sendable {
    var instances: [String: Ports.InstanceSummary] = [:]
    var objects: Set<String> = ["bucket/app.zip", "bucket/app2.zip"]
    var roles: Set<String> = [roleARN]
    var denied: Set<String> = []
    var asked: [AuthorizationRequest] = []
  }
  let state = Mutex(State())

  func add(_ id: String, tags: [String: String] = ["app": "web"], zone: String = "us-east-1a", state condition: String = "running") {
    let instance = Ports.InstanceSummary(
      instanceId: id, state: condition, availabilityZone: zone, privateIP: "10.0.0.1", tags: tags,
      instanceProfileARN: "arn:aws:iam::123456789012:instance-profile/Web")
    state.withLock { $0.instances[id] = instance }
  }
  func instances(in scope: Scope) async throws -> [Ports.InstanceSummary] {
    state.withLock { $0.instances.values.sorted { $0.instanceId < $1.instanceId } }
  }
  func instance(_ id: String, in scope: Scope) async throws -> Ports.InstanceSummary? { state.withLock { $0.instances[id] } }
  func instanceProfile(_ name: String, account: AccountID) async throws -> InstanceProfileSummary? {
    InstanceProfileSummary(
      arn: "arn:aws:iam::123456789012:instance-profile/Web", id: "AIPA", name: "Web", roleName: "WebRole",
      roleARN: "arn:aws:iam::123456789012:role/WebRole")
  }
  func instanceCredentials(profileARN: String, instanceId: String, account: AccountID, lifetime: Double) async throws
    -> TemporaryCredentials
  { TemporaryCredentials(accessKeyId: "", secretAccessKey: "", sessionToken: "", expiration: Date(timeIntervalSince1970: 0)) }
  func canAssume(roleARN: String, service: String, account: AccountID) async throws -> Bool {
    state.withLock { $0.roles.contains(roleARN) }
  }
  func servicePrincipal(roleARN: String, service: String, sessionName: String, account: AccountID) async throws -> Principal {
    Principal(kind: .assumedRole, account: account, arn: roleARN, userId: "AROA:x", roleARN: roleARN)
  }
  func head(bucket: String, key: String, versionId: String?) async throws -> ObjectSummary? {
    let name = bucket + "/" + key
    guard state.withLock({ $0.objects.contains(name) }) else { return nil }
    return ObjectSummary(bucket: bucket, key: key, versionId: versionId, eTag: "\"abc\"", size: 10)
  }
  func authorize(_ request: AuthorizationRequest, principal: Principal, facts: CallFacts) async throws {
    let isDenied = state.withLock { state in
      state.asked.append(request)
      return state.denied.contains(request.action)
    }
    if isDenied { throw AWSError("AccessDenied", "\(request.action) is denied") }
  }
}

/// A region with CodeDeploy alone, driven one step at a time.
struct Harness {
  let clock = VirtualClock()
  let store: MemoryStore
  let world = FakeWorld()
  let service: CodeDeployService
  static let signer: EnvelopeSigner? = try? EnvelopeSigner.make(clock: VirtualClock(), random: SeededRandomness(seed: 7))

  init(_ configure: (inout CodeDeployOptions) -> Void = { $0.pollHold = 0 }, traffic: (any TrafficPort)? = nil) throws {
    store = MemoryStore(clock: clock)
    var options = CodeDeployOptions()
    configure(&options)
    service = CodeDeployService(
      store: store, clock: clock, random: SeededRandomness(seed: 1), instances: world, roles: world, objects: world,
      signer: try XCTUnwrap(Self.signer), traffic: traffic, options: options)
  }

  func call(_ operation: String, as principal: Principal? = nil) -> Call {
    let root = Principal(kind: .root, account: account, arn: "arn:aws:iam::123456789012:root", userId: account.rawValue)
    return Call(
      requestId: "r", service: "codedeploy", operation: operation, principal: principal ?? root, account: account,
      region: scope.region, clock: clock, random: service.engine.random, authorizer: world,
      facts: CallFacts(time: clock.now(), sourceIP: nil, userAgent: nil, secureTransport: true), endpointHost: "localhost:4566")
  }

  @discardableResult
  func api(_ operation: String, _ input: [String: WireValue]) async throws -> WireValue {
    let handler = try XCTUnwrap(service.module.handlers[operation], operation)
    _ = try await service.module.authorization(for: operation, input: input, call: call(operation))
    return .object(try await handler(input, call(operation)))
  }

  /// The code of the error that an operation answers with.
  func error(_ operation: String, _ input: [String: WireValue], file: StaticString = #filePath, line: UInt = #line) async -> String? {
    do {
      try await api(operation, input)
      XCTFail("\(operation) succeeded", file: file, line: line)
      return nil
    } catch {
      return (error as? AWSError)?.code
    }
  }

  /// Runs every task that is due, until none is.
  func drain() async throws {
    let handlers = Dictionary(uniqueKeysWithValues: service.taskHandlers.map { ($0.kind, $0) })
    while true {
      let now = clock.now()
      let claim = ClaimRequest(
        kinds: Set(handlers.keys), owner: "test", now: now, leaseUntil: now.addingTimeInterval(30), limit: 10)
      let rows = try await store.claimTasks(claim).tasks
      if rows.isEmpty { return }
      for row in rows { _ = try await TaskStep.quiet(store: store, clock: clock).run(row, try XCTUnwrap(handlers[row.kind])) }
    }
  }

  /// Application, group over `app=web`, default configuration unless told otherwise.
  func prepare(hosts: Int, config: String? = nil, rollback: [String] = [], _ more: [String: WireValue] = [:]) async throws {
    for index in 0..<hosts { world.add("i-\(index)") }
    try await api("CreateApplication", ["applicationName": .string("app")])
    var group: [String: WireValue] = [
      "applicationName": .string("app"), "deploymentGroupName": .string("web"), "serviceRoleArn": .string(roleARN),
      "ec2TagFilters": .list([.object(["Key": .string("app"), "Value": .string("web"), "Type": .string("KEY_AND_VALUE")])]),
    ]
    if let config { group["deploymentConfigName"] = .string("CodeDeployDefault." + config) }
    if !rollback.isEmpty {
      group["autoRollbackConfiguration"] = .object(["enabled": .bool(true), "events": .list(rollback.map { .string($0) })])
    }
    try await api("CreateDeploymentGroup", group.merging(more) { $1 })
  }

  func deploy(_ key: String = "app.zip", _ more: [String: WireValue] = [:]) async throws -> String {
    let input: [String: WireValue] = [
      "applicationName": .string("app"), "deploymentGroupName": .string("web"), "revision": Self.revision(key),
    ]
    let output = try await api("CreateDeployment", input.merging(more) { $1 })
    let id = try XCTUnwrap(output["deploymentId"]?.asString)
    try await drain()
    return id
  }

  static func revision(_ key: String = "app.zip") -> WireValue {
    .object([
      "revisionType": .string("S3"),
      "s3Location": .object(["bucket": .string("bucket"), "key": .string(key), "bundleType": .string("zip")]),
    ])
  }

  func info(_ id: String) async throws -> WireValue {
    try await api("GetDeployment", ["deploymentId": .string(id)])["deploymentInfo"] ?? .null
  }
  func status(_ id: String) async throws -> String? { try await info(id)["status"]?.asString }
  func target(_ id: String, _ host: String) async throws -> TargetRecord {
    let stored = try await service.engine.target(id, host, in: scope)
    return try XCTUnwrap(stored).value
  }
}

extension WireValue {
  subscript(_ name: String) -> WireValue? { asObject?[name] }
  subscript(_ index: Int) -> WireValue? { asList.flatMap { $0.indices.contains(index) ? $0[index] : nil } }
  var strings: [String] { asList?.compactMap(\.asString) ?? [] }
}

/// A host's agent as the protocol describes it, written against the wire alone.
struct TestAgent {
  struct Command { var id: String, execution: String, name: String }
  let harness: Harness
  let host: String
  var principal: Principal
  var identifier: String

  init(_ harness: Harness, _ host: String) {
    self.harness = harness
    self.host = host
    principal = Principal(
      kind: .assumedRole, account: account, arn: "arn:aws:sts::123456789012:assumed-role/WebRole/\(host)", userId: "AROA:\(host)",
      roleARN: "arn:aws:iam::123456789012:role/WebRole")
    identifier = "arn:aws:ec2:us-east-1:123456789012:instance/\(host)"
  }

  @discardableResult
  func say(_ operation: String, _ body: JSONValue) async throws -> JSONValue {
    let answer = try await harness.service.commandService.handle(
      operation: operation, input: JSONWriter.write(body), call: harness.call(operation, as: principal), agentVersion: "TEST_1.0")
    return try JSONReader.read(answer)
  }

  func poll() async throws -> Command? {
    let answer = try await say("PollHostCommand", .object([JSONMember("HostIdentifier", .string(identifier))]))
    guard let command = answer["HostCommand"], case .object = command else { return nil }
    XCTAssertEqual(command["HostIdentifier"]?.asString, identifier)
    return Command(
      id: command["HostCommandIdentifier"]?.asString ?? "", execution: command["DeploymentExecutionId"]?.asString ?? "",
      name: command["CommandName"]?.asString ?? "")
  }

  func specification(_ command: Command) async throws -> String? {
    let answer = try await say(
      "GetDeploymentSpecification",
      .object([
        JSONMember("DeploymentExecutionId", .string(command.execution)), JSONMember("HostIdentifier", .string(identifier)),
      ]))
    XCTAssertEqual(answer["DeploymentSystem"]?.asString, "CodeDeploy")
    let envelope = answer["DeploymentSpecification"]?["GenericEnvelope"]
    XCTAssertEqual(envelope?["Format"]?.asString, "PKCS7/JSON")
    return envelope?["Payload"]?.asString
  }

  func acknowledge(_ command: Command) async throws -> String? {
    let diagnostics: JSONValue = .object([
      JSONMember("Format", .string("JSON")), JSONMember("Payload", .string("{\"IsCommandNoop\":false}")),
    ])
    return try await say(
      "PutHostCommandAcknowledgement",
      .object([JSONMember("HostCommandIdentifier", .string(command.id)), JSONMember("Diagnostics", diagnostics)]))["CommandStatus"]?
      .asString
  }

  func complete(_ command: Command, code: Int = 0, script: String = "", message: String = "Succeeded: ", log: String = "") async throws {
    let payload = JSONWriter.write(
      .object([
        JSONMember("error_code", .int(Int64(code))), JSONMember("script_name", .string(script)),
        JSONMember("message", .string(message)), JSONMember("log", .string(log)),
      ]))
    let diagnostics: JSONValue = .object([
      JSONMember("Format", .string("JSON")), JSONMember("Payload", .string(String(decoding: payload, as: UTF8.self))),
    ])
    try await say(
      "PutHostCommandComplete",
      .object([
        JSONMember("HostCommandIdentifier", .string(command.id)),
        JSONMember("CommandStatus", .string(code == 0 ? "Succeeded" : "Failed")), JSONMember("Diagnostics", diagnostics),
      ]))
  }

  /// Works until nothing is due; fails in the event named. Answers what it did.
  @discardableResult
  func work(failing event: String? = nil) async throws -> [String] {
    var done: [String] = []
    while let command = try await poll() {
      done.append(command.name)
      let answer = try await acknowledge(command)
      XCTAssertEqual(answer, "InProgress")
      if command.name == event {
        try await complete(
          command, code: 4, script: "scripts/validate.sh",
          message: "Script at specified location: scripts/validate.sh failed with exit code 1",
          log: "LifecycleEvent - \(command.name)\nScript - scripts/validate.sh\n[stdout]checking\n[stderr]port 80 is closed\n")
      } else {
        try await complete(command)
      }
    }
    try await harness.drain()
    return done
  }
}
