import CodeDeployService
import ContentStore
import Durable
import EC2Service
import FoundationEssentials
import Gateway
import HTTPKit
import IdentityService
import Logging
import MetadataPlane
import NamespaceDriver
import ObjectStorageService
import Ports
import RegionKit
import RegionStore

/// A region that runs in this process: store, services, task runner, planes and listeners.
public final class RunningRegion: Sendable {
  /// What clients are pointed at: a host name, never an address, so that names below it can resolve.
  public let endpoint: String
  private let parts: RegionParts
  private let listeners: [HTTPServer]
  private let background: [Task<Void, Never>]
  private let lock: HomeLock

  private init(endpoint: String, parts: RegionParts, listeners: [HTTPServer], background: [Task<Void, Never>], lock: HomeLock) {
    self.endpoint = endpoint
    self.parts = parts
    self.listeners = listeners
    self.background = background
    self.lock = lock
  }

  /// Starts the region. `progress` gets lines for people. Throws when the home is held by another process, a port is taken or the home
  /// cannot be read; nothing is left running then.
  public static func start(_ options: RegionOptions, progress: @escaping @Sendable (String) -> Void) async throws -> RunningRegion {
    let clock = SystemClock(timeScale: options.timeScale)
    let random = SystemRandomness()
    let logger = Logger(label: "roadstead")
    let lock = try HomeLock(home: options.home, clock: clock, command: CommandLine.arguments.joined(separator: " "))
    if options.timeScale > 1 { logger.notice("time runs faster", metadata: ["scale": "\(options.timeScale)"]) }
    let parts = try await RegionParts(options, clock: clock, random: random, logger: logger, progress: progress)
    do { return try await open(parts, options, lock: lock) } catch {
      // A bridge made for this start alone goes with it; instances that live on keep theirs.
      if parts.network != nil, (try? await parts.driver.list())?.isEmpty == true { try? await parts.driver.teardown() }
      throw error
    }
  }

  /// Listens, takes up what an earlier process left, and begins to work.
  private static func open(_ parts: RegionParts, _ options: RegionOptions, lock: HomeLock) async throws -> RunningRegion {
    let clock = parts.clock
    let logger = parts.logger
    let access = try await parts.rootAccess(options)
    let vouched = options.certificateNames
    let tls = options.isLoopback ? nil : try parts.certificate(names: vouched.names, addresses: vouched.addresses)
    let responder = parts.gateway.responder
    let people: HTTPServer
    do {
      people = try await HTTPServer.start(
        bind: .host(options.bind, port: options.port), tls: tls, clock: clock, logger: logger, responder: responder)
    } catch {
      throw AWSError(
        "CannotListen",
        "Cannot listen on \(options.bind), port \(options.port): \(error). Choose another --bind or --port (0: any free one).")
    }
    var listeners = [people]
    do {
      if let bridge = parts.network?.gatewayIP {
        // The port is fixed by the home, since instances keep it in their agent's configuration across restarts.
        listeners.append(
          try await HTTPServer.start(
            bind: .host(bridge, port: RegionParts.bridgePort), tls: try parts.certificate(names: [], addresses: [bridge]), clock: clock,
            logger: logger, responder: parts.instancesOnly(responder)))
      }
      let endpoint = options.endpoint(port: people.port ?? options.port)
      try parts.home.save(
        RegionHome.Access(
          endpoint: endpoint, region: options.region.rawValue, account: access.account.rawValue, accessKeyId: access.accessKeyId,
          secretAccessKey: access.secretAccessKey, caBundle: tls == nil ? nil : parts.home.authorityPath))
      try await parts.storage.recover()
      if parts.network != nil { try await parts.ec2.adopt() }
      try await parts.tasks.start()
      await parts.events.start()
      return RunningRegion(
        endpoint: endpoint, parts: parts, listeners: listeners, background: parts.background(options, logger: logger), lock: lock)
    } catch {
      for listener in listeners { await listener.shutdown(grace: 0) }
      throw error
    }
  }

  /// Stops cleanly: no new work, requests in progress end, instances stop (and start again with the next start), planes drain, bridges
  /// and control groups are released.
  public func stop() async {
    await parts.tasks.shutdown(grace: 5)
    await parts.events.shutdown()
    await withTaskGroup(of: Void.self) { group in
      for listener in listeners { group.addTask { await listener.shutdown(grace: 3) } }
    }
    for task in background { task.cancel() }
    for task in background { await task.value }
    if parts.network != nil {
      await parts.ec2.suspend()
      try? await MetadataPlaneMain.stop(home: parts.home.path)
      do { try await parts.driver.teardown() } catch {
        parts.logger.error("not everything of the instances was released", metadata: ["error": "\(error)"])
      }
    }
  }
}
