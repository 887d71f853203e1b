import FoundationEssentials
import RegionKit
import RegionStore
import WireModel

/// The configurations every account has. Not stored, and nobody can delete them.
enum BuiltInConfigs {
  static let prefix = "CodeDeployDefault."

  /// All 17, by name.
  static let all: [String: DeploymentConfigRecord] = {
    var all: [DeploymentConfigRecord] = [
      server("AllAtOnce", .hostCount(0)), server("HalfAtATime", .fleetPercent(50)), server("OneAtATime", .mostConcurrency(1)),
      shift("Lambda", "LambdaAllAtOnce", "AllAtOnce", nil, nil), shift("ECS", "ECSAllAtOnce", "AllAtOnce", nil, nil),
    ]
    for minutes in [5, 10, 15, 30] {
      all.append(shift("Lambda", "LambdaCanary10Percent\(minutes)Minutes", "TimeBasedCanary", 10, minutes))
    }
    for minutes in [1, 2, 3, 10] {
      let unit = minutes == 1 ? "Minute" : "Minutes"
      all.append(shift("Lambda", "LambdaLinear10PercentEvery\(minutes)\(unit)", "TimeBasedLinear", 10, minutes))
    }
    for minutes in [5, 15] { all.append(shift("ECS", "ECSCanary10Percent\(minutes)Minutes", "TimeBasedCanary", 10, minutes)) }
    for minutes in [1, 3] { all.append(shift("ECS", "ECSLinear10PercentEvery\(minutes)Minutes", "TimeBasedLinear", 10, minutes)) }
    return Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })
  }()

  private static func server(_ name: String, _ hosts: HealthyHostsSpec) -> DeploymentConfigRecord {
    make(name, "Server", hosts, nil)
  }
  private static func shift(
    _ platform: String, _ name: String, _ type: String, _ percentage: Int?, _ interval: Int?
  ) -> DeploymentConfigRecord {
    make(name, platform, nil, TrafficRouting(type: type, percentage: percentage, interval: interval))
  }
  private static func make(
    _ name: String, _ platform: String, _ hosts: HealthyHostsSpec?, _ traffic: TrafficRouting?
  ) -> DeploymentConfigRecord {
    // The same in every region, and never changed.
    DeploymentConfigRecord(
      configId: "00000000-0000-0000-0000-000000000000", name: prefix + name, computePlatform: platform, minimumHealthyHosts: hosts,
      traffic: traffic, createTime: Date(timeIntervalSince1970: 0))
  }
}

extension CodeDeployOperations {
  func createDeploymentConfig(
    _ input: Obj<CreateDeploymentConfigInput>, _ call: Call
  ) async throws -> Obj<CreateDeploymentConfigOutput> {
    let name = try Check.config(input.fields["deploymentConfigName"]?.asString)
    guard !name.hasPrefix(BuiltInConfigs.prefix) else {
      throw CodeDeployErrors.invalidDeploymentConfigNameException("Names that begin with \(BuiltInConfigs.prefix) are reserved.")
    }
    let platform = input[.computePlatform] ?? .server
    guard platform == .server else {
      throw CodeDeployErrors.invalidComputePlatformException(
        "Configurations for \(platform.rawValue) are not available in this Roadstead region yet; Server is.")
    }
    guard input[.trafficRoutingConfig] == nil else {
      throw CodeDeployErrors.invalidTrafficRoutingConfigurationException("trafficRoutingConfig is for Lambda and ECS only.")
    }
    guard input[.zonalConfig] == nil else {
      throw CodeDeployErrors.invalidZonalDeploymentConfigurationException(
        "Zonal configurations are not available in this Roadstead region yet. Leave zonalConfig out.")
    }
    let record = DeploymentConfigRecord(
      configId: call.random.uuid(), name: name, computePlatform: "Server",
      minimumHealthyHosts: try healthyHosts(input[.minimumHealthyHosts]), traffic: nil, createTime: call.now)
    var commit = StoreCommit()
    try commit.put(record, in: call.scope, id: name, expecting: .absent)
    do {
      try await store.commit(commit)
    } catch is StoreConflict {
      throw CodeDeployErrors.deploymentConfigAlreadyExistsException("Deployment configuration already exists: \(name)")
    }
    return Obj { $0[.deploymentConfigId] = record.configId }
  }

  private func healthyHosts(_ input: Obj<MinimumHealthyHosts>?) throws -> HealthyHostsSpec {
    let refused = CodeDeployErrors.invalidMinimumHealthyHostValueException
    guard let input, let type = input[.type], let value = input[.value] else {
      throw refused("minimumHealthyHosts needs a type (HOST_COUNT or FLEET_PERCENT) and a value.")
    }
    switch type {
    case .hostCount:
      guard value >= 0 else { throw refused("HOST_COUNT must be 0 or more, not \(value).") }
      return .hostCount(value)
    case .fleetPercent:
      guard (0..<100).contains(value) else { throw refused("FLEET_PERCENT must be 0 to 99, not \(value).") }
      return .fleetPercent(value)
    default: throw refused("'\(type.rawValue)' is no type of minimumHealthyHosts: HOST_COUNT and FLEET_PERCENT are.")
    }
  }

  func getDeploymentConfig(
    _ input: Obj<GetDeploymentConfigInput>, _ call: Call
  ) async throws -> Obj<GetDeploymentConfigOutput> {
    let config = try await config(input.fields["deploymentConfigName"]?.asString, call.scope)
    return Obj { output in
      output[.deploymentConfigInfo] = Obj { info in
        info[.deploymentConfigId] = config.configId
        info[.deploymentConfigName] = config.name
        info[.computePlatform] = ComputePlatform(rawValue: config.computePlatform)
        info[.createTime] = config.createTime
        if let hosts = config.minimumHealthyHosts {
          info[.minimumHealthyHosts] = Obj {
            $0[.type] = MinimumHealthyHostsType(rawValue: hosts.typeName)
            $0[.value] = hosts.value
          }
        }
        if let traffic = config.traffic { info[.trafficRoutingConfig] = Self.routing(traffic) }
      }
    }
  }

  private static func routing(_ traffic: TrafficRouting) -> Obj<TrafficRoutingConfig> {
    Obj { routing in
      routing[.type] = TrafficRoutingType(rawValue: traffic.type)
      if traffic.type == "TimeBasedCanary" {
        routing[.timeBasedCanary] = Obj {
          $0[.canaryPercentage] = traffic.percentage
          $0[.canaryInterval] = traffic.interval
        }
      } else if traffic.type == "TimeBasedLinear" {
        routing[.timeBasedLinear] = Obj {
          $0[.linearPercentage] = traffic.percentage
          $0[.linearInterval] = traffic.interval
        }
      }
    }
  }

  func listDeploymentConfigs(
    _ input: Obj<ListDeploymentConfigsInput>, _ call: Call
  ) async throws -> Obj<ListDeploymentConfigsOutput> {
    let own = try await store.list(DeploymentConfigRecord.self, in: call.scope).map(\.id)
    let names = (Array(BuiltInConfigs.all.keys) + own).sorted()
    let page = try Page(names, token: input[.nextToken], binding: "ListDeploymentConfigs \(call.scope)") { $0 }
    return Obj {
      $0[.deploymentConfigsList] = page.elements
      $0[.nextToken] = page.nextToken
    }
  }

  func deleteDeploymentConfig(_ input: Obj<DeleteDeploymentConfigInput>, _ call: Call) async throws -> Obj<NoMembers> {
    let name = try Check.config(input.fields["deploymentConfigName"]?.asString)
    guard BuiltInConfigs.all[name] == nil else {
      throw CodeDeployErrors.invalidOperationException("\(name) is a default configuration and cannot be deleted.")
    }
    let query = StoreQuery(limit: 1, index: ("config", name))
    if let user = try await store.list(DeploymentGroupRecord.self, in: call.scope, query).first {
      throw CodeDeployErrors.deploymentConfigInUseException("\(name) is used by deployment group \(user.value.name).")
    }
    var commit = StoreCommit()
    commit.delete(DeploymentConfigRecord.self, in: call.scope, id: name)
    try await store.commit(commit)
    return Obj()
  }

  func config(_ name: String?, _ scope: Scope) async throws -> DeploymentConfigRecord {
    let name = try Check.config(name)
    if let builtIn = BuiltInConfigs.all[name] { return builtIn }
    guard let own = try await store.get(DeploymentConfigRecord.self, in: scope, id: name) else {
      throw CodeDeployErrors.deploymentConfigDoesNotExistException("No deployment configuration found for name: \(name)")
    }
    return own.value
  }

  /// A configuration that a group of hosts can use.
  func serverConfig(_ name: String, _ scope: Scope) async throws -> (name: String, hosts: HealthyHostsSpec) {
    let config = try await config(name, scope)
    guard let hosts = config.minimumHealthyHosts else {
      throw CodeDeployErrors.invalidDeploymentConfigNameException(
        "\(name) is a configuration for \(config.computePlatform); a Server deployment needs one for Server.")
    }
    return (config.name, hosts)
  }
}
