/// An application specification file as read; every rule of the format has been checked.
public struct AppSpec: Equatable, Sendable {
  /// What happens when a file is already at its destination.
  public enum FileExistsBehavior: String, Sendable, CaseIterable {
    case disallow = "DISALLOW"
    case overwrite = "OVERWRITE"
    case retain = "RETAIN"
  }
  public struct File: Equatable, Sendable {
    /// Relative to the unpacked revision; a leading slash means its top.
    public var source: String
    /// A directory, absolute.
    public var destination: String
  }
  public struct Script: Equatable, Sendable {
    /// Relative to the unpacked revision, as written.
    public var location: String
    /// Seconds; at least 1.
    public var timeout: Int
    /// The user to run as; an empty name means root, as `su ''` does.
    public var runas: String?
    public var sudo: Bool
  }

  public var version: Double = 0
  public var os = "linux"
  public var files: [File] = []
  public var fileExistsBehavior: FileExistsBehavior?
  /// By event name, scripts in order. Unknown names are kept; nobody runs them.
  public var hooks: [String: [Script]] = [:]
  public var permissions: [Permission] = []
  /// What parses but surely is not meant, e.g. an unquoted octal mode. For the log.
  public var warnings: [String] = []

  public init() {}
}

/// One entry of `permissions`.
public struct Permission: Equatable, Sendable {
  public enum Kind: String, Sendable, CaseIterable {
    case file
    case directory
  }
  /// The path on the instance.
  public var object: String
  public var pattern = "**"
  public var except: [String] = []
  public var kinds: [Kind] = [.file, .directory]
  public var owner: Name?
  public var group: Name?
  /// 3 or 4 octal digits.
  public var mode: String?
  public var acls: [ACLEntry] = []
  public var context: SecurityContext?

  /// An owner or group as written; a number is a mistake that shows at Install only.
  public struct Name: Equatable, Sendable {
    public var text: String
    public var isNumber: Bool
  }
}

/// Why an AppSpec is refused.
public struct AppSpecError: Error, Equatable, Sendable, CustomStringConvertible {
  public let message: String
  public var description: String { message }
  init(_ message: String) { self.message = message }
  static func because(_ reason: String) -> AppSpecError { AppSpecError("The deployment failed because \(reason)") }
}
