public import RegionKit

/// A member of a request that breaks a constraint of the model.
public struct ValidationFailure: Sendable, Hashable {
  public enum Kind: Sendable, Hashable {
    case required
    /// Too long or short, too many or few; bounds inclusive.
    case length
    /// A number out of range.
    case range
    case pattern
    case enumeration
  }
  public let kind: Kind
  /// Member names from the input down, as the model spells them; list positions (from 1) and map keys stand between.
  public let path: [String]
  /// The shape whose constraint is broken, or the shape of the missing member.
  public let shapeName: String
  /// `Member must have length less than or equal to 100`.
  public let constraint: String
  /// `Value 'x' at 'applicationName'`, without the value where it is sensitive.
  public let subject: String
  /// The offending value as text, cut when long; nil when it is missing or sensitive.
  public let value: String?

  public init(kind: Kind, path: [String], shapeName: String, constraint: String, subject: String, value: String? = nil) {
    self.value = value
    self.kind = kind
    self.path = path
    self.shapeName = shapeName
    self.constraint = constraint
    self.subject = subject
  }

  public var text: String { "\(subject) failed to satisfy constraint: \(constraint)" }

  /// AWS's sentence for several failures: `2 validation errors detected: …; …`.
  public static func message(_ failures: [ValidationFailure]) -> String {
    let count = failures.count == 1 ? "1 validation error detected: " : "\(failures.count) validation errors detected: "
    return count + failures.map(\.text).joined(separator: "; ")
  }
}

extension ServiceModel {
  /// For services with an exception per member (CodeDeploy, CodeCommit): `ApplicationNameRequiredException` for a missing
  /// `applicationName`, `InvalidApplicationNameException` for a bad one. Looks among the errors that the operation declares, from the
  /// member outward, by the member's name and by its shape's.
  public func exceptionByConvention(_ failure: ValidationFailure, operation: String) -> AWSError? {
    guard let errors = operations[operation]?.errors else { return nil }
    let names = [failure.shapeName] + failure.path.reversed().filter { Int($0) == nil }
    for name in failure.path.isEmpty ? names : [names.count > 1 ? names[1] : names[0], names[0]] + names.dropFirst(2) {
      let capital = name.prefix(1).uppercased() + name.dropFirst()
      let candidates =
        failure.kind == .required
        ? ["\(capital)RequiredException", "Invalid\(capital)Exception"] : ["Invalid\(capital)Exception"]
      if let found = candidates.first(where: errors.contains) {
        let shape = shape(named: found)
        return AWSError(shape?.errorCode ?? found, "\(failure.text).", status: shape?.errorStatus)
      }
    }
    return nil
  }
}
