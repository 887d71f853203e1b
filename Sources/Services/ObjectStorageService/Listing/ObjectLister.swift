import RegionKit
import RegionStore

/// One page of a listing. Keys and groups stay apart, as in the answers; `last` is where the next page begins.
struct ListingPage<Item: Sendable>: Sendable {
  var items: [Item] = []
  var groups: [String] = []
  var isTruncated = false
  /// The last key or group shown; nil for an empty page.
  var last: String?
  var count: Int { items.count + groups.count }
}

extension S3Engine {
  /// The current objects of a bucket in key order. Reads only the rows it shows and, with a delimiter, a few per group.
  func objects(
    in bucket: BucketRecord, prefix: String, delimiter: String?, after marker: String?, limit: Int
  ) async throws -> ListingPage<KeyVersion> {
    var page = ListingPage<KeyVersion>()
    guard limit > 0 else { return page }
    let grouping = Grouping(prefix: prefix, delimiter: delimiter, marker: marker)
    var cursor = RowCursor<ObjectRecord>(
      store, in: bucket.contentScope, prefix: bucket.idPrefix(prefix), after: marker.map(bucket.objectId),
      pageSize: grouping.delimiter.isEmpty ? limit + 1 : 16)
    while let row = try await cursor.peek() {
      let version = row.value.version
      if let group = grouping.group(of: version.key) {
        if grouping.isNew(group) {
          if page.count == limit {
            page.isTruncated = true
            return page
          }
          page.groups.append(group)
          page.last = group
        }
        cursor.jump(past: bucket.idPrefix(group) + KeyCode.pastAll)
        continue
      }
      if page.count == limit {
        page.isTruncated = true
        return page
      }
      page.items.append(version)
      page.last = version.key
      cursor.advance()
    }
    return page
  }

  /// A version as ListObjectVersions shows it.
  struct ListedVersion: Sendable {
    var version: KeyVersion
    var isLatest: Bool
  }

  /// All versions and delete markers in key order, newest first. Two scans run side by side: current objects, and the rest.
  func versions(
    in bucket: BucketRecord, prefix: String, delimiter: String?, keyMarker: String?, versionMarker: String?, limit: Int
  ) async throws -> ListingPage<ListedVersion> {
    var page = ListingPage<ListedVersion>()
    guard limit > 0 else { return page }
    let grouping = Grouping(prefix: prefix, delimiter: delimiter, marker: keyMarker)
    let start = try await versionStart(bucket, keyMarker, versionMarker)
    let size = grouping.delimiter.isEmpty ? limit + 1 : 16
    let scope = bucket.contentScope
    let within = bucket.idPrefix(prefix)
    var current = RowCursor<ObjectRecord>(
      store, in: scope, prefix: within, after: keyMarker.map(bucket.objectId), pageSize: size)
    var older = RowCursor<VersionRecord>(store, in: scope, prefix: within, after: start, pageSize: size)
    // The key whose newest version has been shown; its other versions are not the latest.
    var shown: String? = versionMarker == nil ? nil : keyMarker.map(bucket.objectId)
    while true {
      let object = try await current.peek()
      let other = try await older.peek()
      let fromCurrent: Bool
      switch (object, other) {
      case (nil, nil): return page
      case (_?, nil): fromCurrent = true
      case (nil, _?): fromCurrent = false
      case (let object?, let other?): fromCurrent = object.id <= other.value.objectId
      }
      guard let version = fromCurrent ? object?.value.version : other?.value.version else { return page }
      let group = grouping.group(of: version.key)
      if group.map(grouping.isNew) ?? true, page.count == limit {
        page.isTruncated = true
        return page
      }
      if let group {
        if grouping.isNew(group) {
          page.groups.append(group)
          page.last = group
        }
        current.jump(past: bucket.idPrefix(group) + KeyCode.pastAll)
        older.jump(past: bucket.idPrefix(group) + KeyCode.pastAll)
        continue
      }
      let objectId = bucket.objectId(version.key)
      page.items.append(ListedVersion(version: version, isLatest: shown != objectId))
      page.last = version.key
      shown = objectId
      if fromCurrent { current.advance() } else { older.advance() }
    }
  }

  /// Where the scan of noncurrent versions begins: behind all versions of the marker's key, or behind one of them.
  private func versionStart(_ bucket: BucketRecord, _ keyMarker: String?, _ versionMarker: String?) async throws -> String? {
    guard let keyMarker else { return nil }
    let key = bucket.objectId(keyMarker) + KeyCode.end
    guard let versionMarker else { return key + KeyCode.pastAll }
    guard versionMarker == VersionToken.null else { return key + versionMarker }
    let objectId = bucket.objectId(keyMarker)
    if let null = try await nullVersions(objectId, bucket.contentScope).first { return null.id }
    // The null version is the current one, so every other version follows it; or it is gone, and the scan begins anew.
    return key
  }

  /// The uploads under way, by key and then by age.
  func uploads(
    in bucket: BucketRecord, prefix: String, delimiter: String?, keyMarker: String?, uploadMarker: String?, limit: Int
  ) async throws -> ListingPage<UploadRecord> {
    var page = ListingPage<UploadRecord>()
    guard limit > 0 else { return page }
    let grouping = Grouping(prefix: prefix, delimiter: delimiter, marker: keyMarker)
    let start = keyMarker.map { bucket.objectId($0) + KeyCode.end + (uploadMarker ?? KeyCode.pastAll) }
    var cursor = RowCursor<UploadRecord>(
      store, in: bucket.contentScope, prefix: bucket.idPrefix(prefix), after: start,
      pageSize: grouping.delimiter.isEmpty ? limit + 1 : 16)
    while let row = try await cursor.peek() {
      let group = grouping.group(of: row.value.key)
      if group.map(grouping.isNew) ?? true, page.count == limit {
        page.isTruncated = true
        return page
      }
      if let group {
        if grouping.isNew(group) {
          page.groups.append(group)
          page.last = group
        }
        cursor.jump(past: bucket.idPrefix(group) + KeyCode.pastAll)
        continue
      }
      page.items.append(row.value)
      page.last = row.value.key
      cursor.advance()
    }
    return page
  }
}
