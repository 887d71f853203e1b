import FoundationEssentials
import HTTPKit
import Ports
import RegionKit
import RequestSigning
import WireModel
import WireProtocol

// The whole request path, in order. Each step works on the journey and may throw; `Refusals.swift` makes the answer of what was thrown.
extension Gateway {
  func respond(to http: HTTPServerRequest) async -> HTTPServerResponse {
    var journey = Journey(http, requestId: parts.random.uuid(), started: parts.clock.now())  // 1  the request id
    if let own = await ownAnswer(journey) { return own }  //                                       2  is it Roadstead's own endpoint?
    do {
      try await locate(&journey)  //                                                               3  which service?
      try await findOperation(&journey)  //                                                        4  which operation?
      try await authenticate(&journey)  //                                                         5  SigV4, principal, the call's facts
      try await takeBody(&journey)  //                                                             6  body limit, payload checks
      let response: HTTPServerResponse
      if let commands = journey.endpoint?.commands {
        response = try await runCommand(commands, &journey)  //                                    7–11 for the agents' service
      } else {
        let input = try decode(journey)  //                                                        7  decode
        try validate(input, journey)  //                                                           8  validate against the model
        try await authorize(input, &journey)  //                                                   9  may the principal do it?
        let output = try await run(input, journey)  //                                             10 the handler
        response = try encode(output, journey)  //                                                 11 encode
      }
      audit(journey, status: response.status, error: nil)  //                                      12 audit record
      return response
    } catch {
      return refuse(error, journey)
    }
  }

  // MARK: 2

  /// Answers `/_roadstead/…`, and a bare look at `/` (browsers, health probes, the deploy agent's start-up check) without asking anybody.
  private func ownAnswer(_ journey: Journey) async -> HTTPServerResponse? {
    let path = journey.wire.path
    if path.hasPrefix("/_roadstead/") {
      let name = String(path.dropFirst("/_roadstead/".count))
      if let responder = parts.ownEndpoints[name] { return await responder(journey.http) }
      return plain(404, "There is no '\(name.prefix(100))' here.\n", journey)
    }
    guard path == "/", journey.wire.query.isEmpty, journey.http.method == "GET" || journey.http.method == "HEAD",
      journey.http.headers["authorization"] == nil, journey.http.headers["x-amz-target"] == nil, bucketInHost(journey) == nil
    else { return nil }
    return plain(404, "This is a Roadstead region's AWS endpoint. Point an AWS client at it: see 'roadstead env'.\n", journey)
  }

  private func bucketInHost(_ journey: Journey) -> String? {
    journey.http.headers["host"].flatMap { BucketHost.bucket(in: $0, hostNames: parts.hostNames) }
  }

  // MARK: 3

  private func locate(_ journey: inout Journey) async throws {
    var problem: SignatureProblem?
    do { journey.claim = try SignatureClaim.of(journey.signable) } catch { problem = error }
    let scopeService = journey.claim?.scope?.service ?? (journey.claim == nil ? nil : "s3")
    var found = directory.find(journey.wire, scopeService: scopeService, form: nil)
    if case .needsForm = found {
      let bytes = try await collect(&journey)
      found = directory.find(journey.wire, scopeService: scopeService, form: FormText.pairs(bytes))
    }
    switch found {
    case .endpoint(let endpoint): journey.endpoint = endpoint
    case .absent(let name): throw AbsentService(name: name)
    case .needsForm, .none: throw AbsentService(name: scopeService ?? "s3")
    }
    if journey.endpoint?.isS3 == true, let bucket = bucketInHost(journey) {
      journey.bucketInHost = bucket
      journey.wire.path = "/\(bucket)" + journey.wire.path
    }
    if let problem { throw journey.dialect.error(problem, claim: nil) }
  }

  // MARK: 4

  private func findOperation(_ journey: inout Journey) async throws {
    guard let endpoint = journey.endpoint, endpoint.module != nil else { return }
    switch endpoint.codec.wireProtocol(of: journey.wire) {
    case .query, .ec2: _ = try await collect(&journey)  // the operation's name is in the form
    case .json, .restJSON, .restXML, .cbor: break
    }
    guard let route = try endpoint.codec.route(journey.wire) else { throw endpoint.codec.unknownOperation(journey.wire) }
    journey.route = route
  }

  // MARK: 5

  private func authenticate(_ journey: inout Journey) async throws {
    guard let endpoint = journey.endpoint else { return }
    let dialect = journey.dialect
    let now = parts.clock.now()
    guard let claim = journey.claim else {
      guard endpoint.isS3 || journey.route?.operation.isUnsigned == true else { throw dialect.missing }
      return enter(&journey, as: Self.anonymous)
    }
    if let scope = claim.scope {
      guard endpoint.signingNames.contains(scope.service) else {
        let right = endpoint.signingNames.min() ?? endpoint.model.service
        throw dialect.wrongSignature("Credential should be scoped to correct service: '\(right)'.")
      }
    } else if !endpoint.isS3 {
      throw dialect.error(.unsupportedAlgorithm("AWS"), claim: claim)
    }
    do {
      try verifier.precheck(claim, journey.signable, now: now)
      let identity = try await parts.credentials.resolve(
        accessKeyId: claim.accessKeyId, sessionToken: claim.sessionToken, now: now)
      let payloadHash = try await payloadHash(claim, &journey)
      try verifier.verify(
        claim, journey.signable, secret: identity.secretAccessKey, payloadHash: payloadHash, bucketInHost: journey.bucketInHost)
      journey.secret = identity.secretAccessKey
      enter(&journey, as: identity.principal)
    } catch let problem as SignatureProblem {
      throw dialect.error(problem, claim: claim)
    } catch let problem as CredentialProblem {
      throw dialect.error(problem, accessKeyId: claim.accessKeyId)
    }
  }

  /// The last line of the canonical request. S3 signs what the head says of the body, so that a body can be checked while it streams;
  /// everything else signs the body itself.
  private func payloadHash(_ claim: SignatureClaim, _ journey: inout Journey) async throws -> String {
    guard claim.scope?.service == "s3" else { return claim.scope == nil ? "" : sha256Hex(try await collect(&journey)) }
    if claim.kind == .queryV4, !claim.signedHeaders.contains("x-amz-content-sha256") { return "UNSIGNED-PAYLOAD" }
    guard let text = journey.http.headers["x-amz-content-sha256"] else {
      throw AWSError("InvalidRequest", "Missing required header for this request: x-amz-content-sha256", status: 400)
    }
    return text
  }

  private static let anonymous = Principal(
    kind: .anonymous, account: AccountID("anonymous"), arn: "*", userId: "ANONYMOUS_PRINCIPAL")

  private func enter(_ journey: inout Journey, as principal: Principal) {
    let http = journey.http
    let region = journey.region.map { RegionName($0) } ?? parts.homeRegion
    journey.principal = principal
    journey.call = Call(
      requestId: journey.requestId, service: journey.endpoint?.model.service ?? "", operation: journey.operation ?? "",
      principal: principal, account: principal.account, region: region,
      clock: parts.clock, random: parts.random, authorizer: parts.authorizer,
      facts: CallFacts(
        time: journey.started, sourceIP: http.remoteAddress, userAgent: http.headers["user-agent"], secureTransport: http.isTLS,
        requestedRegion: region.rawValue),
      endpointHost: http.headers["host"] ?? "")
  }

  // MARK: 6

  private func takeBody(_ journey: inout Journey) async throws {
    guard let endpoint = journey.endpoint, !journey.collected else { return }
    guard endpoint.isS3 || journey.claim?.scope?.service == "s3" else {
      _ = try await collect(&journey)
      return
    }
    let stream = try openPayload(&journey)
    if let route = journey.route, endpoint.codec.streamsInput(of: route) {
      journey.wire.body = .stream(stream)
      journey.collected = true
      return
    }
    let bytes = try await collect(&journey, from: stream)
    try ContentMD5.check(journey.http.headers["content-md5"], bytes)
  }

  /// The body without aws-chunked framing; the headers that told of the framing tell of the object instead.
  private func openPayload(_ journey: inout Journey) throws -> ByteStream {
    let stated = journey.http.headers["x-amz-content-sha256"]
    let payload =
      journey.claim?.payload == .unsigned || journey.claim == nil ? SignatureClaim.Payload(header: stated) : journey.claim?.payload
    let (claim, secret) = (journey.claim, journey.secret)
    let plan = try PayloadPlan(payload: payload ?? .absent, request: journey.signable) {
      guard let claim, let secret else { return nil }
      return verifier.chunkSigning(claim, secret: secret)
    }
    if let framing = plan.framing {
      journey.wire.headers = journey.wire.headers.compactMap { name, value in
        switch name.lowercased() {
        case "content-length", "transfer-encoding": return nil
        case "content-encoding":
          let rest = value.split(separator: ",").map { $0.filter { $0 != " " } }.filter { $0.lowercased() != "aws-chunked" }
          return rest.isEmpty ? nil : (name, rest.joined(separator: ","))
        default: return (name, value)
        }
      }
      journey.wire.headers.append(("Content-Length", String(framing.decodedLength)))
    }
    return plan.open(journey.http)
  }

  /// The whole body, once.
  @discardableResult
  private func collect(_ journey: inout Journey, from stream: ByteStream? = nil) async throws -> [UInt8] {
    if journey.collected, case .bytes(let bytes) = journey.wire.body { return bytes }
    let limit = parts.limits.bodyBytes
    let body = stream ?? journey.http.body
    if let length = body.length, length > Int64(limit) { throw journey.dialect.tooLarge(limit) }
    var bytes: [UInt8] = []
    while let piece = try await body.nextPiece() {
      guard bytes.count + piece.count <= limit else { throw journey.dialect.tooLarge(limit) }
      if bytes.isEmpty { bytes = piece } else { bytes += piece }
    }
    journey.wire.body = .bytes(bytes)
    journey.collected = true
    return bytes
  }

  // MARK: 7 to 11

  private func decode(_ journey: Journey) throws -> [String: WireValue] {
    guard let endpoint = journey.endpoint, let route = journey.route else { return [:] }
    guard endpoint.module?.handlers[route.operation.name] != nil else {
      throw AWSError.notImplemented(service: endpoint.model.service, operation: route.operation.name)
    }
    return try endpoint.codec.decode(journey.wire, route)
  }

  private func validate(_ input: [String: WireValue], _ journey: Journey) throws {
    guard let endpoint = journey.endpoint, let route = journey.route else { return }
    try endpoint.codec.validate(input, route) { failures, operation in
      endpoint.module?.validationError(failures, operation: operation)
    }
  }

  private func authorize(_ input: [String: WireValue], _ journey: inout Journey) async throws {
    guard let module = journey.endpoint?.module, let route = journey.route, let call = journey.call else { return }
    let requests = try await module.authorization(for: route.operation.name, input: input, call: call)
    journey.resources = requests.map(\.resource)
    for request in requests { try await call.authorize(request) }
  }

  private func run(_ input: [String: WireValue], _ journey: Journey) async throws -> [String: WireValue] {
    guard let module = journey.endpoint?.module, let route = journey.route, let call = journey.call,
      let handler = module.handlers[route.operation.name]
    else { throw AWSError.internalFailure("no handler") }
    return try await handler(input, call)
  }

  private func encode(_ output: [String: WireValue], _ journey: Journey) throws -> HTTPServerResponse {
    guard let endpoint = journey.endpoint, let route = journey.route else { throw AWSError.internalFailure("no route") }
    return http(try endpoint.codec.encode(output, route, requestId: journey.requestId))
  }

  /// The agents' service reads and writes its own JSON; its signature, permissions and audit record are those of any call.
  private func runCommand(_ commands: CommandEndpoint, _ journey: inout Journey) async throws -> HTTPServerResponse {
    guard let call = journey.call, let operation = journey.commandOperation, case .bytes(let input) = journey.wire.body else {
      throw AWSError.internalFailure("no command")
    }
    let target = journey.http.headers["x-amz-target"]?.split(separator: ".").dropLast().last.map(String.init) ?? ""
    if let prefix = commands.targets[target] ?? nil {
      journey.resources = ["*"]
      try await call.authorize(AuthorizationRequest("\(prefix):\(operation)"))
    }
    let output = try await commands.handle(operation, input, call, journey.http.headers["x-amz-codedeploy-agent-version"])
    return HTTPServerResponse(
      status: 200, headers: ["Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": journey.requestId],
      body: ByteStream(output))
  }

  func http(_ response: WireResponse) -> HTTPServerResponse {
    let body: ByteStream
    switch response.body {
    case .bytes(let bytes): body = ByteStream(bytes)
    case .stream(let stream): body = stream
    }
    return HTTPServerResponse(
      status: response.status, headers: HTTPFields(response.headers.map { (name: $0.0, value: $0.1) }), body: body)
  }
}
