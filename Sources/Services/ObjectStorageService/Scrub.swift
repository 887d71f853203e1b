import FoundationEssentials
import Logging
import RegionKit
import RegionStore

/// What a scrub found and did.
public struct ScrubReport: Sendable, Equatable {
  public var buckets = 0
  public var objects = 0
  /// Files and rows that nothing named, removed.
  public var orphanFiles: [String] = []
  public var orphanRows = 0
  /// `bucket/key (version)` of what is named but gone, or whose bytes are not what was stored.
  public var missing: [String] = []
  public var damaged: [String] = []
  public init() {}
}

extension S3Engine {
  /// How old a file must be before it can be an orphan: younger ones may belong to a PUT that has not committed yet, seconds.
  static let orphanAge: Double = 3600

  /// Finds bytes that no row names and removes them, and rows that name no bytes and reports them. With `verify` every object is
  /// read and held against its ETag (or its parts' ETags through their checksums).
  func scrub(verify: Bool) async throws -> ScrubReport {
    scrubWatch.begin()
    defer { scrubWatch.end() }
    var report = ScrubReport()
    // The order matters: what could be an orphan is listed first, what is alive afterwards.
    let before = clock.now().addingTimeInterval(-Self.orphanAge)
    var suspects = Set(try await content.ids(writtenBefore: before))
    let buckets = try await store.listAll(BucketRecord.self).map(\.value)
    let scopes = Set(buckets.map(\.contentScope))
    var manifests: [Scope: Set<String>] = [:]
    var inlines: [Scope: Set<String>] = [:]
    for scope in scopes {
      manifests[scope] = try await ids(ManifestRecord.self, scope)
      inlines[scope] = try await ids(InlineRecord.self, scope)
      try await removeEndedUploads(scope, buckets, &report)
      for part in try await store.list(PartRecord.self, in: scope) { suspects.remove(part.value.file) }
    }
    for bucket in buckets {
      report.buckets += 1
      let scope = bucket.contentScope
      var objects = RowCursor<ObjectRecord>(store, in: scope, prefix: bucket.idPrefix(), after: nil, pageSize: 500)
      while let row = try await objects.peek() {
        try await visit(row.value.version, bucket, verify, &suspects, &manifests, &inlines, &report)
        objects.advance()
      }
      var older = RowCursor<VersionRecord>(store, in: scope, prefix: bucket.idPrefix(), after: nil, pageSize: 500)
      while let row = try await older.peek() {
        try await visit(row.value.version, bucket, verify, &suspects, &manifests, &inlines, &report)
        older.advance()
      }
    }
    for (scope, left) in manifests {
      for id in left {
        guard let row = try await store.get(ManifestRecord.self, in: scope, id: id) else { continue }
        if scrubWatch.isNamed(id) {
          suspects.subtract(row.value.parts.map(\.file))
          continue
        }
        suspects.formUnion(row.value.parts.map(\.file))
        var commit = StoreCommit()
        release(.manifest(id), scope, in: &commit)
        try await store.commit(commit)
        report.orphanRows += 1
      }
    }
    for (scope, left) in inlines {
      for id in left where !scrubWatch.isNamed(id) {
        var commit = StoreCommit()
        commit.delete(InlineRecord.self, in: scope, id: id)
        try await store.commit(commit)
        report.orphanRows += 1
      }
    }
    for id in suspects.sorted() where !scrubWatch.isNamed(id) && leases.doom(id) {
      defer { leases.forget(id) }
      try await content.delete(id)
      report.orphanFiles.append(id)
    }
    return report
  }

  /// Takes up what a crash interrupted: buckets that were being deleted.
  func recover() async throws {
    for bucket in try await store.listAll(BucketRecord.self) where bucket.value.deleting == true {
      do {
        try await finishDeletion(of: bucket)
      } catch let error as AWSError where error.code == "BucketNotEmpty" {
        logger.info("bucket is open again, it was not empty", metadata: ["bucket": "\(bucket.value.name)"])
      }
    }
  }

  private func ids<Record: StoredRecord>(_ type: Record.Type, _ scope: Scope) async throws -> Set<String> {
    var cursor = RowCursor<Record>(store, in: scope, prefix: "", after: nil, pageSize: 200)
    var found: Set<String> = []
    while let row = try await cursor.peek() {
      found.insert(row.id)
      cursor.advance()
    }
    return found
  }

  /// Parts whose upload has ended (they were stored while it ended), and answers of completed uploads that nobody asks for any
  /// more.
  private func removeEndedUploads(_ scope: Scope, _ buckets: [BucketRecord], _ report: inout ScrubReport) async throws {
    let parts = try await store.list(PartRecord.self, in: scope)
    let alive = Set(try await store.list(UploadRecord.self, in: scope).map(\.value.uploadId))
    for part in parts {
      guard let end = part.id.firstIndex(of: " "), !alive.contains(String(part.id[..<end])) else { continue }
      var commit = StoreCommit()
      commit.delete(PartRecord.self, in: scope, id: part.id, expecting: .version(part.version))
      release(.file(part.value.file), scope, in: &commit)
      try await store.commit(commit)
      report.orphanRows += 1
    }
    let old = clock.now().addingTimeInterval(-CompletedUploadRecord.keptFor)
    for done in try await store.list(CompletedUploadRecord.self, in: scope) where done.value.completed < old {
      var commit = StoreCommit()
      commit.delete(CompletedUploadRecord.self, in: scope, id: done.id)
      try await store.commit(commit)
    }
  }

  // swift-format-ignore
  private func visit(
    _ version: KeyVersion, _ bucket: BucketRecord, _ verify: Bool, _ suspects: inout Set<String>,
    _ manifests: inout [Scope: Set<String>], _ inlines: inout [Scope: Set<String>], _ report: inout ScrubReport
  ) async throws {
    if version.isMarker { return }
    report.objects += 1
    let scope = bucket.contentScope
    var parts: [ManifestPart]?
    switch version.content {
    case .empty: break
    case .inline(let id): inlines[scope]?.remove(id)
    case .file(let id): suspects.remove(id)
    case .manifest(let id):
      manifests[scope]?.remove(id)
      parts = try await store.get(ManifestRecord.self, in: scope, id: id)?.value.parts
      for part in parts ?? [] { suspects.remove(part.file) }
    }
    guard verify else { return }
    let name = "\(bucket.name)/\(version.key) (\(version.shownVersionId))"
    do {
      let sound = try await isSound(version, parts, scope)
      // An object that was replaced meanwhile is nobody's loss.
      if !sound, try await find(bucket, version.key, versionId: version.shownVersionId) == version { report.damaged.append(name) }
    } catch is BytesMissing {
      if try await find(bucket, version.key, versionId: version.shownVersionId) == version { report.missing.append(name) }
    } catch let error as AWSError where error.fault == .receiver {
      // Encrypted bytes that do not open.
      if try await find(bucket, version.key, versionId: version.shownVersionId) == version { report.damaged.append(name) }
    }
  }

  private func isSound(_ version: KeyVersion, _ parts: [ManifestPart]?, _ scope: Scope) async throws -> Bool {
    guard let parts else {
      var digests = BodyDigests(version.checksum.map { [$0.algorithm] } ?? [])
      for try await piece in try await reader.open(version, scope: scope, range: 0..<version.size) { digests.update(piece) }
      return digests.size == version.size && hexText(digests.md5Bytes) == version.eTag
        && (version.checksum.map { digests.checksums[$0.algorithm] == $0.value } ?? true)
    }
    // An object of parts: its ETag is made of the parts' MD5s.
    var found: [PartDigest] = []
    for part in parts {
      var digests = BodyDigests([])
      for try await piece in try await reader.file(part.file, size: part.size, range: 0..<part.size, sealed: version.encryption != nil) {
        digests.update(piece)
      }
      guard digests.size == part.size else { return false }
      found.append(PartDigest(size: part.size, md5: digests.md5Bytes, checksum: nil))
    }
    return PartChecksums.eTag(found) == version.eTag
  }
}
