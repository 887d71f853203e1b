/// A file system call failed.
public struct FileError: Error, Sendable, CustomStringConvertible {
  public let operation: String
  public let path: String
  /// The system's error number, e.g. ENOSPC.
  public let code: Int32
  /// The system's words for it.
  public let reason: String
  public init(operation: String, path: String, code: Int32, reason: String) {
    self.operation = operation
    self.path = path
    self.code = code
    self.reason = reason
  }
  public var description: String { "\(operation) \(path): \(reason)" }
}

/// The few file system calls that the content store makes, so that tests can put a file system underneath that loses whatever was not
/// synced. All calls block; none is made from a thread that Swift's tasks run on.
public protocol FileLayer: Sendable {
  /// Makes a directory unless it is there. Answers whether it made one.
  func makeDirectory(_ path: String) throws(FileError) -> Bool
  /// Makes a file that was not there.
  func create(_ path: String) throws(FileError) -> any WritableFile
  func open(_ path: String) throws(FileError) -> any ReadableFile
  func rename(_ path: String, to: String) throws(FileError)
  /// False when it was not there.
  func remove(_ path: String) throws(FileError) -> Bool
  /// Names in the directory become durable.
  func syncDirectory(_ path: String) throws(FileError)
  /// Names of the files in a directory with size in bytes and the seconds since 1970 at which they last changed, in no order.
  func list(_ path: String) throws(FileError) -> [FileEntry]
}

public struct FileEntry: Sendable, Equatable {
  public let name: String
  public let size: Int64
  public let changed: Double
  public init(name: String, size: Int64, changed: Double) {
    self.name = name
    self.size = size
    self.changed = changed
  }
}

/// Written from front to back, by one caller at a time. Closed when the object goes away.
public protocol WritableFile: AnyObject, Sendable {
  func write(_ bytes: UnsafeRawBufferPointer) throws(FileError)
  /// Appends the whole of another file of the same layer; answers its length.
  func append(_ file: any ReadableFile) throws(FileError) -> Int64
  /// Content becomes durable.
  func sync() throws(FileError)
}

/// Closed when the object goes away. Stays readable when the file is removed.
public protocol ReadableFile: AnyObject, Sendable {
  var size: Int64 { get }
  /// Up to `count` bytes at `offset`; fewer only at the end of the file.
  func read(at offset: Int64, count: Int) throws(FileError) -> [UInt8]
}
