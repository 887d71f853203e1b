public import HTTPKit
import RegionKit
import RequestSigning

/// The region's front door: turns HTTP requests into calls of services. The way a request takes is in `RequestPath.swift`.
public struct Gateway: Sendable {
  let parts: GatewayParts
  let directory: EndpointDirectory
  let verifier: Verifier

  public init(_ parts: GatewayParts) {
    self.parts = parts
    directory = EndpointDirectory(services: parts.services, commands: parts.commandEndpoints)
    verifier = Verifier(window: parts.window)
  }

  /// What the HTTP server calls.
  public var responder: HTTPResponder { { request in await self.respond(to: request) } }
}
