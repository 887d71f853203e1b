import RegionKit
import RegionStore
import WireModel

extension S3Engine {
  func getObjectTagging(_ input: Obj<GetObjectTaggingRequest>, _ call: Call) async throws -> Obj<GetObjectTaggingOutput> {
    let bucket = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]).value
    let version = try await object(bucket, input[.key], versionId: input[.versionId], method: "GET", call)
    return Obj {
      $0[.tagSet] = TagRules.show(version.tags ?? [])
      if bucket.versioning != nil { $0[.versionId] = version.shownVersionId }
    }
  }

  func putObjectTagging(_ input: Obj<PutObjectTaggingRequest>, _ call: Call) async throws -> Obj<PutObjectTaggingOutput> {
    let tags = try TagRules.read(input[.tagging][.tagSet], most: 10)
    let done = try await updateVersion(
      input[.bucket], input[.key], versionId: input[.versionId], expectedOwner: input[.expectedBucketOwner], method: "PUT", call
    ) { $0.tags = tags.isEmpty ? nil : tags }
    return Obj { if done.bucket.versioning != nil { $0[.versionId] = done.version.shownVersionId } }
  }

  func deleteObjectTagging(_ input: Obj<DeleteObjectTaggingRequest>, _ call: Call) async throws -> Obj<DeleteObjectTaggingOutput> {
    let done = try await updateVersion(
      input[.bucket], input[.key], versionId: input[.versionId], expectedOwner: input[.expectedBucketOwner], method: "DELETE", call
    ) { $0.tags = nil }
    return Obj { if done.bucket.versioning != nil { $0[.versionId] = done.version.shownVersionId } }
  }

  /// Changes what is said of a version, not its bytes and not its place.
  private func updateVersion(
    _ bucketName: String, _ key: String, versionId: String?, expectedOwner: String?, method: String, _ call: Call,
    _ change: @Sendable (inout KeyVersion) -> Void
  ) async throws -> (bucket: BucketRecord, version: KeyVersion) {
    for _ in 0..<Self.attempts {
      let bucket = try await writableBucket(bucketName, expectedOwner: expectedOwner)
      var version = try await object(bucket.value, key, versionId: versionId, method: method, call)
      change(&version)
      let scope = bucket.value.contentScope
      let objectId = bucket.value.objectId(key)
      let row = VersionRecord(objectId: objectId, version: version)
      var commit = StoreCommit()
      commit.require(BucketRecord.self, in: BucketRecord.scope, id: bucketName, .version(bucket.version))
      // The row may have changed since `object` read it: it counts only if it is still the same version there.
      if let current = try await store.get(ObjectRecord.self, in: scope, id: objectId), current.value.version.order == version.order {
        try commit.put(ObjectRecord(version: version), in: scope, id: objectId, expecting: .version(current.version))
      } else if let older = try await store.get(VersionRecord.self, in: scope, id: row.id) {
        try commit.put(row, in: scope, id: row.id, expecting: .version(older.version))
      } else {
        continue
      }
      do {
        try await store.commit(commit)
        return (bucket.value, version)
      } catch is StoreConflict { continue }
    }
    throw S3Problem.operationAborted("key \(key)")
  }
}
