import FoundationEssentials
import RegionKit
import RegionStore

/// A key as read for a decision, with the record versions that the commit demands.
struct KeyState: Sendable {
  var history = KeyHistory()
  var currentVersion: Int64?
  var olderVersions: [String: Int64] = [:]
}

/// Carries out `KeyPlan`s: reads what a decision needs, decides, commits, and decides again after a lost race.
extension S3Engine {
  /// How much of a key's past a decision needs.
  enum HistoryNeed { case currentOnly, newest, version(String) }

  func keyState(_ bucket: BucketRecord, _ key: String, _ need: HistoryNeed) async throws -> KeyState {
    let scope = bucket.contentScope
    let objectId = bucket.objectId(key)
    var state = KeyState()
    if let current = try await store.get(ObjectRecord.self, in: scope, id: objectId) {
      state.history.current = current.value.version
      state.currentVersion = current.version
    }
    var older: [Stored<VersionRecord>] = []
    switch need {
    case .currentOnly: return state
    case .newest:
      older += try await store.list(VersionRecord.self, in: scope, StoreQuery(prefix: objectId + KeyCode.end, limit: 2))
      if bucket.versioning == .suspended { older += try await nullVersions(objectId, scope) }
    case .version(let id):
      older += try await store.list(VersionRecord.self, in: scope, StoreQuery(prefix: objectId + KeyCode.end, limit: 2))
      if id == VersionToken.null {
        older += try await nullVersions(objectId, scope)
      } else if let row = try await store.get(VersionRecord.self, in: scope, id: objectId + KeyCode.end + id) {
        older.append(row)
      }
    }
    for row in older where state.olderVersions[row.id] == nil {
      state.olderVersions[row.id] = row.version
      state.history.older.append(row.value.version)
    }
    state.history.older.sort { $0.order > $1.order }
    return state
  }

  func nullVersions(_ objectId: String, _ scope: Scope) async throws -> [Stored<VersionRecord>] {
    try await store.list(VersionRecord.self, in: scope, StoreQuery(limit: 1, index: ("null", objectId)))
  }

  /// Adds a plan to a commit, together with the demand that the bucket and the key are as they were read.
  func add(_ plan: KeyPlan, to commit: inout StoreCommit, _ bucket: Stored<BucketRecord>, _ key: String, _ state: KeyState) throws {
    let scope = bucket.value.contentScope
    let objectId = bucket.value.objectId(key)
    let expected: Expectation = state.currentVersion.map { .version($0) } ?? .absent
    commit.require(BucketRecord.self, in: BucketRecord.scope, id: bucket.value.name, .version(bucket.version))
    var current: KeyVersion??
    for change in plan.changes {
      switch change {
      case .setCurrent(let version):
        scrubWatch.name(version.content)
        current = .some(version)
      case .removeCurrent: current = .some(nil)
      case .addOlder(let version):
        scrubWatch.name(version.content)
        let row = VersionRecord(objectId: objectId, version: version)
        try commit.put(row, in: scope, id: row.id)
      case .removeOlder(let version):
        let id = VersionRecord(objectId: objectId, version: version).id
        commit.delete(
          VersionRecord.self, in: scope, id: id, expecting: state.olderVersions[id].map { .version($0) } ?? .anything)
      }
    }
    switch current {
    case .some(.some(let version)): try commit.put(ObjectRecord(version: version), in: scope, id: objectId, expecting: expected)
    case .some(.none): commit.delete(ObjectRecord.self, in: scope, id: objectId, expecting: expected)
    case nil: commit.require(ObjectRecord.self, in: scope, id: objectId, expected)
    }
    for reference in plan.freed { release(reference, scope, in: &commit) }
  }

  /// Ends the life of bytes that nothing names after this commit: a row at once, files by a task.
  func release(_ reference: ContentReference, _ scope: Scope, in commit: inout StoreCommit) {
    switch reference {
    case .empty: break
    case .inline(let id): commit.delete(InlineRecord.self, in: scope, id: id)
    case .file(let id):
      commit.tasks.append(
        NewTask(id: "\(ContentTask.fileKind)/\(id)", kind: ContentTask.fileKind, scope: scope, subject: id, due: clock.now()))
    case .manifest(let id):
      commit.tasks.append(
        NewTask(
          id: "\(ContentTask.manifestKind)/\(id)", kind: ContentTask.manifestKind, scope: scope, subject: id,
          due: clock.now()))
    }
  }

  /// Makes a new version of a key current. `check` sees the version it would replace and may refuse (preconditions); it runs
  /// again with every attempt. `extra` adds what belongs to the same commit.
  func put(
    bucketName: String, key: String, expectedOwner: String?, check: @Sendable (KeyVersion?) throws -> Void,
    make: @Sendable (_ versionId: String?, _ order: UInt64) -> KeyVersion,
    extra: @Sendable (BucketRecord, inout StoreCommit) async throws -> Void
  ) async throws -> (bucket: BucketRecord, version: KeyVersion) {
    for _ in 0..<Self.attempts {
      let bucket = try await writableBucket(bucketName, expectedOwner: expectedOwner)
      let done = try await locks.withLock(bucket.value.objectId(key)) { () -> KeyVersion? in
        let state = try await keyState(bucket.value, key, bucket.value.versioning == nil ? .currentOnly : .newest)
        try check(state.history.current)
        let order = VersionToken.order(at: clock.now(), after: state.history.lastOrder)
        let versionId = bucket.value.versioning == .enabled ? VersionToken.versionId(order: order, random: random) : nil
        let version = make(versionId, order)
        let plan = KeyPlanner.put(version, in: state.history, bucket.value.versioning)
        var commit = StoreCommit()
        try await extra(bucket.value, &commit)
        try add(plan, to: &commit, bucket, key, state)
        do {
          try await store.commit(commit)
          return version
        } catch let conflict as StoreConflict {
          // A demand of the caller's own (`extra`) that does not hold is not a race to run again.
          if !Self.isKeyRow(conflict.key.collection) { throw conflict }
          return nil
        }
      }
      if let done { return (bucket.value, done) }
    }
    throw S3Problem.operationAborted("key \(key)")
  }

  private static func isKeyRow(_ collection: String) -> Bool {
    [BucketRecord.collection, ObjectRecord.collection, VersionRecord.collection].contains(collection)
  }

  /// What became of a delete.
  struct Deletion: Sendable {
    /// The version id for the answer: of the marker made, or of the version removed.
    var versionId: String?
    /// The answer concerns a delete marker: one was made, or the version removed was one.
    var isMarker: Bool
    var madeMarker: Bool
  }

  /// Deletes a key (`versionId` nil) or one of its versions. Deleting what is absent succeeds, as in AWS.
  func delete(
    bucketName: String, key: String, versionId: String?, expectedOwner: String?,
    check: @Sendable (KeyVersion?) throws -> Void
  ) async throws -> Deletion {
    for _ in 0..<Self.attempts {
      let bucket = try await writableBucket(bucketName, expectedOwner: expectedOwner)
      let done = try await locks.withLock(bucket.value.objectId(key)) { () -> Deletion? in
        let versioning = bucket.value.versioning
        let need: HistoryNeed = versionId.map { .version($0) } ?? (versioning == nil ? .currentOnly : .newest)
        let state = try await keyState(bucket.value, key, need)
        let decided = try decide(state.history, versioning, key, versionId, check)
        guard !decided.plan.changes.isEmpty else { return decided.answer }
        var commit = StoreCommit()
        try add(decided.plan, to: &commit, bucket, key, state)
        do {
          try await store.commit(commit)
          return decided.answer
        } catch is StoreConflict { return nil }
      }
      if let done { return done }
    }
    throw S3Problem.operationAborted("key \(key)")
  }

  private func decide(
    _ history: KeyHistory, _ versioning: BucketRecord.Versioning?, _ key: String, _ versionId: String?,
    _ check: @Sendable (KeyVersion?) throws -> Void
  ) throws -> (plan: KeyPlan, answer: Deletion) {
    if let versionId {
      let wanted = versionId == VersionToken.null ? nil : versionId
      let (plan, removed) = KeyPlanner.delete(version: wanted, in: history)
      try check(removed)
      return (plan, Deletion(versionId: versionId, isMarker: removed?.isMarker ?? false, madeMarker: false))
    }
    try check(history.current)
    let order = VersionToken.order(at: clock.now(), after: history.lastOrder)
    let marker = KeyVersion(
      key: key, versionId: versioning == .enabled ? VersionToken.versionId(order: order, random: random) : nil, order: order,
      isDeleteMarker: true, size: 0, eTag: "", lastModified: wholeSeconds, content: .empty, metadata: ObjectMetadata())
    let plan = KeyPlanner.delete(marker: marker, in: history, versioning)
    return (
      plan,
      Deletion(
        versionId: versioning == nil ? nil : marker.shownVersionId, isMarker: versioning != nil, madeMarker: versioning != nil)
    )
  }
}
