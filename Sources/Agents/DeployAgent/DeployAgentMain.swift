import FoundationEssentials
import Glibc
public import Logging
public import RegionKit

/// `roadstead agent [--config FILE] [--once]`.
public enum DeployAgentMain {
  /// Runs the agent until SIGTERM or SIGINT (the command in progress is finished and reported first) or, with `once`, until a poll finds
  /// no command.
  ///
  /// - Parameters:
  ///   - configPath: the configuration file; nil for the official places.
  ///   - version: what the command service is told, up to 64 characters.
  ///   - logger: nil for the agent's own log under `log_dir` and standard error.
  ///   - stop: another way to end it than a signal.
  /// - Throws: `AgentError` when the configuration is missing or wrong, or another agent runs here.
  public static func run(
    configPath: String?, once: Bool = false, version: String = "ROADSTEAD_AGENT", logger: Logger? = nil,
    clock: any RegionClock = SystemClock(), randomness: any Randomness = SystemRandomness(), stop: StopSignal = StopSignal()
  ) async throws {
    let configuration = try configuration(at: configPath)
    let pid = try PidFile(directory: configuration.pidDir, program: configuration.programName)
    // Whatever started the agent may have left these in another state, which would lose exit codes or end it at a closed pipe.
    signal(SIGCHLD, SIG_DFL)
    signal(SIGPIPE, SIG_IGN)
    umask(0o022)
    let signals = stop.onTermination()
    defer { withExtendedLifetime((pid, signals)) {} }
    let environment = ProcessInfo.processInfo.environment
    let logger =
      logger
      ?? Logger(label: "deploy-agent") { _ in
        AgentLog(
          directory: configuration.logDir, program: configuration.programName, verbose: configuration.verbose, clock: clock)
      }
    if let caFile = configuration.caFile, !Disk.exists(caFile) { throw AgentError("ca_file \(caFile) does not exist.") }
    let open = NetworkTransport(caFile: nil)
    let runtime = AgentRuntime(
      configuration: configuration, environment: environment, clock: clock, randomness: randomness, logger: logger,
      signer: RequestSigner(), regional: configuration.caFile.map { NetworkTransport(caFile: $0) } ?? open, open: open,
      metadataEndpoint: metadataEndpoint(environment), agentVersion: version)
    try await runtime.run(once: once, stop: stop)
  }

  static func configuration(at path: String?) throws(AgentError) -> AgentConfiguration {
    let found = path ?? AgentConfiguration.defaultPaths.first { Disk.exists($0) }
    guard let found else {
      throw AgentError("There is no configuration file. Write \(AgentConfiguration.defaultPaths[0]) or name one with --config.")
    }
    return try AgentConfiguration.parse(Disk.read(found, limit: 1 << 20), path: found)
  }

  /// The variable that AWS's SDKs take, else the link-local address.
  private static func metadataEndpoint(_ environment: [String: String]) -> String {
    let set = environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"].flatMap { URLText.parts($0) == nil ? nil : $0 }
    let endpoint = set ?? "http://169.254.169.254"
    return endpoint.hasSuffix("/") ? String(endpoint.dropLast()) : endpoint
  }
}
