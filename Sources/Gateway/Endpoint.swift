import RegionKit
import WireModel
import WireProtocol

/// A service with its codec, as the gateway calls it.
struct Endpoint: Sendable {
  enum Kind: Sendable {
    case module(any ServiceModule)
    case commands(CommandEndpoint)
  }
  let kind: Kind
  let codec: WireCodec
  /// What a credential scope may name for this service.
  let signingNames: Set<String>

  init(_ module: any ServiceModule) {
    kind = .module(module)
    codec = WireCodec(model: module.model)
    signingNames = [module.model.metadata.signingName, module.model.metadata.endpointPrefix, module.model.service]
  }

  init(_ commands: CommandEndpoint) {
    kind = .commands(commands)
    codec = WireCodec(model: commands.model)
    signingNames = commands.signingNames
  }

  var model: ServiceModel { codec.model }
  var isS3: Bool { model.isS3 }
  var module: (any ServiceModule)? { if case .module(let module) = kind { module } else { nil } }
  var commands: CommandEndpoint? { if case .commands(let commands) = kind { commands } else { nil } }
}

/// Finds the service a request is for.
struct EndpointDirectory: Sendable {
  let endpoints: [Endpoint]
  private let byTarget: [String: Endpoint]
  private let bySigningName: [String: [Endpoint]]
  private let byVersion: [String: Endpoint]
  let s3: Endpoint?

  init(services: [any ServiceModule], commands: [CommandEndpoint]) {
    let endpoints = services.map { Endpoint($0) } + commands.map { Endpoint($0) }
    self.endpoints = endpoints
    var byTarget: [String: Endpoint] = [:]
    var byName: [String: [Endpoint]] = [:]
    var byVersion: [String: Endpoint] = [:]
    for endpoint in endpoints {
      if let commands = endpoint.commands {
        for target in commands.targets.keys { byTarget[target] = endpoint }
      } else {
        let metadata = endpoint.model.metadata
        if let prefix = metadata.targetPrefix?.split(separator: ".").last { byTarget[String(prefix)] = endpoint }
        if metadata.protocols.contains(.query) || metadata.protocols.contains(.ec2) { byVersion[metadata.apiVersion] = endpoint }
      }
      for name in endpoint.signingNames { byName[name, default: []].append(endpoint) }
    }
    self.byTarget = byTarget
    bySigningName = byName
    self.byVersion = byVersion
    s3 = endpoints.first { $0.isS3 }
  }

  /// The outcome of a look at the head.
  enum Found {
    case endpoint(Endpoint)
    /// Only the form in the body tells.
    case needsForm
    /// The request names a service that is not here.
    case absent(String)
    case none
  }

  /// Each step decides or falls through. `scopeService`: what the credential scope names, if there is one.
  func find(_ request: WireRequest, scopeService: String?, form: [(String, String)]?) -> Found {
    if let target = request.header("x-amz-target") {
      // SDKs differ in what stands before these two components.
      let parts = target.split(separator: ".")
      let prefix = parts.count >= 2 ? String(parts[parts.count - 2]) : ""
      return byTarget[prefix].map { .endpoint($0) } ?? .absent(scopeService ?? prefix)
    }
    if request.path.hasPrefix("/service/"), request.header("smithy-protocol") != nil {
      let name = request.path.split(separator: "/").dropFirst().first.map(String.init) ?? ""
      return byTarget[name].map { .endpoint($0) } ?? .absent(name)
    }
    let formInQuery = request.method == "GET" && request.query.contains("Action=")
    let isForm = formInQuery || (request.header("content-type")?.hasPrefix("application/x-www-form-urlencoded") ?? false)
    if let scopeService {
      guard let candidates = bySigningName[scopeService] else { return .absent(scopeService) }
      if candidates.count == 1 { return .endpoint(candidates[0]) }
      if let only = restChoice(candidates, request) { return .endpoint(only) }
    }
    if isForm, let version = version(request, form) {
      return byVersion[version].map { .endpoint($0) } ?? .absent(scopeService ?? "the query API of version \(version)")
    }
    if isForm && form == nil && request.method == "POST" && request.path == "/" { return .needsForm }
    if let rest = endpoints.first(where: { $0.module != nil && !$0.isS3 && isREST($0) && (try? $0.codec.route(request)) ?? nil != nil }) {
      return .endpoint(rest)
    }
    return s3.map { .endpoint($0) } ?? .none
  }

  private func isREST(_ endpoint: Endpoint) -> Bool {
    endpoint.model.metadata.protocols.contains { $0 == .restJSON || $0 == .restXML }
  }

  /// S3 and S3 Control share a signing name.
  private func restChoice(_ candidates: [Endpoint], _ request: WireRequest) -> Endpoint? {
    guard let s3 = candidates.first(where: \.isS3), let control = candidates.first(where: { !$0.isS3 }) else { return nil }
    return request.path.hasPrefix("/v20180820/") ? control : s3
  }

  private func version(_ request: WireRequest, _ form: [(String, String)]?) -> String? {
    if let form, let version = form.first(where: { $0.0 == "Version" })?.1 { return version }
    return FormText.value("Version", in: request.query)
  }
}

/// A look into form-encoded text for one plain value; the codec decodes the rest.
enum FormText {
  static func value(_ name: String, in text: some StringProtocol) -> String? {
    for part in text.split(separator: "&") {
      let pair = part.split(separator: "=", maxSplits: 1)
      if pair.count == 2, pair[0] == name { return String(pair[1]) }
    }
    return nil
  }

  static func pairs(_ bytes: [UInt8]) -> [(String, String)] {
    let text = String(decoding: bytes, as: UTF8.self)
    return ["Action", "Version"].compactMap { name in value(name, in: text).map { (name, $0) } }
  }
}
