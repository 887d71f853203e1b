import FoundationEssentials
import IdentityService
import Ports
import RegionKit
import RegionStore
import RoadsteadTesting
import WireModel
import XCTest

extension WireValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  init(stringLiteral value: String) { self = .string(value) }
  init(integerLiteral value: Int64) { self = .int(value) }
  init(booleanLiteral value: Bool) { self = .bool(value) }
  init(arrayLiteral elements: WireValue...) { self = .list(elements) }
  init(dictionaryLiteral elements: (String, WireValue)...) {
    self = .object(Dictionary(elements, uniquingKeysWith: { $1 }))
  }
  /// A member by path: `answer["Role", "Arn"]`.
  subscript(_ path: String...) -> WireValue {
    path.reduce(self) { value, name in
      if let index = Int(name), let list = value.asList { return index < list.count ? list[index] : .null }
      return value.asObject?[name] ?? .null
    }
  }
  var text: String { asString ?? "<not a string: \(self)>" }
  var isTrue: Bool { if case .bool(true) = self { true } else { false } }
}

/// A store, the service on it, and calls as the gateway makes them: authorization first, then the handler.
struct TestRegion: Sendable {
  let clock: VirtualClock
  let store: any RegionStore
  let service: IdentityService
  let account: AccountID
  let root: Principal
  let rootKey: (id: String, secret: String)

  static let trustEC2 = Self.trust("{\"Service\":\"ec2.amazonaws.com\"}")
  static func trust(_ principal: String, condition: String = "") -> String {
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\(principal),\"Action\":\"sts:AssumeRole\""
      + (condition.isEmpty ? "" : ",\"Condition\":\(condition)") + "}]}"
  }
  static func allow(_ action: String, on resource: String = "*") -> String {
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"\(action)\",\"Resource\":\"\(resource)\"}]}"
  }
  static func deny(_ action: String, on resource: String = "*") -> String {
    allow(action, on: resource).replacing("Allow", with: "Deny")
  }

  init(seed: UInt64 = 1, store: (any RegionStore)? = nil) async throws {
    let clock = VirtualClock()
    self.clock = clock
    self.store = store ?? MemoryStore(clock: clock)
    service = IdentityService(
      store: self.store, clock: clock, random: SeededRandomness(seed: seed), sealingKey: [UInt8](repeating: 7, count: 32),
      passwordRounds: 10)
    let made = try await service.createAccount(name: "main", id: AccountID("123456789012"))
    account = made.account
    rootKey = (made.accessKeyId, made.secretAccessKey)
    root = try await service.resolve(accessKeyId: made.accessKeyId, sessionToken: nil, now: clock.now()).principal
  }

  var facts: CallFacts {
    CallFacts(time: clock.now(), sourceIP: "127.0.0.1", userAgent: "test", secureTransport: false, requestedRegion: "us-east-1")
  }

  func call(_ service: String, _ operation: String, as principal: Principal) -> Call {
    Call(
      requestId: "r", service: service, operation: operation, principal: principal, account: principal.account,
      region: RegionName("us-east-1"), clock: clock, random: SeededRandomness(seed: 9), authorizer: self.service, facts: facts,
      endpointHost: "localhost:4566")
  }

  @discardableResult
  func run(
    _ module: any ServiceModule, _ name: String, _ operation: String, _ input: [String: WireValue], as principal: Principal?
  ) async throws -> WireValue {
    let call = call(name, operation, as: principal ?? root)
    guard let handler = module.handlers[operation] else { throw AWSError.notImplemented(service: name, operation: operation) }
    for request in try await module.authorization(for: operation, input: input, call: call) { try await call.authorize(request) }
    return .object(try await handler(input, call))
  }

  @discardableResult
  func iam(_ operation: String, _ input: [String: WireValue] = [:], as principal: Principal? = nil) async throws -> WireValue {
    try await run(service.iam, "iam", operation, input, as: principal)
  }

  @discardableResult
  func sts(_ operation: String, _ input: [String: WireValue] = [:], as principal: Principal? = nil) async throws -> WireValue {
    try await run(service.sts, "sts", operation, input, as: principal)
  }

  /// Makes a user with a key and signs in as it.
  func user(_ name: String, policy: String? = nil) async throws -> Principal {
    try await iam("CreateUser", ["UserName": .string(name)])
    if let policy {
      try await iam("PutUserPolicy", ["UserName": .string(name), "PolicyName": "p", "PolicyDocument": .string(policy)])
    }
    return try await signIn(name)
  }

  func signIn(_ name: String) async throws -> Principal {
    let key = try await iam("CreateAccessKey", ["UserName": .string(name)])
    return try await service.resolve(accessKeyId: key["AccessKey", "AccessKeyId"].text, sessionToken: nil, now: clock.now())
      .principal
  }

  /// The principal behind the `Credentials` of an answer.
  func principal(_ answer: WireValue) async throws -> Principal {
    let credentials = answer["Credentials"]
    return try await service.resolve(
      accessKeyId: credentials["AccessKeyId"].text, sessionToken: credentials["SessionToken"].text, now: clock.now()
    ).principal
  }

  func may(_ principal: Principal, _ action: String, on resource: String = "*", policy: String? = nil) async -> Bool {
    do {
      try await service.authorize(
        AuthorizationRequest(action, on: resource, resourcePolicy: policy), principal: principal, facts: facts)
      return true
    } catch { return false }
  }
}

/// Fails unless `body` throws an AWSError with this code; returns its message.
@discardableResult
func expect(
  _ code: String, status: Int? = nil, containing text: String? = nil, file: StaticString = #filePath, line: UInt = #line,
  _ body: () async throws -> some Any
) async -> String {
  do {
    _ = try await body()
    XCTFail("expected \(code), but it succeeded", file: file, line: line)
    return ""
  } catch let error as AWSError {
    XCTAssertEqual(error.code, code, error.message, file: file, line: line)
    if let status { XCTAssertEqual(error.status, status, file: file, line: line) }
    if let text { XCTAssertTrue(error.message.contains(text), error.message, file: file, line: line) }
    return error.message
  } catch {
    XCTFail("expected \(code), got \(error)", file: file, line: line)
    return ""
  }
}
