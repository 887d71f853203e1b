import FoundationEssentials
import Ports
import RegionKit
import RegionStore
import WireModel

extension EC2Operations {
  func describeInstanceAttribute(_ input: Obj<DescribeInstanceAttributeRequest>, _ call: Call) async throws -> Obj<InstanceAttribute> {
    guard let record = try await instances([input[.instanceId]], in: call.scope).first?.value else { return Obj() }
    var out = Obj<InstanceAttribute>()
    out[.instanceId] = record.instanceId
    func flag(_ value: Bool) -> Obj<AttributeBooleanValue> { Obj { $0[.value] = value } }
    func text(_ value: String) -> Obj<AttributeValue> { Obj { $0[.value] = value } }
    switch input[.attribute].rawValue {
    case "instanceType": out[.instanceType] = text(record.instanceType)
    case "disableApiTermination": out[.disableApiTermination] = flag(record.disableApiTermination)
    case "disableApiStop": out[.disableApiStop] = flag(record.disableApiStop)
    case "instanceInitiatedShutdownBehavior": out[.instanceInitiatedShutdownBehavior] = text(record.shutdownBehavior)
    case "userData":
      out[.userData] = record.userData.isEmpty ? Obj() : text(Data(record.userData).base64EncodedString())
    case "rootDeviceName": out[.rootDeviceName] = text("/dev/xvda")
    case "sourceDestCheck": out[.sourceDestCheck] = flag(true)
    case "ebsOptimized": out[.ebsOptimized] = flag(false)
    case "enaSupport": out[.enaSupport] = flag(false)
    case "blockDeviceMapping": out[.blockDeviceMappings] = []
    case "productCodes": out[.productCodes] = []
    case "groupSet":
      let names = try await groupNames(call.scope)
      out[.groups] = record.securityGroupIds.map { id in
        Obj {
          $0[.groupId] = id
          $0[.groupName] = names[id] ?? ""
        }
      }
    case let other: throw RunInstancesRules.unsupported("DescribeInstanceAttribute \(other)")
    }
    return out
  }

  func modifyInstanceAttribute(_ input: Obj<ModifyInstanceAttributeRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    let change = try await AttributeChange(input, call: call, operations: self)
    try await modify(input[.instanceId], call) { record in try change.apply(to: &record) }
    return Obj()
  }

  func modifyInstanceMetadataOptions(_ input: Obj<ModifyInstanceMetadataOptionsRequest>, _ call: Call) async throws
    -> Obj<ModifyInstanceMetadataOptionsResult>
  {
    if input[.httpEndpoint]?.rawValue == "disabled" { throw RunInstancesRules.unsupported("HttpEndpoint=disabled") }
    if input[.instanceMetadataTags]?.rawValue == "enabled" { throw RunInstancesRules.unsupported("InstanceMetadataTags=enabled") }
    if let limit = input[.httpPutResponseHopLimit], limit != 1 { throw RunInstancesRules.unsupported("HttpPutResponseHopLimit=\(limit)") }
    let record = try await modify(input[.instanceId], call) { record in
      if let tokens = input[.httpTokens] { record.tokensRequired = tokens.rawValue == "required" }
    }
    if record.state == .running { _ = try await world.publishMetadata(record, scope: call.scope) }
    return Obj {
      $0[.instanceId] = record.instanceId
      $0[.instanceMetadataOptions] = metadataOptions(record)
    }
  }

  @discardableResult
  func modify(_ id: String, _ call: Call, _ change: (inout InstanceRecord) throws -> Void) async throws -> InstanceRecord {
    while true {
      guard let stored = try await instances([id], in: call.scope).first else { continue }
      var record = stored.value
      try change(&record)
      var commit = StoreCommit()
      try commit.put(record, in: call.scope, id: id, expecting: .version(stored.version))
      do {
        try await store.commit(commit)
        return record
      } catch is StoreConflict { continue }
    }
  }
}

/// What one ModifyInstanceAttribute call asks for, in either of its two forms (a typed member, or Attribute and Value).
struct AttributeChange {
  private var instanceType: String?
  private var disableApiTermination: Bool?
  private var disableApiStop: Bool?
  private var shutdownBehavior: String?
  private var userData: [UInt8]?
  private var groups: [String]?

  init(_ input: Obj<ModifyInstanceAttributeRequest>, call: Call, operations: EC2Operations) async throws {
    instanceType = input[.instanceType]?[.value]
    disableApiTermination = input[.disableApiTermination]?[.value]
    disableApiStop = input[.disableApiStop]?[.value]
    shutdownBehavior = input[.instanceInitiatedShutdownBehavior]?[.value]
    userData = input[.userData]?[.value]?.bytes
    let honoured: Set<String> = [
      "InstanceId", "DryRun", "Attribute", "Value", "InstanceType", "DisableApiTermination", "DisableApiStop",
      "InstanceInitiatedShutdownBehavior", "UserData", "Groups",
    ]
    for name in input.fields.keys.sorted() where !honoured.contains(name) {
      throw RunInstancesRules.unsupported("ModifyInstanceAttribute \(name)")
    }
    if let attribute = input[.attribute]?.rawValue {
      let value = input[.value] ?? ""
      switch attribute {
      case "instanceType": instanceType = value
      case "disableApiTermination": disableApiTermination = value.lowercased() == "true"
      case "disableApiStop": disableApiStop = value.lowercased() == "true"
      case "instanceInitiatedShutdownBehavior": shutdownBehavior = value
      case "userData": userData = try RunInstancesRules.userData(value)
      default: throw RunInstancesRules.unsupported("ModifyInstanceAttribute \(attribute)")
      }
    }
    if let asked = input[.groups] {
      groups = try await operations.groupIds(ids: asked, names: [], vpc: operations.world.vpcs.get(in: call.scope), call)
    }
    if let instanceType, InstanceSize.named(instanceType) == nil {
      throw AWSError("InvalidParameterValue", "Invalid value '\(instanceType)' for InstanceType.")
    }
    if let shutdownBehavior, !["stop", "terminate"].contains(shutdownBehavior) {
      throw AWSError("InvalidParameterValue", "InstanceInitiatedShutdownBehavior is 'stop' or 'terminate', not '\(shutdownBehavior)'.")
    }
  }

  func apply(to record: inout InstanceRecord) throws {
    if instanceType != nil || userData != nil, record.state != .stopped {
      throw AWSError(
        "IncorrectInstanceState",
        "The instance '\(record.instanceId)' is not in the 'stopped' state; stop it to change its type or user data.")
    }
    if let instanceType { record.instanceType = instanceType }
    if let userData { record.userData = userData }
    if let disableApiTermination { record.disableApiTermination = disableApiTermination }
    if let disableApiStop { record.disableApiStop = disableApiStop }
    if let shutdownBehavior { record.shutdownBehavior = shutdownBehavior }
    if let groups { record.securityGroupIds = groups }
  }
}
