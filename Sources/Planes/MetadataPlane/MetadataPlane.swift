import CInstance
import FoundationEssentials
import Glibc
internal import HTTPKit
public import Logging
internal import Ports
public import RegionKit
import Synchronization

/// Serves 169.254.169.254 inside every instance of a home. It takes each instance's listening socket from its init, and what to
/// answer from the published files; it needs nothing of the region, so it goes on while that is down.
public actor MetadataPlane {
  private struct Served {
    let attachment: MetadataAttachment
    let server: HTTPServer
  }
  /// The newest good generation of each instance.
  private final class Table: Sendable {
    let trees = Mutex<[String: MetadataTree]>([:])
  }

  private let directory: String
  private let clock: any RegionClock
  private let logger: Logger
  private let responder: MetadataResponder
  private let table = Table()
  private var contents: [String: [UInt8]] = [:]
  private var served: [String: Served] = [:]

  /// Reads or makes the key that tokens are sealed with.
  public init(home: String, clock: any RegionClock, randomness: any Randomness, logger: Logger) throws {
    directory = try MetadataFiles.directory(home: home)
    self.clock = clock
    self.logger = logger
    let keyFile = home + "/planes/metadata.key"
    var key = MetadataFiles.read(keyFile) ?? []
    if key.count != 32 {
      key = randomness.bytes(32)
      let result = rs_write_atomic(keyFile, key, key.count, 0o600, 1)
      if result < 0 { throw MetadataFiles.failure("write \(keyFile)", -result) }
    }
    responder = MetadataResponder(tokens: MetadataTokens(key: key), clock: clock)
  }

  /// Serves until the task is cancelled or the home goes away.
  public func run() async throws {
    let watch = rs_watch_directory(directory)
    if watch < 0 { throw MetadataFiles.failure("watch \(directory)", -watch) }
    let changes = DirectoryChanges(descriptor: watch)
    // The watch is there before the first look, so nothing falls between.
    if await refresh() {
      for await _ in changes.stream {
        if Task.isCancelled { break }
        guard await refresh() else { break }
      }
    }
    changes.end()
    for entry in served.values { await entry.server.shutdown(grace: 1) }
    served = [:]
  }

  /// Brings servers and answers in line with the files. False when the directory is gone.
  private func refresh() async -> Bool {
    guard let names = MetadataFiles.names(in: directory) else { return false }
    let published = Set(names.filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) })
    for id in published where MetadataFiles.isInstanceId(id) { load(id) }
    for id in contents.keys where !published.contains(id) {
      contents[id] = nil
      table.trees.withLock { $0[id] = nil }
    }
    let attached = Set(names.filter { $0.hasSuffix(".attach") }.map { String($0.dropLast(7)) })
    for id in attached where MetadataFiles.isInstanceId(id) { await attach(id) }
    for id in served.keys where !attached.contains(id) { await detach(id) }
    return true
  }

  private func load(_ instanceId: String) {
    guard let bytes = MetadataFiles.read("\(directory)/\(instanceId).json"), bytes != contents[instanceId] else { return }
    do {
      let metadata = try JSONDecoder().decode(InstanceMetadata.self, from: Data(bytes))
      contents[instanceId] = bytes
      let tree = MetadataTree(metadata, loaded: clock.now())
      table.trees.withLock { $0[instanceId] = tree }
    } catch {
      logger.error("metadata file cannot be read; the last good one stays", metadata: ["instance": "\(instanceId)", "error": "\(error)"])
    }
  }

  private func attach(_ instanceId: String) async {
    guard let bytes = MetadataFiles.read("\(directory)/\(instanceId).attach"),
      let attachment = try? JSONDecoder().decode(MetadataAttachment.self, from: Data(bytes)),
      served[instanceId]?.attachment != attachment
    else { return }
    await detach(instanceId)
    do {
      let socket = try takeSocket(attachment)
      let responder = responder
      let table = table
      var limits = HTTPServerLimits()
      limits.headBytes = 16 * 1024
      limits.connections = 256
      let server = try await HTTPServer.start(bind: .descriptor(socket), limits: limits, clock: clock, logger: logger) { request in
        responder.respond(request, instanceId: instanceId, tree: table.trees.withLock { $0[instanceId] })
      }
      served[instanceId] = Served(attachment: attachment, server: server)
    } catch {
      logger.error("instance metadata cannot be served", metadata: ["instance": "\(instanceId)", "error": "\(error)"])
    }
  }

  private func detach(_ instanceId: String) async {
    guard let entry = served.removeValue(forKey: instanceId) else { return }
    await entry.server.shutdown(grace: 0)
  }

  /// The listening socket out of init, once it is sure that the process is that init.
  private func takeSocket(_ attachment: MetadataAttachment) throws -> Int32 {
    let process = rs_pidfd_open(attachment.pid)
    if process < 0 { throw MetadataFiles.failure("open process \(attachment.pid)", -process) }
    defer { close(process) }
    let stat = String(decoding: MetadataFiles.read("/proc/\(attachment.pid)/stat") ?? [], as: UTF8.self)
    let fields = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ")
    guard fields.count > 20, UInt64(fields[20]) == attachment.startTime else {
      throw MetadataFiles.failure("find init of \(attachment.instanceId)", ESRCH)
    }
    let socket = rs_pidfd_getfd(process, attachment.descriptor)
    if socket < 0 { throw MetadataFiles.failure("take the socket of \(attachment.instanceId)", -socket) }
    return socket
  }
}
