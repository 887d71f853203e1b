import ContentStore
import Foundation
import RoadsteadTesting

/// A file system in memory that forgets, at `crash`, whatever was not synced: the content of a file since its last `sync`, and the names
/// made, moved or removed in a directory since its last `syncDirectory`. What exactly is lost the seed chooses, as on a real disk, where
/// unsynced changes may or may not have arrived. A file's content that was not synced is full of garbage.
final class LossyFileLayer: FileLayer, @unchecked Sendable {
  fileprivate final class Node: @unchecked Sendable {
    var bytes: [UInt8] = []
    var durable: [UInt8]?
  }
  private let lock = NSLock()
  private var directories: Set<String> = []
  private var durableDirectories: Set<String> = []
  private var names: [String: Node] = [:]
  private var durableNames: [String: Node] = [:]
  private var generator: SeededGenerator
  private var calls = 0
  /// After this many calls every call fails, as if the power were gone. Nil: never.
  var powerFailsAfter: Int?
  /// The call number at which the disk is full, once.
  var fullAt: Int?
  var ignoresFileSync = false
  var ignoresDirectorySync = false

  init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

  var callCount: Int { lock.withLock { calls } }
  var temporaryFiles: [String] { lock.withLock { names.keys.filter { $0.contains("/tmp/") } } }

  fileprivate func call<R>(_ operation: String, _ path: String, _ body: () throws(FileError) -> R) throws(FileError) -> R {
    lock.lock()
    defer { lock.unlock() }
    calls += 1
    if let limit = powerFailsAfter, calls > limit {
      throw FileError(operation: operation, path: path, code: 5, reason: "the power is gone")
    }
    if calls == fullAt { throw FileError(operation: operation, path: path, code: 28, reason: "no space left on device") }
    return try body()
  }

  /// The machine starts again after the power was gone.
  func crash() {
    lock.withLock {
      var survivors = durableNames
      for path in Set(names.keys).union(durableNames.keys).sorted() where names[path] !== durableNames[path] {
        if generator.chance(0.5) { survivors[path] = names[path] }
      }
      for directory in directories.subtracting(durableDirectories).sorted() where generator.chance(0.5) {
        durableDirectories.insert(directory)
      }
      directories = durableDirectories
      survivors = survivors.filter { path, _ in directories.contains(Self.parent(path)) }
      for path in survivors.keys.sorted() {
        guard let node = survivors[path], node.durable != node.bytes else { continue }
        let garbage = UInt8(truncatingIfNeeded: generator.next())
        node.bytes = (node.durable ?? []) + [UInt8](repeating: garbage, count: generator.below(node.bytes.count + 1))
        node.durable = node.bytes
      }
      names = survivors
      durableNames = survivors
      powerFailsAfter = nil
      fullAt = nil
    }
  }

  private static func parent(_ path: String) -> String { String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]) }
  private func missing(_ operation: String, _ path: String) -> FileError {
    FileError(operation: operation, path: path, code: 2, reason: "no such file")
  }

  func makeDirectory(_ path: String) throws(FileError) -> Bool { try call("mkdir", path) { directories.insert(path).inserted } }
  func create(_ path: String) throws(FileError) -> any WritableFile {
    try call("create", path) { () throws(FileError) in
      guard directories.contains(Self.parent(path)) else { throw missing("create", path) }
      if names[path] != nil { throw FileError(operation: "create", path: path, code: 17, reason: "file exists") }
      let node = Node()
      names[path] = node
      return LossyFile(self, node, path)
    }
  }
  func open(_ path: String) throws(FileError) -> any ReadableFile {
    try call("open", path) { () throws(FileError) in
      guard let node = names[path] else { throw missing("open", path) }
      return LossyFile(self, node, path)
    }
  }
  func rename(_ path: String, to: String) throws(FileError) {
    try call("rename", path) { () throws(FileError) in
      guard let node = names.removeValue(forKey: path) else { throw missing("rename", path) }
      names[to] = node
    }
  }
  func remove(_ path: String) throws(FileError) -> Bool { try call("remove", path) { names.removeValue(forKey: path) != nil } }
  func syncDirectory(_ path: String) throws(FileError) {
    try call("fsync", path) {
      // The directories made at the start count as synced even then, or nothing would be left to look at.
      if ignoresDirectorySync, path.utf8.dropLast(2).last == 0x2f { return }
      for name in Set(names.keys).union(durableNames.keys) where Self.parent(name) == path { durableNames[name] = names[name] }
      durableDirectories.insert(path)
      for directory in directories where Self.parent(directory) == path { durableDirectories.insert(directory) }
    }
  }
  func list(_ path: String) throws(FileError) -> [FileEntry] {
    try call("list", path) {
      names.compactMap { name, node in
        Self.parent(name) == path
          ? FileEntry(name: String(name.dropFirst(path.count + 1)), size: Int64(node.bytes.count), changed: 0) : nil
      }
    }
  }
}

private final class LossyFile: WritableFile, ReadableFile, @unchecked Sendable {
  private let layer: LossyFileLayer
  private let node: LossyFileLayer.Node
  private let path: String
  init(_ layer: LossyFileLayer, _ node: LossyFileLayer.Node, _ path: String) {
    (self.layer, self.node, self.path) = (layer, node, path)
  }
  var size: Int64 { Int64(node.bytes.count) }
  func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) { try layer.call("write", path) { node.bytes += bytes } }
  func append(_ file: any ReadableFile) throws(FileError) -> Int64 {
    let bytes = try file.read(at: 0, count: Int(file.size))
    try layer.call("copy", path) { node.bytes += bytes }
    return Int64(bytes.count)
  }
  func sync() throws(FileError) { try layer.call("fdatasync", path) { if !layer.ignoresFileSync { node.durable = node.bytes } } }
  func read(at offset: Int64, count: Int) throws(FileError) -> [UInt8] {
    try layer.call("read", path) { Array(node.bytes.dropFirst(Int(offset)).prefix(count)) }
  }
}
