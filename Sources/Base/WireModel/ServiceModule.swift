public import RegionKit

/// What runs one operation: decoded and validated input in, output members out.
public typealias OperationHandler = @Sendable ([String: WireValue], Call) async throws -> [String: WireValue]

/// What a service registers with the gateway.
public protocol ServiceModule: Sendable {
  /// The trimmed model: every operation of the service, listed or not.
  var model: ServiceModel { get }
  /// The listed operations by name, from the generated `handlers(_:)` table.
  var handlers: [String: OperationHandler] { get }
  /// Which permissions an operation needs on which resources, decided before its handler runs. Empty only for operations that AWS
  /// itself leaves open to every signed caller (e.g. `sts:GetCallerIdentity`).
  func authorization(for operation: String, input: [String: WireValue], call: Call) async throws -> [AuthorizationRequest]
  /// The service's own error for input that breaks a constraint of the model; nil leaves it to the protocol (`ValidationException`,
  /// `ValidationError`, `InvalidParameterValue`, …). `model.exceptionByConvention` finds errors named after the member.
  func validationError(_ failures: [ValidationFailure], operation: String) -> AWSError?
}

extension ServiceModule {
  public func validationError(_ failures: [ValidationFailure], operation: String) -> AWSError? { nil }
}
