import FoundationEssentials
import Logging
import RegionKit

/// An agent put together: configuration, identity, command loop.
struct AgentRuntime: Sendable {
  var configuration: AgentConfiguration
  var environment: [String: String]
  var clock: any RegionClock
  var randomness: any Randomness
  var logger: Logger
  var signer: any AgentSigner
  /// For what is named by the overrides: trusts `ca_file` when there is one.
  var regional: any AgentTransport
  /// For the rest of the world.
  var open: any AgentTransport
  var metadataEndpoint = "http://169.254.169.254"
  var agentVersion: String
  var killGrace: Double = 5

  var layout: DiskLayout {
    DiskLayout(
      root: configuration.rootDir, programName: configuration.programName, tracking: configuration.ongoingDeploymentTracking)
  }

  /// Who this host is; asks again until somebody answers, since an instance's metadata may come up after the agent.
  func identity() async throws -> HostIdentity {
    let metadata = MetadataClient(
      transport: open, endpoint: metadataEndpoint, allowVersion1: !configuration.disableIMDSv1, clock: clock)
    var wait = 0.25
    while true {
      do {
        return try await HostIdentity.find(
          configuration: configuration, environment: environment, metadata: metadata, clock: clock)
      } catch let error as CancellationError {
        throw error
      } catch let error where Disk.exists(configuration.onPremisesConfigFile) && error is AgentError && wait > 4 {
        throw error
      } catch {
        logger.warning("this host's identity is not known yet: \(CommandExecution.text(error))")
      }
      try await clock.sleepReal(wait)
      wait = min(30, wait * 2)
    }
  }

  /// Runs until `stop` is cancelled, or with `once` until there is nothing to do; then waits for the commands in progress.
  func run(once: Bool, stop: StopSignal) async throws {
    try Disk.makeDirectories(configuration.rootDir)
    guard let identity = try await stop.value(of: Task { try await self.identity() }) else { return }
    logger.info("host \(identity.hostIdentifier), region \(identity.region)")
    let execution = try self.execution(identity, stop: stop)
    let recovery = RestartRecovery(tracking: execution.tracking, execution: execution, clock: clock, logger: logger)
    let leftovers = recovery.leftovers()
    let recovering = Task { await recovery.report(leftovers) }
    let loop = CommandLoop(
      execution: execution, clock: clock, randomness: randomness, waitBetweenRuns: configuration.waitBetweenRuns, logger: logger)
    let polling = Task { await loop.poll(once: once) }
    await stop.wait(for: polling)
    logger.info("no more polls; waiting for the commands in progress")
    await drain(loop, recovering)
  }

  /// Waits for running commands, but not longer than configured.
  private func drain(_ loop: CommandLoop, _ recovering: Task<Void, Never>) async {
    // Not a task group: that would itself wait for the commands.
    let (ended, end) = AsyncStream.makeStream(of: Void.self)
    let clock = clock
    let limit = configuration.killAgentMaxWaitTime
    let waiting = Task {
      await loop.drain()
      await recovering.value
      end.finish()
    }
    let limiting = Task {
      try? await clock.sleepReal(limit)
      end.finish()
    }
    for await _ in ended {}
    waiting.cancel()
    limiting.cancel()
  }

  func execution(_ identity: HostIdentity, stop: StopSignal) throws -> CommandExecution {
    let secure = configuration.enableAuthPolicy
    let service = CommandServiceClient.serviceName(secure: secure, fips: configuration.useFIPSMode)
    let endpoint = configuration.deployControlEndpoint ?? "https://\(service).\(identity.region).\(identity.domain)"
    let client = CommandServiceClient(
      transport: configuration.deployControlEndpoint == nil ? open : regional, signer: signer, credentials: identity.credentials,
      clock: clock, endpoint: endpoint.hasSuffix("/") ? String(endpoint.dropLast()) : endpoint, region: identity.region,
      agentVersion: agentVersion, secure: secure, fips: configuration.useFIPSMode, timeout: configuration.httpReadTimeout)
    let download = BundleDownload(
      regional: regional, open: open, signer: signer, credentials: identity.credentials, clock: clock, region: identity.region,
      domain: identity.domain, s3Endpoint: configuration.s3EndpointOverride)
    var environment = environment
    if identity.isOnPremises {
      environment["AWS_REGION"] = identity.region
      environment["AWS_HOST_IDENTIFIER"] = identity.hostIdentifier
    }
    let layout = layout
    return CommandExecution(
      service: client, hostIdentifier: identity.hostIdentifier, opener: try opener(), allowLocal: false,
      settings: StepSettings(
        layout: layout, maxRevisions: configuration.maxRevisions, download: download, environment: environment,
        deploymentsLog: configuration.enableDeploymentsLog ? DeploymentsLog(path: layout.deploymentsLog) : nil, clock: clock,
        killGrace: killGrace),
      tracking: Tracking(directory: layout.trackingDirectory), undelivered: Undelivered(directory: layout.undelivered),
      delivery: Delivery(clock: clock, randomness: randomness, stop: stop), logger: logger)
  }

  private func opener() throws -> EnvelopeOpener {
    guard let path = configuration.pinCA else { return try EnvelopeOpener(clock: clock) }
    let pem = String(decoding: try Disk.read(path, limit: 1 << 20), as: UTF8.self)
    return try EnvelopeOpener(pinnedPEM: pem, clock: clock)
  }
}
