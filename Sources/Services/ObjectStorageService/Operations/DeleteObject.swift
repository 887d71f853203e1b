import FoundationEssentials
import RegionKit
import RegionStore
import WireModel

extension S3Engine {
  func deleteObject(_ input: Obj<DeleteObjectRequest>, _ call: Call) async throws -> Obj<DeleteObjectOutput> {
    try Self.check(key: input[.key])
    try Self.refuseMFA(input[.mFA])
    if let versionId = input[.versionId] { try Self.check(versionId: versionId) }
    let expected = DeleteConditions(
      eTag: input[.ifMatch], lastModified: input[.ifMatchLastModifiedTime], size: input[.ifMatchSize].map(Int64.init))
    let done = try await delete(
      bucketName: input[.bucket], key: input[.key], versionId: input[.versionId], expectedOwner: input[.expectedBucketOwner],
      check: { try expected.check($0) })
    var output = Obj<DeleteObjectOutput>()
    output[.versionId] = done.versionId
    if done.isMarker { output[.deleteMarker] = true }
    return output
  }

  /// Up to 1,000 keys; each is authorised and deleted on its own, and what fails is told key by key.
  func deleteObjects(_ input: Obj<DeleteObjectsRequest>, _ call: Call) async throws -> Obj<DeleteObjectsOutput> {
    try Self.refuseMFA(input[.mFA])
    let wanted = input[.delete][.objects]
    guard !wanted.isEmpty, wanted.count <= 1000 else {
      throw S3Problem.malformedXML("Delete names between 1 and 1000 objects, not \(wanted.count).")
    }
    let bucket = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]).value
    let outcomes = try await deleteAll(wanted, bucket, input[.expectedBucketOwner], call)
    var deleted: [Obj<DeletedObject>] = []
    var errors: [Obj<S3Error>] = []
    for (entry, outcome) in zip(wanted, outcomes) {
      switch outcome {
      case .success(let done):
        if input[.delete][.quiet] == true { continue }
        deleted.append(
          Obj {
            $0[.key] = entry[.key]
            $0[.versionId] = entry[.versionId]
            if done.isMarker {
              $0[.deleteMarker] = true
              $0[.deleteMarkerVersionId] = done.versionId
            }
          })
      case .failure(let error):
        errors.append(
          Obj {
            $0[.key] = entry[.key]
            $0[.versionId] = entry[.versionId]
            $0[.code] = error.code
            $0[.message] = error.message
          })
      }
    }
    return Obj {
      if !deleted.isEmpty { $0[.deleted] = deleted }
      if !errors.isEmpty { $0[.errors] = errors }
    }
  }

  /// Many at a time, so that their commits share the disk's syncs; answers in the order asked. A fault of the region ends the call.
  private func deleteAll(
    _ wanted: [Obj<ObjectIdentifier>], _ bucket: BucketRecord, _ expectedOwner: String?, _ call: Call
  ) async throws -> [Result<Deletion, AWSError>] {
    var outcomes: [Result<Deletion, AWSError>?] = Array(repeating: nil, count: wanted.count)
    try await withThrowingTaskGroup(of: (Int, Result<Deletion, AWSError>).self) { group in
      for (position, entry) in wanted.enumerated() {
        if position >= 64, let (done, outcome) = try await group.next() { outcomes[done] = outcome }
        group.addTask {
          do {
            return (position, .success(try await deleteOne(entry, bucket, expectedOwner, call)))
          } catch let error as AWSError where error.fault == .sender {
            return (position, .failure(error))
          }
        }
      }
      for try await (done, outcome) in group { outcomes[done] = outcome }
    }
    return outcomes.compactMap { $0 }
  }

  private func deleteOne(
    _ entry: Obj<ObjectIdentifier>, _ bucket: BucketRecord, _ expectedOwner: String?, _ call: Call
  ) async throws -> Deletion {
    let key = entry[.key]
    let action = entry[.versionId] == nil ? "s3:DeleteObject" : "s3:DeleteObjectVersion"
    var context: [String: [String]] = [:]
    if let versionId = entry[.versionId] { context["s3:VersionId"] = [versionId] }
    try await call.authorize(request(action, bucket, key: key, context: context, call))
    try Self.check(key: key)
    if let versionId = entry[.versionId] {
      guard VersionToken.isWellFormed(versionId) else { throw S3Problem.noSuchVersion(key, versionId) }
    }
    let expected = DeleteConditions(
      eTag: entry[.eTag], lastModified: entry[.lastModifiedTime], size: entry[.size].map(Int64.init))
    return try await delete(
      bucketName: bucket.name, key: key, versionId: entry[.versionId], expectedOwner: expectedOwner,
      check: { try expected.check($0) })
  }

  private static func refuseMFA(_ mfa: String?) throws {
    if mfa != nil { throw S3Problem.notImplemented("x-amz-mfa", "MFA delete cannot be switched on here, so it is never needed.") }
  }
}

/// If-Match and its companions on deletes.
private struct DeleteConditions: Sendable {
  var eTag: String?
  var lastModified: Date?
  var size: Int64?

  func check(_ version: KeyVersion?) throws {
    guard eTag != nil || lastModified != nil || size != nil else { return }
    guard let version, !version.isMarker else {
      // Nothing is there to be protected; `*` demands something.
      if eTag == "*" { throw S3Problem.preconditionFailed("If-Match") }
      return
    }
    if let eTag, !ETagList.matches(eTag, version.eTag) { throw S3Problem.preconditionFailed("If-Match") }
    if let lastModified, lastModified != version.lastModified { throw S3Problem.preconditionFailed("x-amz-if-match-last-modified-time") }
    if let size, size != version.size { throw S3Problem.preconditionFailed("x-amz-if-match-size") }
  }
}
