/// The one error type that reaches a caller. `code` and shape are AWS's own; `message` names the thing, the rule and the next step.
public struct AWSError: Error, Sendable, CustomStringConvertible {
  /// Whose mistake it is, as the query protocol's `<Type>` says it.
  public enum Fault: String, Sendable { case sender = "Sender", receiver = "Receiver" }
  /// AWS's error code, e.g. `ApplicationDoesNotExistException`, `NoSuchBucket`.
  public let code: String
  /// The HTTP status; nil means: as the service model says for this code, else 400 for a sender fault and 500 for a receiver fault.
  public let status: Int?
  public let fault: Fault
  public let message: String
  /// Extra members of the error's structure, e.g. S3's `BucketName`.
  public let fields: [String: String]
  /// HTTP headers the answer carries besides the usual ones, e.g. `x-amz-bucket-region`.
  public let headers: [String: String]
  /// What lay underneath; written to the log, never sent to the caller.
  public let cause: (any Error)?

  public init(
    _ code: String, _ message: String, status: Int? = nil, fault: Fault = .sender, fields: [String: String] = [:],
    headers: [String: String] = [:], cause: (any Error)? = nil
  ) {
    self.code = code
    self.message = message
    self.status = status
    self.fault = fault
    self.fields = fields
    self.headers = headers
    self.cause = cause
  }

  public var description: String { "\(code): \(message)" + (cause.map { " (cause: \($0))" } ?? "") }

  /// A fault of the region itself. The message shown to callers says nothing of the cause; the log does.
  public static func internalFailure(_ message: String, cause: (any Error)? = nil) -> AWSError {
    AWSError("InternalFailure", message, status: 500, fault: .receiver, cause: cause)
  }
  /// The operation is in the service's model but not part of this region. 400, so that clients do not retry.
  public static func notImplemented(service: String, operation: String) -> AWSError {
    AWSError(
      "UnsupportedOperation",
      "\(service):\(operation) is not available in this Roadstead region. See docs/coverage.md for the operations that are.",
      status: 400)
  }
}
