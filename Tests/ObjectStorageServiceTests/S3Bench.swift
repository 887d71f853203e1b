import Durable
import FoundationEssentials
import RegionKit
import RegionStore
import RoadsteadTesting
import Synchronization
import WireModel
import XCTest

@testable import ObjectStorageService

/// Bytes in memory, counted, so that a test sees what is left behind.
final class MemoryContent: ObjectContent {
  private struct State {
    var files: [String: (bytes: [UInt8], written: Date)] = [:]
    var next = 0
  }
  private let state = Mutex(State())
  let clock: any RegionClock
  init(clock: any RegionClock) { self.clock = clock }

  var ids: Set<String> { state.withLock { Set($0.files.keys) } }
  func stored(_ id: String) -> [UInt8] { state.withLock { $0.files[id]?.bytes ?? [] } }
  func corrupt(_ id: String, at position: Int) { state.withLock { $0.files[id]?.bytes[position] ^= 1 } }
  func corrupt(_ id: String) { state.withLock { $0.files[id]?.bytes[0] ^= 1 } }
  func lose(_ id: String) { state.withLock { $0.files[id] = nil } }

  func write(_ stream: ByteStream) async throws -> String {
    var bytes: [UInt8] = []
    for try await piece in stream { bytes += piece }
    let all = bytes
    return state.withLock { state in
      state.next += 1
      let id = "file-\(state.next)"
      state.files[id] = (all, clock.now())
      return id
    }
  }
  func open(_ id: String, range: Range<Int64>?) async throws -> ByteStream {
    guard let bytes = state.withLock({ $0.files[id]?.bytes }) else { throw BytesMissing(id: id) }
    guard let range else { return ByteStream(bytes) }
    return ByteStream(Array(bytes[Int(range.lowerBound)..<Int(range.upperBound)]))
  }
  func delete(_ id: String) async throws { state.withLock { $0.files[id] = nil } }
  func ids(writtenBefore: Date) async throws -> [String] {
    state.withLock { $0.files.filter { $0.value.written < writtenBefore }.map(\.key) }
  }
}

/// Says yes, or no to what a test forbids; remembers every question.
final class ScriptedAuthorizer: Authorizer {
  private let state = Mutex((asked: [AuthorizationRequest](), denied: Set<String>()))
  var asked: [AuthorizationRequest] { state.withLock { $0.asked } }
  /// `action` or `action resource`.
  func deny(_ what: String) { state.withLock { _ = $0.denied.insert(what) } }
  func allowAll() { state.withLock { $0.denied = [] } }
  func forget() { state.withLock { $0.asked = [] } }

  func authorize(_ request: AuthorizationRequest, principal: Principal, facts: CallFacts) async throws {
    let refused = state.withLock { state in
      state.asked.append(request)
      return state.denied.contains(request.action) || state.denied.contains("\(request.action) \(request.resource)")
    }
    if refused { throw AWSError("AccessDenied", "no \(request.action) on \(request.resource)", status: 403) }
  }
}

/// One S3 with everything around it, called the way the gateway calls it.
struct S3Bench {
  static let account = AccountID("123456789012")
  static let other = AccountID("210987654321")
  let clock = VirtualClock()
  let store: any RegionStore
  let content: MemoryContent
  let service: ObjectStorageService
  let module: any ServiceModule
  let authorizer = ScriptedAuthorizer()

  init(store: (any RegionStore)? = nil, seed: UInt64 = 1, encryptionKey: [UInt8]? = [UInt8](repeating: 7, count: 32)) throws {
    self.store = try store ?? SQLiteStore(inMemory: clock)
    content = MemoryContent(clock: clock)
    service = ObjectStorageService(
      store: self.store, bytes: content, clock: clock, random: SeededRandomness(seed: seed), encryptionKey: encryptionKey)
    module = service.module
  }

  static func principal(_ account: AccountID, _ kind: Principal.Kind = .user) -> Principal {
    Principal(kind: kind, account: account, arn: "arn:aws:iam::\(account):user/tester", userId: "AIDATESTER")
  }

  func context(_ operation: String, account: AccountID = S3Bench.account, region: String = "us-east-1", kind: Principal.Kind = .user)
    -> Call
  {
    Call(
      requestId: "r", service: "s3", operation: operation, principal: Self.principal(account, kind), account: account,
      region: RegionName(region), clock: clock, random: SeededRandomness(seed: 9), authorizer: authorizer,
      facts: CallFacts(time: clock.now(), sourceIP: "127.0.0.1", userAgent: "test", secureTransport: false),
      endpointHost: "localhost:4566")
  }

  /// Authorises and runs an operation.
  @discardableResult
  func run(
    _ operation: String, _ input: [String: WireValue], account: AccountID = S3Bench.account, region: String = "us-east-1",
    kind: Principal.Kind = .user
  ) async throws -> [String: WireValue] {
    let call = context(operation, account: account, region: region, kind: kind)
    guard let handler = module.handlers[operation] else { throw AWSError.notImplemented(service: "s3", operation: operation) }
    for request in try await module.authorization(for: operation, input: input, call: call) { try await call.authorize(request) }
    return try await handler(input, call)
  }

  // Short forms

  func make(_ bucket: String, versioning: String? = nil) async throws {
    try await run("CreateBucket", ["Bucket": .string(bucket)])
    if let versioning { try await version(bucket, versioning) }
  }
  func version(_ bucket: String, _ status: String) async throws {
    try await run(
      "PutBucketVersioning", ["Bucket": .string(bucket), "VersioningConfiguration": .object(["Status": .string(status)])])
  }
  @discardableResult
  func put(_ bucket: String, _ key: String, _ bytes: [UInt8], _ more: [String: WireValue] = [:]) async throws -> [String: WireValue] {
    var input: [String: WireValue] = ["Bucket": .string(bucket), "Key": .string(key), "Body": .stream(ByteStream(bytes))]
    input.merge(more) { _, new in new }
    return try await run("PutObject", input)
  }
  func get(_ bucket: String, _ key: String, _ more: [String: WireValue] = [:]) async throws -> (fields: [String: WireValue], bytes: [UInt8])
  {
    var input: [String: WireValue] = ["Bucket": .string(bucket), "Key": .string(key)]
    input.merge(more) { _, new in new }
    let output = try await run("GetObject", input)
    guard case .stream(let stream)? = output["Body"] else { return (output, []) }
    return (output, try await stream.collect(limit: 1 << 30))
  }

  /// Runs the tasks that are due, as the task runner would, until none is left. Needs a store that lists them.
  func runTasks() async throws {
    guard let store = store as? any DurableStore else { return XCTFail("this store has no tasks") }
    try await Self.runTasks(of: service, store, clock)
  }

  static func runTasks(of service: ObjectStorageService, _ store: any DurableStore, _ clock: VirtualClock) async throws {
    for handler in service.taskHandlers {
      while true {
        let now = clock.now().addingTimeInterval(1)
        let claimed = try await store.claimTasks(
          ClaimRequest(kinds: [handler.kind], owner: "test", now: now, leaseUntil: now.addingTimeInterval(60), limit: 100))
        if claimed.tasks.isEmpty { break }
        for task in claimed.tasks {
          let seen = ClaimedTask(
            id: task.id, kind: task.kind, scope: task.scope, subject: task.subject, payload: task.payload,
            expectedVersion: task.expectedVersion, attempt: task.attempt)
          switch try await handler.run(seen) {
          case .done(let commit):
            guard let lease = task.lease else { return XCTFail("a claimed task has a lease") }
            try await store.commit(commit, ending: lease)
          case .later: return
          }
        }
      }
    }
  }
}

/// The error of a call, with its fields; fails when there is none.
@discardableResult
func assertError(
  _ code: String, status: Int? = nil, file: StaticString = #filePath, line: UInt = #line, _ body: () async throws -> Void
) async -> AWSError? {
  do {
    try await body()
    XCTFail("no error; expected \(code)", file: file, line: line)
    return nil
  } catch let error as AWSError {
    XCTAssertEqual(error.code, code, "\(error)", file: file, line: line)
    if let status { XCTAssertEqual(error.status, status, "\(error)", file: file, line: line) }
    return error
  } catch {
    XCTFail("\(error) instead of \(code)", file: file, line: line)
    return nil
  }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

extension [String: WireValue] {
  func text(_ name: String) -> String? { self[name]?.asString }
  func number(_ name: String) -> Int? { self[name]?.asInt.map(Int.init) }
  func flag(_ name: String) -> Bool? { if case .bool(let value)? = self[name] { value } else { nil } }
  func list(_ name: String) -> [[String: WireValue]] { self[name]?.asList?.compactMap(\.asObject) ?? [] }
  func object(_ name: String) -> [String: WireValue] { self[name]?.asObject ?? [:] }
  var keys_: [String] { list("Contents").compactMap { $0.text("Key") } }
  var prefixes: [String] { list("CommonPrefixes").compactMap { $0.text("Prefix") } }
}
