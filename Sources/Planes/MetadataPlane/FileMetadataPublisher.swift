import CInstance
import FoundationEssentials
import Glibc
public import Ports
internal import RegionKit

/// Publishes instance metadata as one file per instance below the region's home, which the metadata plane watches.
public struct FileMetadataPublisher: MetadataPublisher {
  private let directory: String

  /// Makes the directory, which only the region's user can read: the files hold credentials.
  public init(home: String) throws {
    directory = try MetadataFiles.directory(home: home)
  }

  public func publish(_ metadata: InstanceMetadata) async throws {
    let path = try file(metadata.instanceId)
    let bytes = Array(try JSONEncoder().encode(metadata))
    let result = rs_write_atomic(path, bytes, bytes.count, 0o600, 0)
    if result < 0 { throw MetadataFiles.failure("write \(path)", -result) }
  }

  public func withdraw(instanceId: String) async throws {
    let path = try file(instanceId)
    if unlink(path) < 0 && errno != ENOENT { throw MetadataFiles.failure("remove \(path)", errno) }
  }

  private func file(_ instanceId: String) throws -> String {
    guard MetadataFiles.isInstanceId(instanceId) else {
      throw AWSError("InvalidInstanceID.Malformed", "The instance id \(instanceId) is not well formed.")
    }
    return "\(directory)/\(instanceId).json"
  }
}

/// The plane's files, as publisher and plane agree on them.
enum MetadataFiles {
  static func directory(home: String) throws -> String {
    var path = home
    for part in [Substring("")] + MetadataAttachment.directory.split(separator: "/") {
      if !part.isEmpty { path += "/" + part }
      if mkdir(path, 0o700) < 0 && errno != EEXIST { throw failure("make the directory \(path)", errno) }
    }
    return path
  }

  static func isInstanceId(_ text: String) -> Bool {
    (1...64).contains(text.utf8.count) && text.utf8.allSatisfy { $0 == 0x2d || isalnum(Int32($0)) != 0 && $0 < 0x80 }
  }

  static func failure(_ what: String, _ code: Int32) -> AWSError {
    AWSError("InternalError", "Cannot \(what): \(String(cString: strerror(code))).", status: 500, fault: .receiver)
  }

  static func read(_ path: String) -> [UInt8]? {
    let fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard fd >= 0 else { return nil }
    defer { close(fd) }
    var out: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 65536)
    while true {
      let got = Glibc.read(fd, &piece, piece.count)
      if got < 0 && errno == EINTR { continue }
      if got <= 0 { return got < 0 ? nil : out }
      out.append(contentsOf: piece[..<got])
    }
  }

  static func names(in directory: String) -> [String]? {
    guard let stream = opendir(directory) else { return nil }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      names.append(
        withUnsafePointer(to: &entry.pointee.d_name) {
          $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        })
    }
    return names
  }
}
