import Durable
import FoundationEssentials
import Ports
import RegionKit
import RegionStore
import RoadsteadTesting
import WireModel

@testable import CodeDeployService

let simAccount = AccountID("123456789012")
let simScope = Scope(account: simAccount, region: RegionName("us-east-1"))

/// EC2, IAM and S3 of a simulation: always there, never in the way. The subject is CodeDeploy and its agents.
struct SimPorts: InstanceDirectory, RolePort, ObjectReader, Authorizer {
  var hosts: [Ports.InstanceSummary]
  static let roleARN = "arn:aws:iam::123456789012:role/CodeDeployRole"

  func instances(in scope: Scope) async throws -> [Ports.InstanceSummary] { hosts }
  func instance(_ id: String, in scope: Scope) async throws -> Ports.InstanceSummary? { hosts.first { $0.instanceId == id } }
  func instanceProfile(_ name: String, account: AccountID) async throws -> InstanceProfileSummary? {
    InstanceProfileSummary(arn: name, id: "AIPA", name: "Web", roleName: "Web", roleARN: "arn:aws:iam::123456789012:role/Web")
  }
  func instanceCredentials(profileARN: String, instanceId: String, account: AccountID, lifetime: Double) async throws
    -> TemporaryCredentials
  { throw SimProblem("nobody asks for credentials here") }
  func canAssume(roleARN: String, service: String, account: AccountID) async throws -> Bool { true }
  func servicePrincipal(roleARN: String, service: String, sessionName: String, account: AccountID) async throws -> Principal {
    Principal(kind: .assumedRole, account: account, arn: roleARN, userId: "AROA", roleARN: roleARN)
  }
  func head(bucket: String, key: String, versionId: String?) async throws -> ObjectSummary? {
    ObjectSummary(bucket: bucket, key: key, versionId: nil, eTag: "\"e\"", size: 1)
  }
  func authorize(_ request: AuthorizationRequest, principal: Principal, facts: CallFacts) async throws {}
}

/// A broken invariant, in words.
struct SimProblem: Error, CustomStringConvertible {
  let description: String
  init(_ text: String) { description = text }
}

/// One life of the region's CodeDeploy.
final class SimRegion: SimulatedRegion {
  let service: CodeDeployService
  let ports: SimPorts
  let clock: VirtualClock
  let handlers: [any TaskHandler]

  init(_ store: any DurableStore, clock: VirtualClock, ports: SimPorts, seed: UInt64, signer: EnvelopeSigner) {
    var options = CodeDeployOptions()
    options.pollHold = 0
    self.ports = ports
    self.clock = clock
    service = CodeDeployService(
      store: store, clock: clock, random: SeededRandomness(seed: seed), instances: ports, roles: ports, objects: ports,
      signer: signer, options: options)
    handlers = service.taskHandlers
  }

  func call(_ operation: String, as principal: Principal) -> Call {
    Call(
      requestId: "r", service: "codedeploy", operation: operation, principal: principal, account: simAccount,
      region: simScope.region, clock: clock, random: service.engine.random, authorizer: ports,
      facts: CallFacts(time: clock.now(), sourceIP: nil, userAgent: nil, secureTransport: true), endpointHost: "localhost")
  }

  @discardableResult
  func api(_ operation: String, _ input: [String: WireValue]) async throws -> [String: WireValue] {
    guard let handler = service.module.handlers[operation] else { throw SimProblem("no operation \(operation)") }
    let root = Principal(kind: .root, account: simAccount, arn: "arn:aws:iam::123456789012:root", userId: "root")
    return try await handler(input, call(operation, as: root))
  }

  func agent(_ operation: String, _ host: String, _ body: [(String, JSONValue)]) async throws -> JSONValue {
    let principal = Principal(
      kind: .assumedRole, account: simAccount, arn: "arn:aws:sts::123456789012:assumed-role/Web/\(host)", userId: "AROA:\(host)",
      roleARN: "arn:aws:iam::123456789012:role/Web")
    let answer = try await service.commandService.handle(
      operation: operation, input: JSONWriter.write(.object(body.map { JSONMember($0.0, $0.1) })),
      call: call(operation, as: principal), agentVersion: "SIM_1.0")
    return try JSONReader.read(answer)
  }
}

/// What really happened on the hosts, seen by none of the region's parts.
final class SimTruth {
  struct Work: Hashable { var deployment: String, host: String, event: String }
  var executed: [Work: Int] = [:]
  /// Events in the order in which a host carried them out, by deployment and host.
  var order: [String: [String]] = [:]
  /// What was on record for an event after its first accepted report.
  var settled: [Work: EventRecord] = [:]
  var hostsStarted = 0
}
