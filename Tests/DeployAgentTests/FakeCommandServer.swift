import FoundationEssentials
import HTTPKit
import RegionKit
import RequestSigning
import XCTest

@testable import DeployAgent

/// The command service and an S3 of its own, written from the protocol's description: checks every signature, holds polls until there is
/// work, keeps what it was told.
actor FakeCommandServer {
  struct Completion: Sendable, Equatable {
    var command: String
    var status: String
    var code: Int
    var script: String
    var message: String
    var log: String
  }
  struct Command: Sendable {
    var id: String
    var name: String
    var execution: String
    var host: String
  }

  static let host = "arn:aws:iam::123456789012:user/CodeDeploy/host-1"
  static let keys = (id: "AKIDEXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
  let signer: TestSigner
  private(set) var url = ""
  private var server: HTTPServer?
  private var waiting: [Command] = []
  private var poller: (id: Int, continuation: CheckedContinuation<Void, Never>)?
  private var polls = 0
  var specifications: [String: String] = [:]
  var objects: [String: [UInt8]] = [:]
  private(set) var acks: [(command: String, noop: Bool)] = []
  private(set) var completions: [Completion] = []
  private(set) var problems: [String] = []
  private(set) var versions: Set<String> = []
  private(set) var delivered: [String: Date] = [:]
  private(set) var acked: [String: Date] = [:]
  private var completionWaiters: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
  /// What the acknowledgement answers; nil: nothing.
  var ackStatus: String? = "InProgress"
  /// This many requests of an operation are answered 500 first.
  var failing: [String: Int] = [:]
  var holdPolls = true

  /// The one host that this service knows.
  let host: String
  /// Temporary keys come with this.
  let sessionToken: String?

  init(host: String = FakeCommandServer.host, sessionToken: String? = nil) throws {
    signer = try TestSigner()
    self.host = host
    self.sessionToken = sessionToken
  }

  func start(tls: HTTPServerTLS? = nil) async throws {
    let server = try await HTTPServer.start(bind: .host("127.0.0.1", port: 0), tls: tls, clock: SystemClock(), logger: silent) {
      [weak self] request in await self?.respond(request) ?? HTTPServerResponse(status: 500)
    }
    self.server = server
    url = "\(tls == nil ? "http" : "https")://127.0.0.1:\(server.port ?? 0)"
  }
  func stop() async {
    wakePoller()
    await server?.shutdown(grace: 0)
  }

  func set(ack: String?) { ackStatus = ack }
  func fail(_ operation: String, times: Int) { failing[operation] = times }
  func put(_ path: String, _ bytes: [UInt8]) { objects[path] = bytes }
  func specify(_ execution: String, _ json: String) { specifications[execution] = json }
  func hold(_ value: Bool) { holdPolls = value }

  /// Gives a command to the next poll.
  func send(_ id: String, _ name: String, _ execution: String, host: String? = nil) {
    waiting.append(Command(id: id, name: name, execution: execution, host: host ?? self.host))
    wakePoller()
  }
  /// Waits until so many completions have come; gives up after a while, so that a failing test ends.
  func completed(_ count: Int) async -> [Completion] {
    if completions.count < count {
      let patience = Task {
        try await SystemClock().sleepReal(15)
        self.releaseWaiters()
      }
      await withCheckedContinuation { completionWaiters.append((count, $0)) }
      patience.cancel()
    }
    return completions
  }
  private func releaseWaiters() {
    for waiter in completionWaiters { waiter.continuation.resume() }
    completionWaiters = []
  }
  func acknowledged(_ id: String) async {
    for _ in 0..<500 where acked[id] == nil { try? await SystemClock().sleepReal(0.02) }
  }
  var pollCount: Int { polls }

  private func wakePoller() {
    poller?.continuation.resume()
    poller = nil
  }

  private func respond(_ request: HTTPServerRequest) async -> HTTPServerResponse {
    let body = (try? await request.body.collect(limit: 1 << 20)) ?? []
    if let problem = check(request, body) {
      problems.append(problem)
      return answer(403, #"{"__type":"com.amazon#UnrecognizedClientException","message":"\#(problem)"}"#)
    }
    if request.method == "GET" { return object(request.target) }
    guard let target = request.headers["X-Amz-Target"], target.hasPrefix("CodeDeployCommandService_v20141006.") else {
      return answer(400, #"{"__type":"UnknownOperationException"}"#)
    }
    versions.insert(request.headers["x-amz-codedeploy-agent-version"] ?? "")
    let operation = String(target.dropFirst("CodeDeployCommandService_v20141006.".count))
    if let left = failing[operation], left > 0 {
      failing[operation] = left - 1
      return answer(500, #"{"__type":"ServerException","message":"try again"}"#)
    }
    return await perform(operation, body)
  }

  private func check(_ request: HTTPServerRequest, _ body: [UInt8]) -> String? {
    let signable = SignableRequest(method: request.method, target: request.target, headers: request.headers.entries)
    do {
      guard let claim = try SignatureClaim.of(signable) else { return "unsigned" }
      guard request.headers["X-Amz-Security-Token"] == sessionToken else { return "wrong session token" }
      let service = request.method == "GET" ? "s3" : "codedeploy-commands"
      guard claim.scope?.service == service, claim.scope?.region == "eu-test-1" else { return "wrong scope" }
      if service != "s3" {
        for name in ["content-type", "host", "x-amz-codedeploy-agent-version", "x-amz-date", "x-amz-target"]
        where !claim.signedHeaders.contains(name) { return "\(name) is not signed" }
      }
      let verifier = RequestSigning.Verifier()
      try verifier.precheck(claim, signable, now: SystemClock().now())
      try verifier.verify(claim, signable, secret: Self.keys.secret, payloadHash: sha256Hex(body))
      return nil
    } catch { return "\(error)" }
  }

  private func object(_ target: String) -> HTTPServerResponse {
    guard let bytes = objects[target] else {
      return HTTPServerResponse(
        status: 404,
        body: ByteStream(Array("<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>".utf8)))
    }
    return HTTPServerResponse(status: 200, headers: ["ETag": "\"etag-1\""], body: ByteStream(bytes))
  }

  private struct Input: Decodable {
    struct Envelope: Decodable { var Format, Payload: String }
    var HostIdentifier, DeploymentExecutionId, HostCommandIdentifier, CommandStatus: String?
    var Diagnostics: Envelope?
  }

  private func perform(_ operation: String, _ body: [UInt8]) async -> HTTPServerResponse {
    guard let input = try? JSONDecoder().decode(Input.self, from: Data(body)) else {
      return answer(400, #"{"__type":"ClientException","message":"not JSON"}"#)
    }
    switch operation {
    case "PollHostCommand": return await poll(input)
    case "GetDeploymentSpecification":
      guard input.HostIdentifier == host, let json = input.DeploymentExecutionId.flatMap({ specifications[$0] }),
        let envelope = try? signer.envelope(json)
      else { return answer(400, #"{"__type":"ClientException","message":"no such deployment"}"#) }
      let payload = envelope.payload.replacing("\n", with: "\\n")
      return answer(
        200,
        #"{"DeploymentSystem":"CodeDeploy","DeploymentSpecification":{"GenericEnvelope":{"Format":"PKCS7/JSON","Payload":"\#(payload)"}}}"#
      )
    case "PutHostCommandAcknowledgement":
      let id = input.HostCommandIdentifier ?? ""
      guard input.Diagnostics?.Format == "JSON" else { return answer(400, #"{"__type":"ClientException"}"#) }
      acks.append((id, input.Diagnostics?.Payload == #"{"IsCommandNoop":true}"#))
      acked[id] = SystemClock().now()
      return answer(200, ackStatus.map { #"{"CommandStatus":"\#($0)"}"# } ?? "{}")
    case "PutHostCommandComplete": return complete(input)
    default: return answer(400, #"{"__type":"UnknownOperationException"}"#)
    }
  }

  private func poll(_ input: Input) async -> HTTPServerResponse {
    guard input.HostIdentifier == host else { return answer(400, #"{"__type":"ClientException","message":"host"}"#) }
    polls += 1
    let id = polls
    if waiting.isEmpty, holdPolls {
      wakePoller()
      await withTaskCancellationHandler {
        await withCheckedContinuation { poller = (id, $0) }
      } onCancel: {
        Task { await self.abandon(id) }
      }
    }
    guard !waiting.isEmpty, !Task.isCancelled else { return answer(200, "{}") }
    let command = waiting.removeFirst()
    delivered[command.id] = SystemClock().now()
    return answer(
      200,
      #"{"HostCommand":{"HostCommandIdentifier":"\#(command.id)","HostIdentifier":"\#(command.host)","#
        + #""DeploymentExecutionId":"\#(command.execution)","CommandName":"\#(command.name)","Nonce":1}}"#
    )
  }
  private func abandon(_ id: Int) { if poller?.id == id { wakePoller() } }

  private func complete(_ input: Input) -> HTTPServerResponse {
    struct Payload: Decodable {
      var error_code: Int
      var script_name, message, log: String
    }
    guard let id = input.HostCommandIdentifier, let status = input.CommandStatus, input.Diagnostics?.Format == "JSON",
      let payload = input.Diagnostics.flatMap({ try? JSONDecoder().decode(Payload.self, from: Data($0.Payload.utf8)) })
    else { return answer(400, #"{"__type":"ClientException"}"#) }
    completions.append(
      Completion(
        command: id, status: status, code: payload.error_code, script: payload.script_name, message: payload.message, log: payload.log))
    for waiter in completionWaiters where completions.count >= waiter.count { waiter.continuation.resume() }
    completionWaiters.removeAll { completions.count >= $0.count }
    return answer(200, "{}")
  }

  private func answer(_ status: Int, _ json: String) -> HTTPServerResponse {
    HTTPServerResponse(status: status, headers: ["Content-Type": "application/x-amz-json-1.1"], body: ByteStream(Array(json.utf8)))
  }
}
