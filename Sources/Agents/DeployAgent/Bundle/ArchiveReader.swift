import CArchive
import Glibc

/// How much an archive may unpack to.
public struct ArchiveLimits: Sendable {
  /// Bytes of all files together.
  public var totalBytes: Int64
  public var entries: Int
  /// Components of one path.
  public var depth: Int
  public init(totalBytes: Int64 = 64 << 30, entries: Int = 1_000_000, depth: Int = 128) {
    self.totalBytes = totalBytes
    self.entries = entries
    self.depth = depth
  }
}

/// One entry's head, already checked: `path` stays below the archive's directory.
struct ArchiveEntry {
  enum Kind: Equatable {
    case file
    case directory
    case symlink(target: String)
    case hardlink(target: String)
  }
  /// Clean and relative; "" is the archive's own directory.
  var path: String
  var kind: Kind
  var mode: mode_t
  var owner: (user: uid_t, group: gid_t)?
  var modified: (seconds: Int, nanoseconds: Int)?
}

/// Reads a zip or tar archive entry by entry through libarchive; knows nothing of the disk it will land on.
final class ArchiveReader {
  private let archive: OpaquePointer
  private let type: DeploymentSpecification.BundleType
  private let limits: ArchiveLimits
  private var count = 0
  private var total: Int64 = 0

  init(path: String, type: DeploymentSpecification.BundleType, limits: ArchiveLimits) throws(AgentError) {
    guard let archive = archive_read_new() else { throw AgentError("Out of memory for reading an archive.") }
    self.archive = archive
    self.type = type
    self.limits = limits
    if type == .zip {
      archive_read_support_format_zip(archive)
    } else {
      archive_read_support_format_tar(archive)
      archive_read_support_format_gnutar(archive)
      // GNU tar, which the official agent calls, recognises these by itself; GitHub's tarballs are compressed ones.
      archive_read_support_filter_gzip(archive)
      archive_read_support_filter_bzip2(archive)
      archive_read_support_filter_xz(archive)
    }
    guard archive_read_open_filename(archive, path, 65_536) == ARCHIVE_OK else { throw broken() }
  }
  deinit { archive_read_free(archive) }

  /// The next entry, or nil at the end.
  func next() throws(AgentError) -> ArchiveEntry? {
    var pointer: OpaquePointer?
    let status = archive_read_next_header(archive, &pointer)
    if status == ARCHIVE_EOF {
      // A damaged compressed archive may look like an empty one.
      if archive_errno(archive) != 0 { throw broken() }
      return nil
    }
    guard status == ARCHIVE_OK || status == ARCHIVE_WARN, let entry = pointer else { throw broken() }
    count += 1
    guard count <= limits.entries else { throw AgentError("The bundle has more than \(limits.entries) entries, which is the limit.") }
    let name = try name(of: entry)
    if archive_entry_is_encrypted(entry) != 0 { throw AgentError("The bundle's entry \(name) is encrypted; bundles must not be.") }
    return ArchiveEntry(
      path: try clean(name), kind: try kind(of: entry, name), mode: mode_t(archive_entry_perm(entry)) & 0o7777, owner: owner(of: entry),
      modified: archive_entry_mtime_is_set(entry) == 0 ? nil : (Int(archive_entry_mtime(entry)), Int(archive_entry_mtime_nsec(entry))))
  }

  /// The current entry's content, piece by piece with its offset.
  func content(_ piece: (UnsafeRawBufferPointer, Int64) throws(AgentError) -> Void) throws(AgentError) {
    while true {
      var bytes: UnsafeRawPointer?
      var size = 0
      var offset: Int64 = 0
      let status = archive_read_data_block(archive, &bytes, &size, &offset)
      if status == ARCHIVE_EOF { return }
      // A warning here is a wrong checksum or length.
      guard status == ARCHIVE_OK, offset >= 0 else { throw broken() }
      total += Int64(size)
      guard total <= limits.totalBytes, offset <= limits.totalBytes else {
        throw AgentError("The bundle unpacks to more than \(limits.totalBytes) bytes, which is the limit.")
      }
      if let bytes, size > 0 { try piece(UnsafeRawBufferPointer(start: bytes, count: size), offset) }
    }
  }

  private func kind(of entry: OpaquePointer, _ name: String) throws(AgentError) -> ArchiveEntry.Kind {
    if let target = text(archive_entry_hardlink_utf8(entry)) ?? text(archive_entry_hardlink(entry)) {
      return .hardlink(target: try clean(target))
    }
    switch archive_entry_filetype(entry) {
    case S_IFREG: return .file
    case S_IFDIR: return .directory
    case S_IFLNK:
      guard let target = text(archive_entry_symlink_utf8(entry)) ?? text(archive_entry_symlink(entry)), !target.isEmpty else {
        throw AgentError("The bundle's link \(name) points to a name that is empty or not UTF-8.")
      }
      return .symlink(target: target)
    default: throw AgentError("The bundle's entry \(name) is a device, pipe or socket; only files, directories and links may be bundled.")
    }
  }

  private func owner(of entry: OpaquePointer) -> (user: uid_t, group: gid_t)? {
    guard type != .zip else { return nil }
    return (uid_t(truncatingIfNeeded: archive_entry_uid(entry)), gid_t(truncatingIfNeeded: archive_entry_gid(entry)))
  }

  private func name(of entry: OpaquePointer) throws(AgentError) -> String {
    guard let name = text(archive_entry_pathname_utf8(entry)) ?? text(archive_entry_pathname(entry)), !name.isEmpty else {
      throw AgentError("The bundle has an entry whose name is empty or not UTF-8.")
    }
    return name
  }

  private func clean(_ name: String) throws(AgentError) -> String {
    guard !name.hasPrefix("/"), !name.split(separator: "/").contains(".."), let clean = RelativePath.clean(name) else {
      throw AgentError("The bundle's entry \(name.prefix(300)) leads outside of the bundle; nothing was unpacked.")
    }
    let parts = clean.split(separator: "/")
    guard parts.count <= limits.depth, parts.allSatisfy({ $0.utf8.count <= 255 }) else {
      throw AgentError("The bundle's entry \(name.prefix(300)) is nested too deeply or too long.")
    }
    return clean
  }

  private func text(_ pointer: UnsafePointer<CChar>?) -> String? { pointer.flatMap { String(validatingCString: $0) } }

  private func broken() -> AgentError {
    let reason = archive_error_string(archive).map { String(cString: $0) } ?? "it is damaged"
    let code = archive_errno(archive)
    if code == ENOENT || code == EACCES { return AgentError("The bundle cannot be opened: \(reason)") }
    let name = type == .zip ? "zip" : "tar"
    return AgentError("Error extracting \(name) archive: the bundle is not an intact \(name) archive (\(reason)).")
  }
}
