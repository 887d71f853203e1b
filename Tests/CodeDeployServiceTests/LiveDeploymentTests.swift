import Durable
import Foundation
import RegionKit
import RegionStore
import RoadsteadTesting
import Synchronization
import WireModel
import XCTest

@testable import CodeDeployService

private final class Shared<Value: Sendable>: Sendable {
  private let mutex: Mutex<Value>
  init(_ value: Value) { mutex = Mutex(value) }
  func with<Answer: Sendable>(_ body: (inout Value) -> Answer) -> Answer { mutex.withLock { body(&$0) } }
}

/// The same machine with the real clock, the real runner and a store on disk. What takes how long is printed, never asserted.
/// `ROADSTEAD_LIVE_HOSTS=1000` tries a larger fleet.
final class LiveDeploymentTests: XCTestCase {
  /// One process of the region.
  private final class Process: Sendable {
    let service: CodeDeployService
    let runner: TaskRunner
    let store: SQLiteStore

    init(_ path: String, _ world: FakeWorld, _ signer: EnvelopeSigner) throws {
      store = try SQLiteStore(path: path)
      service = CodeDeployService(
        store: store, clock: SystemClock(), random: SystemRandomness(), instances: world, roles: world, objects: world, signer: signer)
      runner = TaskRunner(store: store, handlers: service.taskHandlers, clock: SystemClock(), randomness: SystemRandomness())
    }
  }

  private let world = FakeWorld()
  private var directory = ""

  override func setUpWithError() throws {
    directory = NSTemporaryDirectory() + "codedeploy-live-\(ProcessInfo.processInfo.globallyUniqueString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
  }
  override func tearDownWithError() throws { try FileManager.default.removeItem(atPath: directory) }

  private static func call(_ operation: String, _ world: FakeWorld, as principal: Principal) -> Call {
    let clock = SystemClock()
    return Call(
      requestId: "r", service: "codedeploy", operation: operation, principal: principal, account: account, region: scope.region,
      clock: clock, random: SystemRandomness(), authorizer: world,
      facts: CallFacts(time: clock.now(), sourceIP: nil, userAgent: nil, secureTransport: true), endpointHost: "localhost")
  }

  @discardableResult
  private func api(_ process: Process, _ operation: String, _ input: [String: WireValue]) async throws -> WireValue {
    let handler = try XCTUnwrap(process.service.module.handlers[operation])
    let root = Principal(kind: .root, account: account, arn: "arn:aws:iam::123456789012:root", userId: "root")
    return .object(try await handler(input, Self.call(operation, world, as: root)))
  }

  private func deployment(_ process: Process, _ id: String) async throws -> WireValue {
    try await api(process, "GetDeployment", ["deploymentId": .string(id)])["deploymentInfo"] ?? .null
  }

  private func prepare(_ process: Process, hosts: Int, config: String) async throws -> String {
    for index in 0..<hosts { world.add("i-\(index)") }
    try await api(process, "CreateApplication", ["applicationName": .string("app")])
    try await api(
      process, "CreateDeploymentGroup",
      [
        "applicationName": .string("app"), "deploymentGroupName": .string("web"), "serviceRoleArn": .string(roleARN),
        "deploymentConfigName": .string("CodeDeployDefault." + config),
        "ec2TagFilters": .list([.object(["Key": .string("app"), "Type": .string("KEY_ONLY")])]),
      ])
    return config
  }

  private func create(_ process: Process) async throws -> String {
    let output = try await api(
      process, "CreateDeployment",
      ["applicationName": .string("app"), "deploymentGroupName": .string("web"), "revision": Harness.revision()])
    return try XCTUnwrap(output["deploymentId"]?.asString)
  }

  /// Polls, acknowledges and completes until it is cancelled; tells what it carried out, and when.
  private static func agent(
    _ host: String, _ process: Process, _ world: FakeWorld, did: @escaping @Sendable (String) -> Void
  ) async throws {
    let principal = Principal(
      kind: .assumedRole, account: account, arn: "arn:aws:sts::123456789012:assumed-role/WebRole/\(host)", userId: "AROA",
      roleARN: "arn:aws:iam::123456789012:role/WebRole")
    func say(_ operation: String, _ body: [(String, JSONValue)]) async throws -> JSONValue {
      try JSONReader.read(
        try await process.service.commandService.handle(
          operation: operation, input: JSONWriter.write(.object(body.map { JSONMember($0.0, $0.1) })),
          call: call(operation, world, as: principal), agentVersion: "LIVE"))
    }
    while !Task.isCancelled {
      let identifier = "arn:aws:ec2:us-east-1:123456789012:instance/\(host)"
      let answer = try await say("PollHostCommand", [("HostIdentifier", .string(identifier))])
      guard let id = answer["HostCommand"]?["HostCommandIdentifier"] else { continue }
      let taken = try await say("PutHostCommandAcknowledgement", [("HostCommandIdentifier", id)])
      guard taken["CommandStatus"]?.asString == "InProgress" else { continue }
      did(answer["HostCommand"]?["CommandName"]?.asString ?? "")
      _ = try await say("PutHostCommandComplete", [("HostCommandIdentifier", id), ("CommandStatus", .string("Succeeded"))])
    }
  }

  private static func start(
    _ host: String, _ process: Process, _ world: FakeWorld, _ note: @escaping @Sendable (String, String) -> Void
  ) -> Task<Void, any Error> {
    Task { try await agent(host, process, world) { note(host, $0) } }
  }

  private func wait(_ process: Process, for id: String, until test: (String?) -> Bool) async throws {
    let end = ProcessInfo.processInfo.systemUptime + 60
    while !test(try await deployment(process, id)["status"]?.asString) {
      guard ProcessInfo.processInfo.systemUptime < end else { return XCTFail("\(id) does not end") }
      try await SystemClock().sleepReal(0.01)
    }
  }

  func testAFleetOverRealPolls() async throws {
    let process = try Process(directory + "/store", world, try XCTUnwrap(Harness.signer))
    try await process.runner.start()
    let hosts = ProcessInfo.processInfo.environment["ROADSTEAD_LIVE_HOSTS"].flatMap(Int.init) ?? 50
    _ = try await prepare(process, hosts: hosts, config: "AllAtOnce")
    let first = Shared<[String: Double]>([:])
    let note: @Sendable (String, String) -> Void = { host, _ in
      first.with { if $0[host] == nil { $0[host] = ProcessInfo.processInfo.systemUptime } }
    }
    let agents = (0..<hosts).map { Self.start("i-\($0)", process, world, note) }
    try await SystemClock().sleepReal(0.2)
    let began = ProcessInfo.processInfo.systemUptime
    let id = try await create(process)
    try await wait(process, for: id) { $0 == "Succeeded" || $0 == "Failed" }
    let ended = ProcessInfo.processInfo.systemUptime
    let status = try await deployment(process, id)["status"]?.asString
    XCTAssertEqual(status, "Succeeded")
    for agent in agents { agent.cancel() }
    await process.runner.shutdown()
    let waits = first.with { $0.values.map { $0 - began }.sorted() }
    XCTAssertEqual(waits.count, hosts)
    let figures = [waits.first ?? 0, waits[waits.count / 2], waits.last ?? 0, ended - began].map { String(format: "%.0f", $0 * 1000) }
    print("live: \(hosts) hosts; first event after \(figures[0]) ms, median \(figures[1]), last \(figures[2]); all done \(figures[3]) ms")
  }

  func testTheNextProcessGoesOn() async throws {
    let signer = try XCTUnwrap(Harness.signer)
    let old = try Process(directory + "/store", world, signer)
    try await old.runner.start()
    _ = try await prepare(old, hosts: 3, config: "OneAtATime")
    let id = try await create(old)
    let done = Shared<[String: [String]]>([:])
    let world = world
    let halfway = Shared(false)
    let note: @Sendable (String, String) -> Void = { host, event in
      done.with { $0[host, default: []].append(event) }
      if event == "Install" { halfway.with { $0 = true } }
    }
    let early = Self.start("i-0", old, world, note)
    while !halfway.with(\.self) { try await SystemClock().sleepReal(0.005) }
    // No goodbye: the process is gone as if killed; its runner and its polls are just never heard of again.
    early.cancel()
    _ = await early.result
    await old.runner.shutdown(grace: 0)

    let new = try Process(directory + "/store", world, signer)
    try await new.runner.start()
    let agents = (0..<3).map { Self.start("i-\($0)", new, world, note) }
    try await wait(new, for: id) { $0 != "InProgress" && $0 != "Created" }
    for agent in agents { agent.cancel() }
    await new.runner.shutdown()
    let status = try await deployment(new, id)["status"]?.asString
    XCTAssertEqual(status, "Succeeded")
    for host in ["i-0", "i-1", "i-2"] { XCTAssertEqual(done.with { $0[host] }, LifecycleOrder.plain, host) }
  }
}
