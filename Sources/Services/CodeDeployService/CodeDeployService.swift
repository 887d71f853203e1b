public import Durable
public import Logging
public import Ports
public import RegionKit
public import RegionStore
public import WireModel

/// AWS CodeDeploy for EC2 and on-premises hosts: the API, the durable machine behind a deployment, and the service that agents poll.
public struct CodeDeployService: Sendable {
  let engine: DeploymentEngine
  /// What the gateway needs.
  public let module: any ServiceModule
  /// What agents talk to. The gateway hands it the JSON body of `CodeDeployCommandService…` targets.
  public let commandService: CodeDeployCommandService
  /// The model of the command service, for the gateway's routing and error shapes.
  public static var commandModel: ServiceModel { CodeDeployCommandsWire.model }

  /// - Parameter traffic: takes hosts out of load balancers; nil while the region has none.
  public init(
    store: any DurableStore, clock: any RegionClock, random: any Randomness, instances: any InstanceDirectory, roles: any RolePort,
    objects: any ObjectReader, signer: EnvelopeSigner, traffic: (any TrafficPort)? = nil,
    options: CodeDeployOptions = CodeDeployOptions(), logger: Logger = Logger(label: "codedeploy")
  ) {
    engine = DeploymentEngine(
      store: store, clock: clock, random: random, instances: instances, roles: roles, objects: objects, traffic: traffic,
      options: options, logger: logger)
    module = CodeDeployModule(api: CodeDeployOperations(engine: engine))
    commandService = CodeDeployCommandService(engine: engine, signer: signer)
  }

  /// What the task runner runs for this service.
  public var taskHandlers: [any TaskHandler] {
    [
      BeginDeployment(engine: engine), AdvanceDeployment(engine: engine), WatchTarget(engine: engine), MoveTraffic(engine: engine),
      WakeHosts(engine: engine),
    ]
  }

  /// This service reacts to no events of others yet.
  public var eventConsumers: [any EventConsumer] { [] }
}

/// The service as the gateway sees it.
struct CodeDeployModule: ServiceModule {
  let api: CodeDeployOperations
  let handlers: [String: OperationHandler]
  var model: ServiceModel { CodeDeployWire.model }

  init(api: CodeDeployOperations) {
    self.api = api
    handlers = CodeDeployWire.handlers(api)
  }

  func authorization(for operation: String, input: [String: WireValue], call: Call) async throws -> [AuthorizationRequest] {
    try await api.authorization(for: operation, input: input, call: call)
  }

  /// CodeDeploy knows no general validation error: each member has its exception. Most are named after the member.
  func validationError(_ failures: [ValidationFailure], operation: String) -> AWSError? {
    guard let failure = failures.first else { return nil }
    for name in failure.path.reversed() {
      guard let code = Self.exceptions[name], model.operations[operation]?.errors.contains(code) == true else { continue }
      return AWSError(code, failure.text + ".")
    }
    return model.exceptionByConvention(failure, operation: operation) ?? AWSError("InvalidInputException", failure.text + ".")
  }

  /// Members whose exception is not named after them.
  private static let exceptions: [String: String] = [
    "serviceRoleArn": "RoleRequiredException", "bundleType": "InvalidRevisionException", "revisionType": "InvalidRevisionException",
    "revision": "RevisionRequiredException", "revisions": "RevisionRequiredException",
    "currentDeploymentGroupName": "DeploymentGroupNameRequiredException",
    "deploymentGroupNames": "DeploymentGroupNameRequiredException", "applicationNames": "ApplicationNameRequiredException",
    "deploymentIds": "DeploymentIdRequiredException", "instanceNames": "InstanceNameRequiredException",
    "instanceIds": "InstanceIdRequiredException", "targetId": "DeploymentTargetIdRequiredException",
    "targetIds": "DeploymentTargetIdRequiredException", "tags": "TagRequiredException", "Tags": "TagRequiredException",
    "TagKeys": "TagRequiredException", "ec2TagFilters": "InvalidEC2TagException", "ec2TagSet": "InvalidEC2TagException",
    "targetInstances": "InvalidTargetInstancesException", "onPremisesInstanceTagFilters": "InvalidTagException",
    "onPremisesTagSet": "InvalidTagException", "autoRollbackConfiguration": "InvalidAutoRollbackConfigException",
    "deploymentStyle": "InvalidDeploymentStyleException", "triggerConfigurations": "InvalidTriggerConfigException",
    "blueGreenDeploymentConfiguration": "InvalidBlueGreenDeploymentConfigurationException",
    "minimumHealthyHosts": "InvalidMinimumHealthyHostValueException", "trafficRoutingConfig": "InvalidTrafficRoutingConfigurationException",
    "zonalConfig": "InvalidZonalDeploymentConfigurationException", "includeOnlyStatuses": "InvalidDeploymentStatusException",
    "createTimeRange": "InvalidTimeRangeException", "deployed": "InvalidDeployedStateFilterException",
    "instanceStatusFilter": "InvalidInstanceStatusException", "instanceTypeFilter": "InvalidInstanceTypeException",
    "targetFilters": "InvalidTargetFilterNameException", "tagFilters": "InvalidTagFilterException",
  ]
}

/// The API operations; one file a noun in this folder.
struct CodeDeployOperations: Sendable {
  let engine: DeploymentEngine
  var store: any DurableStore { engine.store }
}

extension CodeDeployOperations: CodeDeployAPI {}
