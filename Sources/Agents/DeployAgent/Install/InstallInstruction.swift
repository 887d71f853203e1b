import FoundationEssentials
import Glibc

/// One step of an Install, in the form that install.json keeps.
public enum InstallInstruction: Sendable, Equatable {
  case copy(source: String, destination: String)
  case mkdir(directory: String)
  case chmod(mode: String, file: String)
  case setfacl(acl: [String], file: String)
  case semanage(context: SecurityContext, file: String)
  case chown(owner: String?, group: String?, file: String)
}

extension InstallInstruction: Encodable {
  private enum Key: String, CodingKey {
    case type, source, destination, directory, mode, file, acl, context, owner, group, user, role, range
  }
  public func encode(to encoder: any Encoder) throws {
    var c = encoder.container(keyedBy: Key.self)
    switch self {
    case .copy(let source, let destination):
      try c.encode("copy", forKey: .type)
      try c.encode(source, forKey: .source)
      try c.encode(destination, forKey: .destination)
    case .mkdir(let directory):
      try c.encode("mkdir", forKey: .type)
      try c.encode(directory, forKey: .directory)
    case .chmod(let mode, let file):
      try c.encode("chmod", forKey: .type)
      try c.encode(mode, forKey: .mode)
      try c.encode(file, forKey: .file)
    case .setfacl(let acl, let file):
      try c.encode("setfacl", forKey: .type)
      try c.encode(acl, forKey: .acl)
      try c.encode(file, forKey: .file)
    case .semanage(let context, let file):
      try c.encode("semanage", forKey: .type)
      var inner = c.nestedContainer(keyedBy: Key.self, forKey: .context)
      try inner.encode(context.user, forKey: .user)
      try inner.encodeNil(forKey: .role)
      try inner.encode(context.type, forKey: .type)
      try inner.encode(context.range, forKey: .range)
      try c.encode(file, forKey: .file)
    case .chown(let owner, let group, let file):
      try c.encode("chown", forKey: .type)
      try c.encode(owner, forKey: .owner)
      try c.encode(group, forKey: .group)
      try c.encode(file, forKey: .file)
    }
  }
}

/// All of an Install: copies and directories first, then permissions in the AppSpec's order.
public struct InstallPlan: Sendable, Equatable, Encodable {
  public internal(set) var instructions: [InstallInstruction] = []

  func json() throws(AgentError) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
    do { return String(decoding: try encoder.encode(self), as: UTF8.self) } catch {
      throw AgentError("The installation instructions cannot be written as JSON: \(error)")
    }
  }
}

/// What the planner may know of a disk; the real one is `LocalFiles`, tests hand in a dictionary.
public protocol FileView {
  /// Kind of the object itself, not of what a link points to; nil when there is nothing.
  func kind(_ path: String) -> FileKind?
  /// Kind of what a link leads to; nil for a dangling one.
  func resolvedKind(_ path: String) -> FileKind?
  /// Names in a directory in a fixed order.
  func names(_ path: String) throws(AgentError) -> [String]
  /// Permission bits of what a link leads to.
  func mode(_ path: String) -> UInt32?
  /// The path without links, for telling loops.
  func identity(_ path: String) -> String?
}
public enum FileKind: Sendable, Equatable { case file, directory, symlink, other }

struct LocalFiles: FileView {
  func kind(_ path: String) -> FileKind? { Disk.kind(path).map(Self.translate) }
  func resolvedKind(_ path: String) -> FileKind? { Disk.stat(path).map(Disk.kind).map(Self.translate) }
  func names(_ path: String) throws(AgentError) -> [String] { try Disk.names(path) }
  func mode(_ path: String) -> UInt32? { Disk.stat(path).map { UInt32($0.st_mode & 0o7777) } }
  func identity(_ path: String) -> String? { Disk.realPath(path) }
  private static func translate(_ kind: Disk.Kind) -> FileKind {
    switch kind {
    case .file: .file
    case .directory: .directory
    case .symlink: .symlink
    case .other: .other
    }
  }
}
