import FoundationEssentials
import RegionKit
import RegionStore
import WireModel

extension CodeDeployOperations {
  func createApplication(_ input: Obj<CreateApplicationInput>, _ call: Call) async throws -> Obj<CreateApplicationOutput> {
    let name = try Check.application(input.fields["applicationName"]?.asString)
    let platform = input[.computePlatform] ?? .server
    guard [ComputePlatform.server, .lambda, .ecs].contains(platform) else {
      throw CodeDeployErrors.invalidComputePlatformException(
        "'\(platform.rawValue)' is no compute platform: Server, Lambda and ECS are.")
    }
    guard platform == .server else {
      throw CodeDeployErrors.invalidComputePlatformException(
        "Deployments to \(platform.rawValue) are not available in this Roadstead region yet; Server (EC2 and on-premises) is.")
    }
    let record = ApplicationRecord(
      applicationId: call.random.uuid(), name: name, computePlatform: platform.rawValue, createTime: call.now,
      tags: try Check.tags(input[.tags] ?? []))
    var commit = StoreCommit()
    try commit.put(record, in: call.scope, id: name, expecting: .absent)
    do {
      try await store.commit(commit)
    } catch is StoreConflict {
      throw CodeDeployErrors.applicationAlreadyExistsException("Application already exists: \(name)")
    }
    return Obj { $0[.applicationId] = record.applicationId }
  }

  func getApplication(_ input: Obj<GetApplicationInput>, _ call: Call) async throws -> Obj<GetApplicationOutput> {
    let application = try await application(input.fields["applicationName"]?.asString, call)
    return Obj { $0[.application] = Self.info(application.value) }
  }

  func batchGetApplications(
    _ input: Obj<BatchGetApplicationsInput>, _ call: Call
  ) async throws -> Obj<BatchGetApplicationsOutput> {
    let names = try Check.batch(
      input[.applicationNames], limit: 100, CodeDeployErrors.applicationNameRequiredException, "applicationNames")
    var found: [Obj<ApplicationInfo>] = []
    for name in names { found.append(Self.info(try await application(name, call).value)) }
    return Obj { $0[.applicationsInfo] = found }
  }

  func listApplications(_ input: Obj<ListApplicationsInput>, _ call: Call) async throws -> Obj<ListApplicationsOutput> {
    let names = try await store.list(ApplicationRecord.self, in: call.scope).map(\.id)
    let page = try Page(names, token: input[.nextToken], binding: "ListApplications \(call.scope)") { $0 }
    return Obj {
      $0[.applications] = page.elements
      $0[.nextToken] = page.nextToken
    }
  }

  func updateApplication(_ input: Obj<UpdateApplicationInput>, _ call: Call) async throws -> Obj<NoMembers> {
    let old = try Check.application(input[.applicationName])
    guard let new = input[.newApplicationName], new != old else {
      _ = try await application(old, call)
      return Obj()
    }
    _ = try Check.application(new)
    try await engine.settle {
      let stored = try await application(old, call)
      guard try await store.get(ApplicationRecord.self, in: call.scope, id: new) == nil else {
        throw CodeDeployErrors.applicationAlreadyExistsException("Application already exists: \(new)")
      }
      var renamed = stored.value
      renamed.name = new
      var commit = StoreCommit()
      commit.delete(ApplicationRecord.self, in: call.scope, id: old, expecting: .version(stored.version))
      try commit.put(renamed, in: call.scope, id: new, expecting: .absent)
      return (commit, ())
    }
    return Obj()
  }

  /// With its groups and revisions. Deployments stay readable, and one that runs goes on.
  func deleteApplication(_ input: Obj<DeleteApplicationInput>, _ call: Call) async throws -> Obj<NoMembers> {
    let name = try Check.application(input.fields["applicationName"]?.asString)
    try await engine.settle {
      // AWS answers the deletion of what is not there with success: it is gone.
      guard let stored = try await store.get(ApplicationRecord.self, in: call.scope, id: name) else { return (nil, ()) }
      var commit = StoreCommit()
      commit.delete(ApplicationRecord.self, in: call.scope, id: name, expecting: .version(stored.version))
      let query = StoreQuery(prefix: stored.value.applicationId + "/")
      for group in try await store.list(DeploymentGroupRecord.self, in: call.scope, query) {
        commit.delete(DeploymentGroupRecord.self, in: call.scope, id: group.id, expecting: .version(group.version))
        try await forgetHosts(of: group.value, call.scope, into: &commit)
      }
      for revision in try await store.list(RevisionRecord.self, in: call.scope, query) {
        commit.delete(RevisionRecord.self, in: call.scope, id: revision.id)
      }
      return (commit, ())
    }
    return Obj()
  }

  /// The application, or the error AWS gives for none.
  func application(_ name: String?, _ call: Call) async throws -> Stored<ApplicationRecord> {
    let name = try Check.application(name)
    guard let stored = try await store.get(ApplicationRecord.self, in: call.scope, id: name) else {
      throw CodeDeployErrors.applicationDoesNotExistException("No application found for name: \(name)")
    }
    return stored
  }

  private static func info(_ record: ApplicationRecord) -> Obj<ApplicationInfo> {
    Obj {
      $0[.applicationId] = record.applicationId
      $0[.applicationName] = record.name
      $0[.createTime] = record.createTime
      $0[.linkedToGitHub] = false
      $0[.computePlatform] = ComputePlatform(rawValue: record.computePlatform)
    }
  }
}
