public import FoundationEssentials

/// What is kept of a call. Holds no secrets: no signature, token, query or body.
public struct AuditRecord: Sendable, Codable, Equatable {
  public var time: Date
  public var requestId: String
  /// The service's model name and the operation; nil when the request named none.
  public var service: String?
  public var operation: String?
  public var region: String?
  public var account: String?
  /// Who called; nil when the signature was not accepted.
  public var principal: String?
  public var accessKeyId: String?
  public var sourceIP: String?
  public var userAgent: String?
  /// The resources whose permissions were asked for.
  public var resources: [String]
  public var status: Int
  public var errorCode: String?
  public var errorMessage: String?
  /// From the head's arrival to the answer's, in real milliseconds.
  public var milliseconds: Double
}

/// Where audit records go. Must not block.
public protocol AuditSink: Sendable {
  func record(_ record: AuditRecord)
}
