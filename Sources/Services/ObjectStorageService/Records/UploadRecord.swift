import FoundationEssentials
import RegionKit
import RegionStore

/// A multipart upload under way. Its id is the key's id, a space and the upload id, so that they list by key, then by age.
struct UploadRecord: StoredRecord {
  static let collection = "s3.upload"
  var key: String
  var uploadId: String
  var initiated: Date
  var initiator: String
  var initiatorName: String
  var metadata: ObjectMetadata
  var tags: [ObjectTag]?
  /// The algorithm the caller chose; nil: none, and the object gets a CRC64NVME of its whole content.
  var algorithm: ChecksumFunction?
  var kind: ChecksumKind?
  /// `AES256`: the parts' bytes lie sealed (SSE-S3).
  var encryption: String?

  var effectiveAlgorithm: ChecksumFunction { algorithm ?? .crc64nvme }
  var effectiveKind: ChecksumKind { kind ?? effectiveAlgorithm.defaultMultipartType }
}

/// An uploaded part. Its id is the upload id, a space and five digits.
struct PartRecord: StoredRecord {
  static let collection = "s3.part"
  /// The greatest part number AWS allows.
  static let maximumNumber = 10_000
  var number: Int
  var size: Int64
  /// MD5 in hexadecimal.
  var eTag: String
  var lastModified: Date
  var file: String
  /// Base64 by algorithm: the upload's own and what the caller sent.
  var checksums: [String: String]

  static func id(_ uploadId: String, _ number: Int) -> String {
    let digits = String(number)
    return uploadId + " " + String(repeating: "0", count: max(0, 5 - digits.count)) + digits
  }
}

/// What became of a completed upload, kept for a day so that a client that lost the answer gets it again.
struct CompletedUploadRecord: StoredRecord {
  static let collection = "s3.completed-upload"
  static let keptFor: Double = 86_400
  var bucket: String
  var key: String
  var eTag: String
  var versionId: String?
  var checksum: StoredChecksum?
  var completed: Date
}
