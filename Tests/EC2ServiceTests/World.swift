import Durable
import EC2Service
import FakeDriver
import Foundation
import Logging
import Ports
import RegionKit
import RegionStore
import RoadsteadTesting
import Synchronization
import WireModel

let testScope = Scope(account: AccountID("123456789012"), region: RegionName("us-east-1"))

/// Allows everything but what a test forbids.
final class TestAuthorizer: Authorizer {
  let denied = Mutex<Set<String>>([])
  func authorize(_ request: AuthorizationRequest, principal: Principal, facts: CallFacts) async throws {
    if denied.withLock({ $0.contains(request.action) }) { throw AWSError("AccessDenied", "\(request.action) is denied", status: 403) }
  }
}

/// One instance profile, `web`, with a role; `empty` has none.
struct TestRoles: RolePort {
  let clock: any RegionClock
  func instanceProfile(_ nameOrARN: String, account: AccountID) async throws -> InstanceProfileSummary? {
    switch nameOrARN.split(separator: "/").last {
    case "web":
      InstanceProfileSummary(
        arn: "arn:aws:iam::\(account):instance-profile/web", id: "AIPAWEB", name: "web", roleName: "web",
        roleARN: "arn:aws:iam::\(account):role/web")
    case "empty":
      InstanceProfileSummary(
        arn: "arn:aws:iam::\(account):instance-profile/empty", id: "AIPAEMPTY", name: "empty", roleName: nil, roleARN: nil)
    default: nil
    }
  }
  func instanceCredentials(profileARN: String, instanceId: String, account: AccountID, lifetime: Double) async throws
    -> TemporaryCredentials
  {
    TemporaryCredentials(
      accessKeyId: "ASIATEST", secretAccessKey: "secret", sessionToken: "token-\(clock.now().timeIntervalSince1970)",
      expiration: clock.now().addingTimeInterval(lifetime))
  }
  func canAssume(roleARN: String, service: String, account: AccountID) async throws -> Bool { true }
  func servicePrincipal(roleARN: String, service: String, sessionName: String, account: AccountID) async throws -> Principal {
    Principal(kind: .service, account: account, arn: roleARN, userId: "service")
  }
}

final class TestMetadata: MetadataPublisher {
  let published = Mutex<[String: InstanceMetadata]>([:])
  func publish(_ metadata: InstanceMetadata) async throws { published.withLock { $0[metadata.instanceId] = metadata } }
  func withdraw(instanceId: String) async throws { published.withLock { _ = $0.removeValue(forKey: instanceId) } }
}

struct TestProvisioning: InstanceProvisioning {
  func setup(instanceId: String, scope: Scope) async throws -> InstanceSetup {
    InstanceSetup(files: [InstanceFile(path: "/etc/agent", content: [1])], agentCommand: ["/bin/agent"])
  }
}

/// What survives a crash of the region: the machines and their metadata.
struct Outside {
  let driver: FakeDriver
  let metadata = TestMetadata()
  init(clock: any RegionClock) { driver = FakeDriver(clock: clock, randomness: SeededRandomness(seed: 7)) }

  func service(_ store: any RegionStore, clock: any RegionClock, seed: UInt64 = 1) -> EC2Service {
    EC2Service(
      store: store, clock: clock, random: SeededRandomness(seed: seed), driver: driver, metadata: metadata,
      roles: TestRoles(clock: clock), provisioning: TestProvisioning(),
      network: DriverNetwork(cidr: "172.31.0.0/16", gatewayIP: "172.31.0.1"), homeIdentity: "test", logger: Logger(label: "test"),
      progress: { _ in })
  }
}

/// EC2 on a store in memory, called as the gateway calls it.
final class World: Sendable {
  let clock = VirtualClock(mode: .manual)
  let store: MemoryStore
  let outside: Outside
  let service: EC2Service
  let runner: TaskRunner
  let authorizer = TestAuthorizer()
  private let handlers: [String: OperationHandler]
  private let random = SeededRandomness(seed: 99)

  init() async throws {
    store = MemoryStore(clock: clock)
    outside = Outside(clock: clock)
    service = outside.service(store, clock: clock)
    handlers = service.module.handlers
    runner = TaskRunner(store: store, handlers: service.taskHandlers, clock: clock, randomness: SeededRandomness(seed: 3))
    try await runner.start()
  }

  func call(_ operation: String, _ input: [String: WireValue] = [:], region: String = "us-east-1") async throws -> [String: WireValue] {
    let principal = Principal(
      kind: .root, account: testScope.account, arn: "arn:aws:iam::123456789012:root", userId: "123456789012", accessKeyId: "AKIATEST")
    let call = Call(
      requestId: "r", service: "ec2", operation: operation, principal: principal, account: testScope.account,
      region: RegionName(region), clock: clock, random: random, authorizer: authorizer,
      facts: CallFacts(time: clock.now(), sourceIP: "127.0.0.1", userAgent: nil, secureTransport: false), endpointHost: "localhost")
    guard let handler = handlers[operation] else { throw AWSError("NoSuchHandler", operation) }
    return try await handler(input, call)
  }

  /// The error code of a call that must fail.
  func code(_ operation: String, _ input: [String: WireValue] = [:]) async -> String? {
    do {
      _ = try await call(operation, input)
      return nil
    } catch { return (error as? AWSError)?.code ?? String(describing: error) }
  }

  func image() async throws -> String {
    let images = try await call("DescribeImages")["Images"]?.asList ?? []
    return images.first?.asObject?["ImageId"]?.asString ?? ""
  }

  /// Runs instances and waits until all run. Answers their ids.
  func run(_ count: Int = 1, _ more: [String: WireValue] = [:]) async throws -> [String] {
    var input: [String: WireValue] = [
      "ImageId": .string(try await image()), "MinCount": .int(Int64(count)), "MaxCount": .int(Int64(count)),
    ]
    input.merge(more) { $1 }
    let ids = (try await call("RunInstances", input)["Instances"]?.asList ?? []).compactMap { $0.asObject?["InstanceId"]?.asString }
    for id in ids { try await wait(id, "running") }
    return ids
  }

  /// Waits for the runner to bring an instance to a state; it has no other work, so this ends soon or never.
  func wait(_ id: String, _ state: String) async throws {
    for _ in 0..<20_000 {
      if try await service.instance(id, in: testScope)?.state == state { return }
      await Task.yield()
    }
    throw AWSError("Timeout", "\(id) is \(try await service.instance(id, in: testScope)?.state ?? "gone"), not \(state)")
  }

  func instances(_ input: [String: WireValue] = [:]) async throws -> [[String: WireValue]] {
    (try await call("DescribeInstances", input)["Reservations"]?.asList ?? []).flatMap {
      ($0.asObject?["Instances"]?.asList ?? []).compactMap(\.asObject)
    }
  }
}

func strings(_ values: [String]) -> WireValue { .list(values.map { .string($0) }) }
func filter(_ name: String, _ values: String...) -> [String: WireValue] {
  ["Filters": .list([.object(["Name": .string(name), "Values": strings(values)])])]
}
func tagged(_ tags: [String: String], type: String = "instance") -> WireValue {
  .list([
    .object([
      "ResourceType": .string(type),
      "Tags": .list(tags.map { .object(["Key": .string($0.key), "Value": .string($0.value)]) }),
    ])
  ])
}
