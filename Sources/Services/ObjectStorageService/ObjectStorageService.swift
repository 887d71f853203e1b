public import ContentStore
public import Durable
import FoundationEssentials
public import Ports
public import RegionKit
public import RegionStore
public import WireModel

/// S3: buckets, objects, versions, multipart uploads.
///
/// - Bucket records lie in one scope of their own (account 000000000000, region aws-global), so a name is taken once over all
///   accounts and regions; each names its owner and home region, and everything in it lies in that scope under the bucket's own id.
/// - A key's current object is one row of `s3.object`; older versions and delete markers are rows of `s3.version`. Ids sort like
///   the keys' bytes, so every listing is a range scan.
/// - Bytes up to 16 KiB are a row committed with the object's; longer ones are files that are on disk before the row commits. A
///   multipart object is a list of its parts' files: completing it copies nothing.
/// - Bytes that lose their last row are deleted by a task of the same commit; `scrub` finds what a crash may leave.
public struct ObjectStorageService: Sendable {
  private let engine: S3Engine

  /// - Parameter encryptionKey: 32 bytes, kept for the life of the region; wraps the keys of objects encrypted at rest (SSE-S3).
  ///   Nil: requests for encryption are refused.
  public init(
    store: any RegionStore, content: ContentStore, clock: any RegionClock, random: any Randomness, encryptionKey: [UInt8]? = nil
  ) {
    self.init(store: store, bytes: StoredContent(store: content), clock: clock, random: random, encryptionKey: encryptionKey)
  }

  /// With another place for the bytes, e.g. one that injects faults.
  public init(
    store: any RegionStore, bytes: any ObjectContent, clock: any RegionClock, random: any Randomness, encryptionKey: [UInt8]? = nil
  ) {
    engine = S3Engine(
      store: store, content: bytes, clock: clock, random: random,
      sealing: encryptionKey.map { Sealing(key: $0, random: random) })
  }

  /// What the gateway registers.
  public var module: any ServiceModule { S3Module(engine: engine) }

  /// The task kinds that this service runs; register them with the task runner.
  public var taskHandlers: [any TaskHandler] {
    [
      ContentDeleter(kind: ContentTask.fileKind, engine: engine),
      ContentDeleter(kind: ContentTask.manifestKind, engine: engine),
      ScrubTask(engine: engine),
    ]
  }

  /// Goes on with bucket deletions that a crash interrupted, and sees that the daily scrub is scheduled. Call once at start.
  public func recover() async throws {
    try await engine.recover()
    var commit = StoreCommit()
    commit.tasks.append(ScrubTask.first(engine.clock))
    try await engine.store.commit(commit)
  }

  /// Removes bytes and rows that nothing names; with `verify` reads every object and reports what is missing or damaged.
  public func scrub(verify: Bool = false) async throws -> ScrubReport { try await engine.scrub(verify: verify) }
}

extension ObjectStorageService: ObjectReader {
  public func head(bucket: String, key: String, versionId: String?) async throws -> ObjectSummary? {
    guard let record = try await engine.storedBucket(bucket)?.value else { return nil }
    if let versionId, !VersionToken.isWellFormed(versionId) { return nil }
    guard let version = try await engine.find(record, key, versionId: versionId), !version.isMarker else { return nil }
    return ObjectSummary(
      bucket: bucket, key: key, versionId: record.versioning == nil ? nil : version.shownVersionId, eTag: version.eTag,
      size: version.size)
  }
}

private struct S3Module: ServiceModule {
  let engine: S3Engine
  var model: ServiceModel { S3Wire.model }
  let handlers: [String: OperationHandler]

  init(engine: S3Engine) {
    self.engine = engine
    handlers = S3Wire.handlers(engine)
  }

  func authorization(for operation: String, input: [String: WireValue], call: Call) async throws -> [AuthorizationRequest] {
    try await engine.authorization(for: operation, input: input, call: call)
  }
}

extension S3Engine: S3API {}
