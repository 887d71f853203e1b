import FoundationEssentials
import RegionKit
import RegionStore
import WireModel

extension CodeDeployOperations {
  func registerApplicationRevision(
    _ input: Obj<RegisterApplicationRevisionInput>, _ call: Call
  ) async throws -> Obj<NoMembers> {
    let application = try await application(input.fields["applicationName"]?.asString, call).value
    let revision = try Self.revision(input.fields["revision"])
    let description = try Check.description(input[.description])
    try await engine.settle {
      let known = try await registered(revision, application, call.scope)
      var record = known?.value ?? RevisionRecord(revision: revision, registerTime: call.now)
      record.registerTime = call.now
      record.description = description ?? record.description
      return (try Self.put(record, application, call.scope, known), ())
    }
    return Obj()
  }

  func getApplicationRevision(
    _ input: Obj<GetApplicationRevisionInput>, _ call: Call
  ) async throws -> Obj<GetApplicationRevisionOutput> {
    let application = try await application(input.fields["applicationName"]?.asString, call).value
    let revision = try Self.revision(input.fields["revision"])
    guard let record = try await registered(revision, application, call.scope)?.value else {
      throw CodeDeployErrors.revisionDoesNotExistException("\(revision.text) is not registered with application \(application.name).")
    }
    let groups = try await groups(of: application, call.scope)
    return Obj {
      $0[.applicationName] = application.name
      $0[.revision] = Self.location(revision)
      $0[.revisionInfo] = Self.info(record, groups)
    }
  }

  func batchGetApplicationRevisions(
    _ input: Obj<BatchGetApplicationRevisionsInput>, _ call: Call
  ) async throws -> Obj<BatchGetApplicationRevisionsOutput> {
    let application = try await application(input.fields["applicationName"]?.asString, call).value
    let list = try Check.batch(input[.revisions], limit: 25, CodeDeployErrors.revisionRequiredException, "revisions")
    let groups = try await groups(of: application, call.scope)
    var found: [Obj<RevisionInfo>] = []
    var missing: [String] = []
    for location in list {
      let revision = try Self.revision(location.wire)
      if let record = try await registered(revision, application, call.scope)?.value {
        found.append(
          Obj {
            $0[.revisionLocation] = Self.location(revision)
            $0[.genericRevisionInfo] = Self.info(record, groups)
          })
      } else {
        missing.append(revision.text)
      }
    }
    return Obj {
      $0[.applicationName] = application.name
      $0[.revisions] = found
      if !missing.isEmpty { $0[.errorMessage] = "Not registered with \(application.name): " + missing.joined(separator: ", ") }
    }
  }

  func listApplicationRevisions(
    _ input: Obj<ListApplicationRevisionsInput>, _ call: Call
  ) async throws -> Obj<ListApplicationRevisionsOutput> {
    let application = try await application(input.fields["applicationName"]?.asString, call).value
    if input[.s3KeyPrefix] != nil, input[.s3Bucket] == nil {
      throw CodeDeployErrors.bucketNameFilterRequiredException("s3KeyPrefix needs s3Bucket beside it.")
    }
    let prefix = application.applicationId + "/"
    var records = try await store.list(RevisionRecord.self, in: call.scope, StoreQuery(prefix: prefix)).map(\.value)
    if let bucket = input[.s3Bucket] {
      let keyPrefix = input[.s3KeyPrefix] ?? ""
      records = records.filter { if case .s3(let s3) = $0.revision { s3.bucket == bucket && s3.key.hasPrefix(keyPrefix) } else { false } }
    }
    switch input[.deployed] ?? .ignore {
    case .ignore: break
    case .include, .exclude:
      let targets = Set(try await groups(of: application, call.scope).compactMap { $0.lastSuccessful?.revision })
      let isWanted = input[.deployed] == .include
      records = records.filter { targets.contains($0.revision) == isWanted }
    case let other:
      throw CodeDeployErrors.invalidDeployedStateFilterException("'\(other.rawValue)' is no filter: include, exclude and ignore are.")
    }
    records = try Self.sorted(records, input)
    let order = "\(input[.sortBy]?.rawValue ?? "") \(input[.sortOrder]?.rawValue ?? "") \(input[.deployed]?.rawValue ?? "")"
    let binding =
      "ListApplicationRevisions \(call.scope) \(application.applicationId) \(order) \(input[.s3Bucket] ?? "") \(input[.s3KeyPrefix] ?? "")"
    let page = try Page(records, token: input[.nextToken], binding: binding) { $0.revision.identity }
    return Obj {
      $0[.revisions] = page.elements.map { Self.location($0.revision) }
      $0[.nextToken] = page.nextToken
    }
  }

  private static func sorted(
    _ records: [RevisionRecord], _ input: Obj<ListApplicationRevisionsInput>
  ) throws -> [RevisionRecord] {
    let time: (RevisionRecord) -> Date?
    switch input[.sortBy] {
    case nil, .registerTime?: time = { $0.registerTime }
    case .firstUsedTime?: time = { $0.firstUsedTime }
    case .lastUsedTime?: time = { $0.lastUsedTime }
    case let other?:
      throw CodeDeployErrors.invalidSortByException(
        "'\(other.rawValue)' is no column: registerTime, firstUsedTime and lastUsedTime are.")
    }
    let order = input[.sortOrder] ?? (input[.sortBy] == nil ? .descending : .ascending)
    guard order == .ascending || order == .descending else {
      throw CodeDeployErrors.invalidSortOrderException("'\(order.rawValue)' is no order: ascending and descending are.")
    }
    return records.sorted { a, b in
      let (x, y) = (time(a) ?? .distantPast, time(b) ?? .distantPast)
      if x != y { return order == .ascending ? x < y : x > y }
      return a.revision.identity < b.revision.identity
    }
  }

  func registered(
    _ revision: Revision, _ application: ApplicationRecord, _ scope: Scope
  ) async throws -> Stored<RevisionRecord>? {
    try await store.get(RevisionRecord.self, in: scope, id: RevisionRecord.id(application.applicationId, revision))
  }

  private static func put(
    _ record: RevisionRecord, _ application: ApplicationRecord, _ scope: Scope, _ known: Stored<RevisionRecord>?
  ) throws -> StoreCommit {
    var commit = StoreCommit()
    try commit.put(
      record, in: scope, id: RevisionRecord.id(application.applicationId, record.revision),
      expecting: known.map { .version($0.version) } ?? .absent)
    return commit
  }

  private static func info(_ record: RevisionRecord, _ groups: [DeploymentGroupRecord]) -> Obj<GenericRevisionInfo> {
    Obj {
      $0[.description] = record.description
      $0[.deploymentGroups] = groups.filter { $0.lastSuccessful?.revision == record.revision }.map(\.name)
      $0[.registerTime] = record.registerTime
      $0[.firstUsedTime] = record.firstUsedTime
      $0[.lastUsedTime] = record.lastUsedTime
    }
  }

  /// Reads a RevisionLocation; what hosts cannot take is refused by name.
  static func revision(_ value: WireValue?) throws -> Revision {
    guard let location = Obj<RevisionLocation>(wire: value), !location.fields.isEmpty else {
      throw CodeDeployErrors.revisionRequiredException("RevisionLocation must be specified")
    }
    let refused = CodeDeployErrors.invalidRevisionException
    let type = location[.revisionType] ?? (location[.gitHubLocation] == nil ? .s3 : .gitHub)
    switch type {
    case .s3:
      guard let s3 = location[.s3Location], let bucket = s3[.bucket], !bucket.isEmpty, let key = s3[.key], !key.isEmpty,
        let bundle = s3[.bundleType]
      else { throw refused("An S3 revision needs s3Location with bucket, key and bundleType.") }
      guard [BundleType.zip, .tar, .tgz].contains(bundle) else {
        throw refused("'\(bundle.rawValue)' is no bundle type for EC2 and on-premises hosts: zip, tar and tgz are.")
      }
      return .s3(
        Revision.S3(bucket: bucket, key: key, bundleType: bundle.rawValue, version: s3[.version], eTag: s3[.eTag].map(bareETag)))
    case .gitHub:
      guard let hub = location[.gitHubLocation], let repository = hub[.repository], let commit = hub[.commitId], !commit.isEmpty,
        repository.split(separator: "/", omittingEmptySubsequences: false).count == 2, !repository.hasPrefix("/"),
        !repository.hasSuffix("/")
      else { throw refused("A GitHub revision needs gitHubLocation with repository (account/repository) and commitId.") }
      return .gitHub(Revision.GitHub(repository: repository, commitId: commit))
    default:
      throw refused("Revisions of type \(type.rawValue) are for Lambda and ECS; hosts take S3 and GitHub.")
    }
  }

  /// `aws deploy push` sends the ETag in quotes, agents compare without.
  private static func bareETag(_ text: String) -> String { text.filter { $0 != "\"" } }

  static func location(_ revision: Revision) -> Obj<RevisionLocation> {
    Obj { location in
      switch revision {
      case .s3(let s3):
        location[.revisionType] = .s3
        location[.s3Location] = Obj {
          $0[.bucket] = s3.bucket
          $0[.key] = s3.key
          $0[.bundleType] = BundleType(rawValue: s3.bundleType)
          $0[.version] = s3.version
          $0[.eTag] = s3.eTag
        }
      case .gitHub(let hub):
        location[.revisionType] = .gitHub
        location[.gitHubLocation] = Obj {
          $0[.repository] = hub.repository
          $0[.commitId] = hub.commitId
        }
      }
    }
  }
}
