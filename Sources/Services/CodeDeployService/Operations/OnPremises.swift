import FoundationEssentials
import RegionKit
import RegionStore
import WireModel

extension CodeDeployOperations {
  func registerOnPremisesInstance(
    _ input: Obj<RegisterOnPremisesInstanceInput>, _ call: Call
  ) async throws -> Obj<NoMembers> {
    let name = try Check.instanceName(input.fields["instanceName"]?.asString)
    let (user, session) = try Self.identity(input, call)
    let arn = session ?? user ?? ""
    try await engine.settle {
      let known = try await store.get(OnPremisesRecord.self, in: call.scope, id: name)
      if known?.value.isRegistered == true {
        throw CodeDeployErrors.instanceNameAlreadyRegisteredException("The on-premises instance name \(name) is already registered.")
      }
      if let owner = try await store.get(OnPremisesIdentityRecord.self, in: call.scope, id: arn)?.value.name {
        let text = "\(arn) is already registered for on-premises instance \(owner)."
        throw session == nil
          ? CodeDeployErrors.iamUserArnAlreadyRegisteredException(text) : CodeDeployErrors.iamSessionArnAlreadyRegisteredException(text)
      }
      var commit = StoreCommit()
      let record = OnPremisesRecord(name: name, iamUserARN: user, iamSessionARN: session, registerTime: call.now, tags: [:])
      try commit.put(record, in: call.scope, id: name, expecting: known.map { .version($0.version) } ?? .absent)
      try commit.put(OnPremisesIdentityRecord(name: name), in: call.scope, id: arn, expecting: .absent)
      return (commit, ())
    }
    return Obj()
  }

  private static func identity(
    _ input: Obj<RegisterOnPremisesInstanceInput>, _ call: Call
  ) throws -> (user: String?, session: String?) {
    switch (input[.iamUserArn], input[.iamSessionArn]) {
    case (nil, nil):
      throw CodeDeployErrors.iamArnRequiredException("Give the instance's iamUserArn or iamSessionArn.")
    case (.some, .some):
      throw CodeDeployErrors.multipleIamArnsProvidedException("Give iamUserArn or iamSessionArn, not both.")
    case (let user?, nil):
      guard let arn = ARN(user), arn.service == "iam", arn.account == call.account.rawValue, arn.resource.hasPrefix("user/") else {
        throw CodeDeployErrors.invalidIamUserArnException("'\(user)' is no ARN of an IAM user of account \(call.account).")
      }
      return (user, nil)
    case (nil, let session?):
      guard let arn = ARN(session), arn.service == "sts", arn.account == call.account.rawValue,
        arn.resource.hasPrefix("assumed-role/"), arn.resource.split(separator: "/").count == 3
      else {
        throw CodeDeployErrors.invalidIamSessionArnException(
          "'\(session)' is no ARN of a role session of account \(call.account) (arn:aws:sts::…:assumed-role/ROLE/SESSION).")
      }
      return (nil, session)
    }
  }

  func deregisterOnPremisesInstance(
    _ input: Obj<DeregisterOnPremisesInstanceInput>, _ call: Call
  ) async throws -> Obj<NoMembers> {
    let name = try Check.instanceName(input.fields["instanceName"]?.asString)
    try await engine.settle {
      guard let known = try await store.get(OnPremisesRecord.self, in: call.scope, id: name), known.value.isRegistered else {
        return (nil, ())
      }
      var record = known.value
      record.deregisterTime = call.now
      record.tags = [:]
      var commit = StoreCommit()
      try commit.put(record, in: call.scope, id: name, expecting: .version(known.version))
      commit.delete(OnPremisesIdentityRecord.self, in: call.scope, id: record.iamARN)
      return (commit, ())
    }
    return Obj()
  }

  func getOnPremisesInstance(
    _ input: Obj<GetOnPremisesInstanceInput>, _ call: Call
  ) async throws -> Obj<GetOnPremisesInstanceOutput> {
    let name = try Check.instanceName(input.fields["instanceName"]?.asString)
    guard let record = try await store.get(OnPremisesRecord.self, in: call.scope, id: name) else { throw Self.unregistered(name) }
    return Obj { $0[.instanceInfo] = Self.info(record.value, call.scope) }
  }

  func batchGetOnPremisesInstances(
    _ input: Obj<BatchGetOnPremisesInstancesInput>, _ call: Call
  ) async throws -> Obj<BatchGetOnPremisesInstancesOutput> {
    let names = try Check.batch(input[.instanceNames], limit: 100, CodeDeployErrors.instanceNameRequiredException, "instanceNames")
    var found: [Obj<InstanceInfo>] = []
    for name in names {
      guard let record = try await store.get(OnPremisesRecord.self, in: call.scope, id: try Check.instanceName(name)) else { continue }
      found.append(Self.info(record.value, call.scope))
    }
    return Obj { $0[.instanceInfos] = found }
  }

  func listOnPremisesInstances(
    _ input: Obj<ListOnPremisesInstancesInput>, _ call: Call
  ) async throws -> Obj<ListOnPremisesInstancesOutput> {
    var records = try await store.list(OnPremisesRecord.self, in: call.scope).map(\.value)
    switch input[.registrationStatus] {
    case nil: break
    case .registered?: records = records.filter(\.isRegistered)
    case .deregistered?: records = records.filter { !$0.isRegistered }
    case let other?:
      throw CodeDeployErrors.invalidRegistrationStatusException("'\(other.rawValue)' is no status: Registered and Deregistered are.")
    }
    let filters = try (input[.tagFilters] ?? []).map {
      try Self.condition(key: $0[.key], value: $0[.value], type: $0[.type]?.rawValue, CodeDeployErrors.invalidTagFilterException)
    }
    if !filters.isEmpty { records = records.filter { record in filters.contains { $0.matches(record.tags) } } }
    let binding =
      "ListOnPremisesInstances \(call.scope) \(input[.registrationStatus]?.rawValue ?? "") \(filters.map(\.text).joined(separator: ","))"
    let page = try Page(records.map(\.name), token: input[.nextToken], binding: binding) { $0 }
    return Obj {
      $0[.instanceNames] = page.elements
      $0[.nextToken] = page.nextToken
    }
  }

  func addTagsToOnPremisesInstances(
    _ input: Obj<AddTagsToOnPremisesInstancesInput>, _ call: Call
  ) async throws -> Obj<NoMembers> {
    let tags = try onPremisesTags(input[.tags])
    try await retag(input[.instanceNames], call) { record in
      record.tags.merge(tags) { $1 }
      guard record.tags.count <= 10 else {
        throw CodeDeployErrors.tagLimitExceededException("\(record.name) would have \(record.tags.count) tags; at most 10 are allowed.")
      }
    }
    return Obj()
  }

  func removeTagsFromOnPremisesInstances(
    _ input: Obj<RemoveTagsFromOnPremisesInstancesInput>, _ call: Call
  ) async throws -> Obj<NoMembers> {
    let tags = try onPremisesTags(input[.tags])
    try await retag(input[.instanceNames], call) { record in
      for (key, value) in tags where record.tags[key] == value { record.tags[key] = nil }
    }
    return Obj()
  }

  private func onPremisesTags(_ list: [Obj<Tag>]) throws -> [String: String] {
    guard !list.isEmpty else { throw CodeDeployErrors.tagRequiredException("tags is empty.") }
    do {
      return try Check.tags(list)
    } catch let error as AWSError {
      throw CodeDeployErrors.invalidTagException(error.message)
    }
  }

  private func retag(
    _ names: [String], _ call: Call, _ change: (inout OnPremisesRecord) throws -> Void
  ) async throws {
    guard !names.isEmpty else { throw CodeDeployErrors.instanceNameRequiredException("instanceNames is empty.") }
    guard names.count <= 100 else {
      throw CodeDeployErrors.instanceLimitExceededException("At most 100 instances can be tagged in one call.")
    }
    try await engine.settle {
      var commit = StoreCommit()
      for name in names {
        let name = try Check.instanceName(name)
        guard let known = try await store.get(OnPremisesRecord.self, in: call.scope, id: name), known.value.isRegistered else {
          throw Self.unregistered(name)
        }
        var record = known.value
        try change(&record)
        try commit.put(record, in: call.scope, id: name, expecting: .version(known.version))
      }
      return (commit, ())
    }
  }

  private static func unregistered(_ name: String) -> AWSError {
    CodeDeployErrors.instanceNotRegisteredException("The on-premises instance \(name) is not registered.")
  }

  private static func info(_ record: OnPremisesRecord, _ scope: Scope) -> Obj<InstanceInfo> {
    Obj {
      $0[.instanceName] = record.name
      $0[.instanceArn] = ARNs.instance(record.name, scope)
      $0[.iamUserArn] = record.iamUserARN
      $0[.iamSessionArn] = record.iamSessionARN
      $0[.registerTime] = record.registerTime
      $0[.deregisterTime] = record.deregisterTime
      $0[.tags] = Check.tagList(record.tags)
    }
  }

  /// A tag filter as CodeDeploy takes it.
  static func condition(key: String?, value: String?, type: String?, _ refused: ErrorCode) throws -> TagCondition {
    switch type {
    case "KEY_ONLY"? where key != nil, "VALUE_ONLY"? where value != nil, "KEY_AND_VALUE"? where key != nil:
      return TagCondition(type: type ?? "", key: key, value: value)
    case nil where key != nil || value != nil:
      let type = key == nil ? "VALUE_ONLY" : value == nil ? "KEY_ONLY" : "KEY_AND_VALUE"
      return TagCondition(type: type, key: key, value: value)
    default:
      throw refused(
        "A tag filter needs Type KEY_ONLY, VALUE_ONLY or KEY_AND_VALUE and the Key or Value that the type names; got "
          + "Type \(type ?? "none"), Key \(key ?? "none"), Value \(value ?? "none").")
    }
  }
}
