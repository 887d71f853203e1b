/// The agent's configuration file: the official agent's keys, with or without a leading colon, and two of our own, `ca_file` and
/// `pin_ca`.
public struct AgentConfiguration: Sendable, Equatable {
  public static let defaultPaths = ["/etc/codedeploy-agent/conf/codedeployagent.yml", "/opt/codedeploy-agent/conf/codedeployagent.yml"]

  public var programName = "codedeploy-agent"
  public var logDir = "/var/log/aws/codedeploy-agent/"
  public var pidDir = "/opt/codedeploy-agent/state/.pid/"
  public var rootDir = "/opt/codedeploy-agent/deployment-root"
  public var verbose = false
  /// Seconds from the start of a poll that found nothing to the next one; a server that holds its polls longer is asked again at once.
  public var waitBetweenRuns: Double = 30
  /// Deployments kept per deployment group, at least 1.
  public var maxRevisions = 5
  /// Seconds.
  public var httpReadTimeout: Double = 80
  /// Seconds that a stop waits for the running command.
  public var killAgentMaxWaitTime: Double = 7200
  public var onPremisesConfigFile = "/etc/codedeploy-agent/conf/codedeploy.onpremises.yml"
  public var enableDeploymentsLog = true
  /// The directory under `rootDir` that tells which commands are running.
  public var ongoingDeploymentTracking = "ongoing-deployment"
  public var disableIMDSv1 = false
  public var useFIPSMode = false
  public var enableAuthPolicy = false
  /// A whole URL, http or https.
  public var deployControlEndpoint: String?
  /// A whole URL; objects are then addressed path-style.
  public var s3EndpointOverride: String?
  /// PEM file of certificate authorities trusted for TLS besides (in fact: instead of) the system's.
  public var caFile: String?
  /// PEM file; deployment specifications must be signed by a certificate in it or issued by one in it.
  public var pinCA: String?

  public init() {}

  /// Throws `AgentError` naming the key and the rule.
  public static func parse(_ bytes: [UInt8], path: String) throws(AgentError) -> AgentConfiguration {
    let value: YAMLValue?
    switch YAMLReader.read(bytes) {
    case .success(let read): value = read
    case .failure(let fault): throw AgentError("The configuration file \(path) is not valid YAML: \(fault.message)")
    }
    guard case .map(let map)? = value else { throw AgentError("The configuration file \(path) must be a map of settings.") }
    let reader = SettingReader(map: map, path: path)
    var c = AgentConfiguration()
    c.programName = try reader.text("program_name") ?? c.programName
    c.logDir = try reader.text("log_dir") ?? c.logDir
    c.pidDir = try reader.text("pid_dir") ?? c.pidDir
    c.rootDir = RelativePath.absolute(try reader.text("root_dir") ?? c.rootDir)
    c.verbose = try reader.flag("verbose") ?? c.verbose
    c.waitBetweenRuns = try reader.seconds("wait_between_runs") ?? c.waitBetweenRuns
    c.httpReadTimeout = try reader.seconds("http_read_timeout") ?? c.httpReadTimeout
    c.killAgentMaxWaitTime = try reader.seconds("kill_agent_max_wait_time_seconds") ?? c.killAgentMaxWaitTime
    c.onPremisesConfigFile = try reader.text("on_premises_config_file") ?? c.onPremisesConfigFile
    c.enableDeploymentsLog = try reader.flag("enable_deployments_log") ?? c.enableDeploymentsLog
    c.ongoingDeploymentTracking = try reader.text("ongoing_deployment_tracking") ?? c.ongoingDeploymentTracking
    c.disableIMDSv1 = try reader.flag("disable_imds_v1") ?? c.disableIMDSv1
    c.useFIPSMode = try reader.flag("use_fips_mode") ?? c.useFIPSMode
    c.enableAuthPolicy = try reader.flag("enable_auth_policy") ?? c.enableAuthPolicy
    c.deployControlEndpoint = try reader.url("deploy_control_endpoint")
    c.s3EndpointOverride = try reader.url("s3_endpoint_override")
    c.caFile = try reader.text("ca_file")
    switch map.setting("pin_ca") ?? .null {
    case .null, .bool(false): break
    case .bool(true):
      guard let caFile = c.caFile else { throw AgentError("\(path): pin_ca is true, but ca_file is not set; it names the file to pin.") }
      c.pinCA = caFile
    default: c.pinCA = try reader.text("pin_ca")
    }
    if let value = map.setting("max_revisions"), value != .null {
      guard case .int(let number) = value, number >= 1 else { throw AgentError("\(path): max_revisions must be an integer of at least 1.") }
      c.maxRevisions = number
    }
    if let proxy = try reader.text("proxy_uri"), !proxy.isEmpty {
      throw AgentError("\(path): proxy_uri is set, but this agent does not speak through a proxy. Remove it or route without one.")
    }
    guard RelativePath.isComponent(c.ongoingDeploymentTracking) else {
      throw AgentError("\(path): ongoing_deployment_tracking must be a plain directory name.")
    }
    guard RelativePath.isComponent(c.programName) else { throw AgentError("\(path): program_name must be a plain name.") }
    return c
  }
}

private struct SettingReader {
  let map: YAMLMap
  let path: String

  func text(_ key: String) throws(AgentError) -> String? {
    guard let value = map.setting(key), value != .null else { return nil }
    guard let text = value.text, !text.utf8.contains(0) else { throw AgentError("\(path): \(key) must be a string.") }
    return text
  }
  func flag(_ key: String) throws(AgentError) -> Bool? {
    switch map.setting(key) ?? .null {
    case .null: return nil
    case .bool(let value): return value
    case .string("true"): return true
    case .string("false"): return false
    default: throw AgentError("\(path): \(key) must be true or false.")
    }
  }
  func seconds(_ key: String) throws(AgentError) -> Double? {
    let number: Double
    switch map.setting(key) ?? .null {
    case .null: return nil
    case .int(let value): number = Double(value)
    case .float(let value): number = value
    default: throw AgentError("\(path): \(key) must be a number of seconds.")
    }
    guard number >= 0, number <= 86_400 * 365 else { throw AgentError("\(path): \(key) is out of range.") }
    return number
  }
  func url(_ key: String) throws(AgentError) -> String? {
    guard let text = try text(key), !text.isEmpty else { return nil }
    guard URLText.parts(text) != nil else {
      throw AgentError("\(path): \(key) must be a whole URL, e.g. https://host:8443 (it is \(text)).")
    }
    return text
  }
}
