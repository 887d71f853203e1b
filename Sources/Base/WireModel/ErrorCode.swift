public import RegionKit

/// An error that a service's model declares, thrown as
/// `throw CodeDeployErrors.applicationDoesNotExistException("No application found for …")`.
public struct ErrorCode: Sendable, Hashable {
  /// The code as it stands on the wire, which is not always the shape's name.
  public let code: String
  public let status: Int
  public let fault: AWSError.Fault
  public init(_ code: String, status: Int, fault: AWSError.Fault = .sender) {
    self.code = code
    self.status = status
    self.fault = fault
  }

  /// The error with a message that names the thing, the rule and the next step.
  public func callAsFunction(
    _ message: String, fields: [String: String] = [:], headers: [String: String] = [:], cause: (any Error)? = nil
  ) -> AWSError {
    AWSError(code, message, status: status, fault: fault, fields: fields, headers: headers, cause: cause)
  }
}

/// The input or output of an operation whose model has none: `Obj<NoMembers>`.
public enum NoMembers {}
