public import HTTPKit
public import Logging
public import Ports
public import RegionKit
public import RequestSigning
public import WireModel

/// What a gateway is made of.
public struct GatewayParts: Sendable {
  public var services: [any ServiceModule]
  public var commandEndpoints: [CommandEndpoint] = []
  /// Endpoints of Roadstead's own, by path below `/_roadstead/` (an underscore is illegal in bucket names): `health`.
  public var ownEndpoints: [String: HTTPResponder] = [:]
  public var credentials: any CredentialResolver
  public var authorizer: any Authorizer
  public var audit: any AuditSink
  public var clock: any RegionClock
  public var random: any Randomness
  public var logger: Logger
  /// Host names of this region's endpoint. A request to `BUCKET.<name>` or `BUCKET.s3.<name>` means that bucket.
  public var hostNames: [String] = ["localhost", "amazonaws.com"]
  /// The region of calls that no credential scope places: anonymous ones and S3's Signature Version 2.
  public var homeRegion: RegionName
  public var limits = GatewayLimits()
  public var window = Verifier.Window()

  public init(
    services: [any ServiceModule], credentials: any CredentialResolver, authorizer: any Authorizer, audit: any AuditSink,
    clock: any RegionClock, random: any Randomness, homeRegion: RegionName, logger: Logger
  ) {
    self.services = services
    self.credentials = credentials
    self.authorizer = authorizer
    self.audit = audit
    self.clock = clock
    self.random = random
    self.homeRegion = homeRegion
    self.logger = logger
  }
}

public struct GatewayLimits: Sendable {
  /// The largest request body, in bytes, that is collected before its handler runs. Streamed ones (S3 PutObject, UploadPart) have the
  /// limits of their service.
  public var bodyBytes = 10 * 1024 * 1024
  public init() {}
}

/// A JSON 1.1 service that is no model's: the one deploy agents poll.
public struct CommandEndpoint: Sendable {
  /// Runs one operation on the request's JSON body and answers the response's. Throws `AWSError`.
  public typealias Handler =
    @Sendable (_ operation: String, _ input: [UInt8], _ call: Call, _ agentVersion: String?) async throws -> [UInt8]

  /// Names the service and shapes its errors.
  public let model: ServiceModel
  /// What may stand before the operation in `X-Amz-Target`, with the IAM service prefix whose permission a call then needs; nil where
  /// the signature suffices.
  public let targets: [String: String?]
  /// The services a credential scope may name.
  public let signingNames: Set<String>
  public let handle: Handler

  public init(model: ServiceModel, targets: [String: String?], signingNames: Set<String>, handle: @escaping Handler) {
    self.model = model
    self.targets = targets
    self.signingNames = signingNames
    self.handle = handle
  }

  /// The endpoint of the CodeDeploy agents. Its `-secure` form checks `codedeploy-commands-secure:<Operation>`, as AWS does.
  public static func codeDeploy(model: ServiceModel, handle: @escaping Handler) -> CommandEndpoint {
    CommandEndpoint(
      model: model,
      targets: ["CodeDeployCommandService_v20141006": nil, "CodeDeployCommandService": "codedeploy-commands-secure"],
      signingNames: ["codedeploy-commands", "codedeploy-commands-fips", "codedeploy-commands-secure", "codedeploy-commands-secure-fips"],
      handle: handle)
  }
}
