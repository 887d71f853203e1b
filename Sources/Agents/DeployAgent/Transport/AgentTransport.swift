public import HTTPKit
public import RegionKit

/// One HTTP exchange of the agent. The signature, where one is needed, is already among the headers.
public struct AgentRequest: Sendable {
  public var method: String
  /// Absolute, percent-encoded.
  public var url: String
  public var headers: HTTPFields
  public var body: [UInt8]
  /// Real seconds to the last byte of the answer; `.infinity` for no limit.
  public var timeout: Double
  /// Real seconds that the server may stay silent.
  public var idleTimeout: Double = 80
  public init(method: String, url: String, headers: HTTPFields = HTTPFields(), body: [UInt8] = [], timeout: Double = 60) {
    self.method = method
    self.url = url
    self.headers = headers
    self.body = body
    self.timeout = timeout
  }
}

public struct AgentResponse: Sendable {
  public var status: Int
  public var headers: HTTPFields
  public var body: ByteStream
  public init(status: Int, headers: HTTPFields, body: ByteStream) {
    self.status = status
    self.headers = headers
    self.body = body
  }
}

/// How the agent reaches the world; tests hand in their own.
public protocol AgentTransport: Sendable {
  /// Sends a request and answers once the response head is there. Follows no redirects. Throws when nobody answers.
  func send(_ request: AgentRequest) async throws -> AgentResponse
}

/// Keys to sign with.
public struct AgentCredentials: Sendable, Equatable {
  public var accessKeyId: String
  public var secretAccessKey: String
  public var sessionToken: String?
  public init(accessKeyId: String, secretAccessKey: String, sessionToken: String? = nil) {
    self.accessKeyId = accessKeyId
    self.secretAccessKey = secretAccessKey
    self.sessionToken = sessionToken
  }
}

/// Where keys come from.
public protocol CredentialSource: Sendable {
  /// Keys that are valid now.
  func credentials() async throws -> AgentCredentials
  /// The keys just handed out were refused: the next call must ask their origin again.
  func refused() async
}

/// What an agent failure says; the text goes to the log or into diagnostics.
public struct AgentError: Error, Sendable, CustomStringConvertible, Equatable {
  public let message: String
  public var description: String { message }
  public init(_ message: String) { self.message = message }
}
