import CPosixFiles

#if canImport(Musl)
  import Musl
#else
  import Glibc
#endif

extension FileError {
  /// True when the file is not there.
  var isMissing: Bool { code == ENOENT }
}

/// The machine's file system.
public struct PosixFileLayer: FileLayer {
  public init() {}

  static func failure(_ operation: String, _ path: String) -> FileError {
    let code = errno
    return FileError(operation: operation, path: path, code: code, reason: String(cString: strerror(code)))
  }

  public func makeDirectory(_ path: String) throws(FileError) -> Bool {
    if mkdir(path, 0o700) == 0 { return true }
    if errno == EEXIST { return false }
    throw Self.failure("mkdir", path)
  }
  public func create(_ path: String) throws(FileError) -> any WritableFile {
    let file = Glibc.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    if file < 0 { throw Self.failure("create", path) }
    return PosixWritableFile(file, path)
  }
  public func open(_ path: String) throws(FileError) -> any ReadableFile {
    let file = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    if file < 0 { throw Self.failure("open", path) }
    var status = stat()
    guard fstat(file, &status) == 0 else {
      defer { close(file) }
      throw Self.failure("stat", path)
    }
    return PosixReadableFile(file, path, size: Int64(status.st_size))
  }
  public func rename(_ path: String, to: String) throws(FileError) {
    if Glibc.rename(path, to) != 0 { throw Self.failure("rename", path) }
  }
  public func remove(_ path: String) throws(FileError) -> Bool {
    if unlink(path) == 0 { return true }
    if errno == ENOENT { return false }
    throw Self.failure("remove", path)
  }
  public func syncDirectory(_ path: String) throws(FileError) {
    let directory = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if directory < 0 { throw Self.failure("open", path) }
    defer { close(directory) }
    if fsync(directory) != 0 { throw Self.failure("fsync", path) }
  }
  public func list(_ path: String) throws(FileError) -> [FileEntry] {
    guard let directory = opendir(path) else { throw Self.failure("list", path) }
    defer { closedir(directory) }
    var entries: [FileEntry] = []
    errno = 0
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      var status = stat()
      if name != ".", name != "..", fstatat(dirfd(directory), name, &status, AT_SYMLINK_NOFOLLOW) == 0,
        status.st_mode & S_IFMT == S_IFREG
      {
        let changed = Double(status.st_mtim.tv_sec) + Double(status.st_mtim.tv_nsec) / 1e9
        entries.append(FileEntry(name: name, size: Int64(status.st_size), changed: changed))
      }
      errno = 0
    }
    if errno != 0 { throw Self.failure("list", path) }
    return entries
  }
}

final class PosixWritableFile: WritableFile, @unchecked Sendable {
  // Used by one caller at a time, as the protocol demands.
  private let file: CInt
  private let path: String
  private var length: Int64 = 0
  private var handedOver: Int64 = 0
  /// Bytes after which the kernel is told to begin writing, so that the final sync of a large file is short.
  private static let writebackStep: Int64 = 8 << 20

  init(_ file: CInt, _ path: String) {
    self.file = file
    self.path = path
  }
  deinit { close(file) }

  func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = Glibc.write(file, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
      if count < 0 && errno == EINTR { continue }
      if count < 0 { throw PosixFileLayer.failure("write", path) }
      rest = rest.dropFirst(count)
    }
    grow(Int64(bytes.count))
  }

  func append(_ other: any ReadableFile) throws(FileError) -> Int64 {
    guard let other = other as? PosixReadableFile else {
      throw FileError(operation: "append", path: path, code: EINVAL, reason: "the file is of another layer")
    }
    var offset: Int64 = 0
    while offset < other.size {
      let count = rs_copy_range(other.file, offset, file, Int(min(other.size - offset, Self.writebackStep)))
      if count < 0 { throw PosixFileLayer.failure("copy", path) }
      if count == 0 { throw FileError(operation: "copy", path: other.path, code: EIO, reason: "it became shorter") }
      offset += Int64(count)
      grow(Int64(count))
    }
    return offset
  }

  private func grow(_ count: Int64) {
    length += count
    if length - handedOver >= Self.writebackStep {
      rs_begin_writeback(file, handedOver, length - handedOver)
      handedOver = length
    }
  }

  func sync() throws(FileError) {
    if fdatasync(file) != 0 { throw PosixFileLayer.failure("fdatasync", path) }
  }
}

final class PosixReadableFile: ReadableFile {
  let file: CInt
  let path: String
  let size: Int64
  init(_ file: CInt, _ path: String, size: Int64) {
    self.file = file
    self.path = path
    self.size = size
    if size > 1 << 20 { rs_expect_sequential(file) }
  }
  deinit { close(file) }

  func read(at offset: Int64, count: Int) throws(FileError) -> [UInt8] {
    let wanted = Int(max(0, min(Int64(count), size - offset)))
    var failed: FileError?
    let bytes = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, filled in
      while filled < wanted {
        let got = pread(file, buffer.baseAddress.map { $0 + filled }, wanted - filled, off_t(offset) + off_t(filled))
        if got < 0 && errno == EINTR { continue }
        if got < 0 { failed = PosixFileLayer.failure("read", path) }
        if got <= 0 { return }
        filled += got
      }
    }
    if let failed { throw failed }
    return bytes
  }
}
