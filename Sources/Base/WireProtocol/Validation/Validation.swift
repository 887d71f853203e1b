public import RegionKit
public import WireModel

extension WireCodec {
  /// Checks a decoded input against the model. Throws the error that `translate` makes of the failures, else the protocol's own:
  /// `ValidationException` (json, rest-json, cbor), `ValidationError` (query), `MissingParameter` or `InvalidParameterValue` (ec2),
  /// `MalformedXML` or `InvalidArgument` (S3), `InvalidInput` (other rest-xml).
  public func validate(
    _ input: [String: WireValue], _ route: WireRoute, translate: (([ValidationFailure], String) -> AWSError?)? = nil
  ) throws {
    let failures = self.failures(input, route)
    guard let first = failures.first else { return }
    if let error = translate?(failures, route.operation.name) { throw error }
    throw validationError(failures, first, route)
  }

  /// Every constraint that an input breaks (at most a hundred), in the model's order.
  public func failures(_ input: [String: WireValue], _ route: WireRoute) -> [ValidationFailure] {
    guard let shape = model.inputShape(route.operation) else { return [] }
    var validator = Validator(model: model, patterns: patterns)
    validator.structure(input, shape)
    return validator.failures
  }

  /// Patterns of the model's shapes that cannot be checked, with the reason: they are skipped, and a test lists them.
  public var unusablePatterns: [String: String] {
    var out: [String: String] = [:]
    for text in Set(model.shapes.compactMap(\.pattern)) { out[text] = Pattern(text).problem }
    return out
  }

  private func validationError(_ failures: [ValidationFailure], _ first: ValidationFailure, _ route: WireRoute) -> AWSError {
    let message = ValidationFailure.message(failures)
    switch route.wireProtocol {
    case .json, .restJSON, .cbor: return AWSError("ValidationException", message)
    case .query: return AWSError("ValidationError", message)
    case .ec2:
      let reader = QueryReader(model: model, ec2: true)
      let name = model.inputShape(route.operation).map { reader.parameter(first.path, of: $0) } ?? first.path.joined(separator: ".")
      if first.kind == .required { return AWSError("MissingParameter", "The request must contain the parameter \(name)") }
      // The list of instance types alone has over a thousand names.
      let rule = first.constraint.utf8.count <= 300 ? first.constraint : first.constraint.prefix(280) + "…"
      let value = first.value.map { "Value (\($0))" } ?? "The value"
      return AWSError("InvalidParameterValue", "\(value) for parameter \(name) is invalid. \(rule).")
    case .restXML where model.isS3:
      let member = first.path.first.flatMap { model.inputShape(route.operation)?.member($0) }
      if member?.location == .body {
        if first.kind == .required, first.path.count == 1 {
          return AWSError("MissingRequestBodyError", "Request Body is empty: \(route.operation.name) needs \(first.path[0]).")
        }
        return AWSError(
          "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema: \(message)")
      }
      return AWSError("InvalidArgument", message, fields: ["ArgumentName": member?.locationName ?? first.path.first ?? ""])
    case .restXML: return AWSError("InvalidInput", message)
    }
  }
}
