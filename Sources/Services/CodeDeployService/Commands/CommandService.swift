import FoundationEssentials
public import RegionKit
import RegionStore
import WireModel

/// The service that deploy agents poll (`CodeDeployCommandService_v20141006`).
///
/// How a lifecycle event runs at most once on a host, though agents have no memory of commands and any message may be lost:
/// - Each delivery of a due command carries a fresh mark. The first acknowledgement stores its mark with the command; the answer to
///   any other mark is `Succeeded`, which makes an agent forget the command without running it. An acknowledged command is never
///   handed out again, whatever becomes of the agent or the region.
/// - So a command that was handed out and not acknowledged may safely be handed out again: after `redeliveryAfter`, or, when the agent
///   has fetched the specification meanwhile, after `redeliveryAfterSpecification`. A newer poll of a host replaces an older one.
/// - The first report of a command ends its event; later ones (v1 sends a failure twice) are answered and change nothing. A report
///   without an acknowledgement counts, unless another delivery was acknowledged.
public struct CodeDeployCommandService: Sendable {
  let engine: DeploymentEngine
  let signer: EnvelopeSigner
  private let envelopes = EnvelopeCache()

  init(engine: DeploymentEngine, signer: EnvelopeSigner) {
    self.engine = engine
    self.signer = signer
  }

  /// Runs one operation on a JSON body. `agentVersion` is the request's `x-amz-codedeploy-agent-version`.
  /// Throws `ClientException` for a body that is none of this service's, `AccessDeniedException` when the caller is not the host.
  public func handle(operation: String, input: [UInt8], call: Call, agentVersion: String?) async throws -> [UInt8] {
    guard let handler = CodeDeployCommandsWire.handlers(self)[operation] else {
      throw AWSError.notImplemented(service: "codedeploy-commands", operation: operation)
    }
    let json: JSONValue
    do {
      json = input.isEmpty ? .object([]) : try JSONReader.read(input, maxDepth: 32)
    } catch {
      throw AWSError("ClientException", "The body is not JSON: \(error).")
    }
    guard case .object(let fields) = CommandJSON.wire(json) else { throw AWSError("ClientException", "The body is not a JSON object.") }
    let output = try await AgentVersion.$current.withValue(agentVersion.map { String($0.prefix(256)) }) {
      try await handler(fields, call)
    }
    return JSONWriter.write(CommandJSON.json(.object(output)))
  }
}

/// The agent's version, which travels in a header and so is no member of any input.
enum AgentVersion {
  @TaskLocal static var current: String?
}

extension CodeDeployCommandService: CodeDeployCommandsAPI {
  func pollHostCommand(_ input: Obj<PollHostCommandInput>, _ call: Call) async throws -> Obj<PollHostCommandOutput> {
    let host = try await engine.identify(try required(input.fields["HostIdentifier"], "HostIdentifier"), call: call)
    try await engine.noteContact(host.key, version: AgentVersion.current)
    let found = try await poll(host)
    return Obj { output in
      guard let found else { return }
      output[.hostCommand] = Obj {
        $0[.hostCommandIdentifier] = found.text
        $0[.hostIdentifier] = found.hostIdentifier
        $0[.deploymentExecutionId] = found.executionId.text
        $0[.commandName] = found.command
        $0.fields["Nonce"] = .int(Int64(found.position))
      }
    }
  }

  /// Holds the poll until work is due, the time is up or a newer poll of the host replaces it.
  private func poll(_ host: IdentifiedHost) async throws -> CommandIdentifier? {
    let clock = engine.clock
    let epoch = engine.presence.beginPoll(host.key, now: clock.now())
    defer { engine.presence.endPoll(host.key, now: clock.now()) }
    engine.signals.wake(host.key)
    let deadline = clock.deadline(afterReal: engine.options.pollHold)
    while engine.presence.isNewest(epoch, host.key) {
      let ticket = engine.signals.ticket(host.key)
      let (command, next) = try await due(host)
      if let command { return command }
      let now = clock.now()
      if now >= deadline { return nil }
      let until = min(deadline, next ?? deadline)
      await engine.signals.wait(host.key, after: ticket, seconds: until.timeIntervalSince(now), clock: clock)
      try Task.checkCancellation()
    }
    return nil
  }

  /// The command that is due for a host, or when one that was handed out may be handed out again.
  private func due(_ host: IdentifiedHost) async throws -> (CommandIdentifier?, Date?) {
    let (scope, id) = (host.key.scope, host.key.hostId)
    guard let held = try await engine.store.get(HostRecord.self, in: scope, id: id),
      let target = try await engine.target(held.value.heldBy, id, in: scope)?.value, let run = target.run,
      run.acknowledgement == nil, !LifecycleOrder.isServerSide(target.events[run.position].name)
    else { return (nil, nil) }
    let now = engine.clock.now()
    if let earlier = engine.presence.delivery(host.key), earlier.deploymentId == target.deploymentId,
      earlier.position == run.position
    {
      let again =
        earlier.specified.map { $0.addingTimeInterval(engine.options.redeliveryAfterSpecification) }
        ?? earlier.time.addingTimeInterval(engine.options.redeliveryAfter)
      if now < again { return (nil, again) }
    }
    // Not into a connection that is known to be dead.
    try Task.checkCancellation()
    engine.presence.delivered(
      AgentPresence.Delivery(deploymentId: target.deploymentId, position: run.position, time: now), to: host.key)
    let command = CommandIdentifier(
      executionId: ExecutionIdentifier(deploymentId: target.deploymentId, scope: scope), hostIdentifier: host.identifier,
      command: target.events[run.position].name, position: run.position + 1, delivery: engine.random.hex(12))
    return (command, nil)
  }

  func getDeploymentSpecification(
    _ input: Obj<GetDeploymentSpecificationInput>, _ call: Call
  ) async throws -> Obj<GetDeploymentSpecificationOutput> {
    let host = try await engine.identify(try required(input.fields["HostIdentifier"], "HostIdentifier"), call: call)
    try await engine.noteContact(host.key, version: AgentVersion.current)
    let text = try required(input.fields["DeploymentExecutionId"], "DeploymentExecutionId")
    guard let execution = ExecutionIdentifier(text), execution.scope == call.scope,
      try await engine.target(execution.deploymentId, host.key.hostId, in: call.scope) != nil,
      let deployment = try await engine.deployment(execution.deploymentId, in: call.scope)?.value
    else { throw AWSError("ClientException", "DeploymentNotFound: \(text) is no deployment of host \(host.identifier).") }
    engine.presence.specified(execution.deploymentId, host.key, now: engine.clock.now())
    let payload = try envelopes.envelope("\(call.scope)/\(execution.deploymentId)") {
      try signer.sign(DeploymentSpecificationJSON.bytes(deployment), time: engine.clock.now())
    }
    return Obj { output in
      output[.deploymentSystem] = "CodeDeploy"
      output[.deploymentSpecification] = Obj {
        $0[.genericEnvelope] = Obj {
          $0[.format] = "PKCS7/JSON"
          $0[.payload] = payload
        }
      }
    }
  }

  func putHostCommandAcknowledgement(
    _ input: Obj<PutHostCommandAcknowledgementInput>, _ call: Call
  ) async throws -> Obj<PutHostCommandAcknowledgementOutput> {
    let (command, host) = try await command(input.fields["HostCommandIdentifier"], call)
    let answer: AcknowledgementAnswer = try await engine.settle {
      guard let stored = try await engine.target(command.executionId.deploymentId, host.key.hostId, in: call.scope) else {
        return (nil, .drop)
      }
      var target = stored.value
      let answer = target.acknowledge(position: command.position - 1, delivery: command.delivery, now: engine.clock.now())
      guard target != stored.value else { return (nil, answer) }
      var commit = StoreCommit()
      try await engine.write(target, was: stored, into: &commit)
      return (commit, answer)
    }
    // `Succeeded` makes an agent forget the command without a word.
    return Obj { $0[.commandStatus] = answer == .execute ? .inProgress : .succeeded }
  }

  func putHostCommandComplete(_ input: Obj<PutHostCommandCompleteInput>, _ call: Call) async throws -> Obj<NoMembers> {
    let (command, host) = try await command(input.fields["HostCommandIdentifier"], call)
    let status = try required(input.fields["CommandStatus"], "CommandStatus")
    guard status == "Succeeded" || status == "Failed" else {
      throw AWSError("ClientException", "CommandStatus is \(status); a complete command is Succeeded or Failed.")
    }
    let payload = input.fields["Diagnostics"]?.asObject?["Payload"]?.asString
    let diagnostics = ReportedDiagnostics.read(payload, succeeded: status == "Succeeded")
    let hasMore: Bool = try await engine.settle {
      guard let stored = try await engine.target(command.executionId.deploymentId, host.key.hostId, in: call.scope) else {
        return (nil, false)
      }
      var target = stored.value
      let counts = target.report(
        position: command.position - 1, delivery: command.delivery, succeeded: status == "Succeeded", diagnostics: diagnostics,
        now: engine.clock.now())
      guard counts else { return (nil, false) }
      var commit = StoreCommit()
      try await engine.write(target, was: stored, into: &commit)
      return (commit, target.run != nil)
    }
    if hasMore { engine.signals.wake(host.key) }
    return Obj()
  }

  func postHostCommandUpdate(
    _ input: Obj<PostHostCommandUpdateInput>, _ call: Call
  ) async throws -> Obj<PostHostCommandUpdateOutput> {
    let (command, host) = try await command(input.fields["HostCommandIdentifier"], call)
    let target = try await engine.target(command.executionId.deploymentId, host.key.hostId, in: call.scope)?.value
    let isMine = target?.run.map {
      $0.position == command.position - 1 && $0.acknowledgement.map { $0.delivery == command.delivery } ?? true
    }
    return Obj { $0[.commandStatus] = isMine == true ? .inProgress : .succeeded }
  }

  /// The command behind an identifier, after the caller proved to be its host.
  private func command(_ field: WireValue?, _ call: Call) async throws -> (CommandIdentifier, IdentifiedHost) {
    let text = try required(field, "HostCommandIdentifier")
    guard let command = CommandIdentifier(text), command.executionId.scope == call.scope else {
      throw AWSError("ClientException", "HostCommandIdentifier is none that this region gave out.")
    }
    let host = try await engine.identify(command.hostIdentifier, call: call)
    try await engine.noteContact(host.key, version: AgentVersion.current)
    return (command, host)
  }

  private func required(_ field: WireValue?, _ name: String) throws -> String {
    guard let text = field?.asString, !text.isEmpty else { throw AWSError("ClientException", "\(name) is required.") }
    return text
  }
}

/// JSON and wire values, one to one: the command service has no blobs or dates that it reads.
enum CommandJSON {
  static func wire(_ json: JSONValue) -> WireValue {
    switch json {
    case .null: .null
    case .bool(let value): .bool(value)
    case .int(let value): .int(value)
    case .double(let value): .double(value)
    case .string(let value): .string(value)
    case .array(let values): .list(values.map(wire))
    case .object(let members): .object(members.reduce(into: [:]) { $0[$1.name] = wire($1.value) })
    }
  }
  static func json(_ wire: WireValue) -> JSONValue {
    switch wire {
    case .null, .blob, .stream: .null
    case .bool(let value): .bool(value)
    case .int(let value): .int(value)
    case .double(let value): .double(value)
    case .string(let value): .string(value)
    case .timestamp(let value): .double(value.timeIntervalSince1970)
    case .list(let values): .array(values.map(json))
    case .object(let members): .object(members.sorted { $0.key < $1.key }.map { JSONMember($0.key, json($0.value)) })
    }
  }
}
