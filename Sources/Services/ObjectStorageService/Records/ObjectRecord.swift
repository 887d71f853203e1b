import FoundationEssentials
import RegionKit
import RegionStore

/// Where an object's bytes are.
enum ContentReference: Codable, Sendable, Equatable {
  /// No bytes at all.
  case empty
  /// In a row of `s3.inline` with this id.
  case inline(String)
  /// In one file of the content store.
  case file(String)
  /// In the files of its parts, listed by the `s3.manifest` row with this id.
  case manifest(String)
}

/// What a caller says about an object besides its bytes.
struct ObjectMetadata: Codable, Sendable, Equatable {
  var contentType: String?
  var contentEncoding: String?
  var contentLanguage: String?
  var contentDisposition: String?
  var cacheControl: String?
  var expires: String?
  var websiteRedirect: String?
  /// Without the `x-amz-meta-` prefix, lower case.
  var user: [String: String]?
}

/// One version of a key: an object or a delete marker.
struct KeyVersion: Codable, Sendable, Equatable {
  var key: String
  /// Nil for the null version.
  var versionId: String?
  /// Its place among the versions of its key; see `VersionToken.order`.
  var order: UInt64
  var isDeleteMarker: Bool?
  var size: Int64
  /// Without quotes.
  var eTag: String
  /// Whole seconds. For a multipart object the time its upload began, as in AWS.
  var lastModified: Date
  var content: ContentReference
  var metadata: ObjectMetadata
  var tags: [ObjectTag]?
  var checksum: StoredChecksum?
  /// `AES256`: its bytes lie sealed (SSE-S3).
  var encryption: String?
  /// For an object made by multipart upload.
  var partsCount: Int?

  var isMarker: Bool { isDeleteMarker == true }
  var shownVersionId: String { versionId ?? VersionToken.null }
  /// What follows the key in the id of a noncurrent version's record.
  var idSuffix: String { VersionToken.suffix(versionId: versionId, order: order) }
}

/// The current version of a key; there is no such row while the newest version is a delete marker. An ordinary listing reads
/// these only, so it costs the same however many old versions and markers there are.
struct ObjectRecord: StoredRecord {
  static let collection = "s3.object"
  var version: KeyVersion
}

/// A version that is not a key's current object: an older object, or a delete marker. Its id is the key's id, a space and the
/// version's token, which sorts newest first.
struct VersionRecord: StoredRecord {
  static let collection = "s3.version"
  static let indexSchema = "1"
  var objectId: String
  var version: KeyVersion
  /// The null version's id names no place in time, so it is found by index.
  var indexValues: [String: String] { version.versionId == nil ? ["null": objectId] : [:] }
  var id: String { objectId + KeyCode.end + version.idSuffix }
}

/// The bytes of a small object, kept beside its row so that a small PUT is one grouped commit.
struct InlineRecord: StoredRecord {
  static let collection = "s3.inline"
  /// The largest object kept so, in bytes.
  static let limit = 16_384
  var bytes: Data
}

/// A part of a multipart object: where its bytes are, and what it was.
struct ManifestPart: Codable, Sendable, Equatable {
  var number: Int
  var size: Int64
  var file: String
  /// Base64, in the object's checksum algorithm.
  var checksum: String?
}

/// The parts of an object made by multipart upload, in order. Completing an upload copies no bytes.
struct ManifestRecord: StoredRecord {
  static let collection = "s3.manifest"
  var parts: [ManifestPart]
}
