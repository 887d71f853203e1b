import FoundationEssentials
import Logging
import RegionKit
import RegionStore

/// What every S3 operation works with. Operations are extensions of it, in `Operations/`.
struct S3Engine: Sendable {
  let store: any RegionStore
  let content: any ObjectContent
  let clock: any RegionClock
  let random: any Randomness
  /// For encryption at rest; nil: requests for it are refused.
  let sealing: Sealing?
  let leases = ContentLeases()
  let locks = KeyLocks()
  let scrubWatch = ScrubWatch()
  let logger = Logger(label: "roadstead.s3")
  /// How often a write that lost a race is decided again before the caller is asked to try again.
  static let attempts = 40

  init(store: any RegionStore, content: any ObjectContent, clock: any RegionClock, random: any Randomness, sealing: Sealing? = nil) {
    self.store = store
    self.content = content
    self.clock = clock
    self.random = random
    self.sealing = sealing
  }

  var ingest: Ingest { Ingest(content: content, sealing: sealing) }
  var reader: ContentReader { ContentReader(store: store, content: content, leases: leases, sealing: sealing) }

  /// Now, in whole seconds: S3 keeps no fractions, and conditions compare with header dates that have none.
  var wholeSeconds: Date { Date(timeIntervalSince1970: clock.now().timeIntervalSince1970.rounded(.down)) }

  func freshId() -> String { random.hex(24) }

  /// Of the URLs in answers: as the caller came.
  static func scheme(_ call: Call) -> String { call.facts.secureTransport ? "https" : "http" }

  // MARK: Buckets

  func storedBucket(_ name: String) async throws -> Stored<BucketRecord>? {
    guard BucketName.isValid(name) else { return nil }
    return try await store.get(BucketRecord.self, in: BucketRecord.scope, id: name)
  }

  /// The bucket, with the check of `x-amz-expected-bucket-owner`. Throws NoSuchBucket, InvalidBucketName, AccessDenied.
  func bucket(_ name: String, expectedOwner: String? = nil) async throws -> Stored<BucketRecord> {
    guard BucketName.isValid(name) else { throw S3Problem.invalidBucketName(name) }
    guard let bucket = try await storedBucket(name) else { throw S3Problem.noSuchBucket(name) }
    if let expectedOwner, expectedOwner != bucket.value.owner.rawValue {
      throw S3Problem.accessDenied(
        "Access Denied: bucket \(name) does not belong to the expected account \(expectedOwner).")
    }
    return bucket
  }

  /// The bucket for a write into it: one that is being deleted takes none.
  func writableBucket(_ name: String, expectedOwner: String? = nil) async throws -> Stored<BucketRecord> {
    let bucket = try await bucket(name, expectedOwner: expectedOwner)
    if bucket.value.deleting == true { throw S3Problem.operationAborted("bucket \(name) is being deleted") }
    return bucket
  }

  /// Reads the bucket, changes it and commits; decided again when somebody else was faster.
  func updateBucket(
    _ name: String, expectedOwner: String?, _ change: (inout BucketRecord) throws -> Void
  ) async throws {
    for _ in 0..<Self.attempts {
      let bucket = try await writableBucket(name, expectedOwner: expectedOwner)
      var record = bucket.value
      try change(&record)
      var commit = StoreCommit()
      try commit.put(record, in: BucketRecord.scope, id: name, expecting: .version(bucket.version))
      do {
        return try await store.commit(commit)
      } catch is StoreConflict { continue }
    }
    throw S3Problem.operationAborted("bucket \(name)")
  }

  // MARK: Keys

  /// Throws KeyTooLongError; anything else may be a key.
  static func check(key: String) throws {
    let size = key.utf8.count
    guard size <= 1024 else {
      throw AWSError(
        "KeyTooLongError", "Your key is too long", status: 400, fields: ["Size": String(size), "MaxSizeAllowed": "1024"])
    }
  }
}
