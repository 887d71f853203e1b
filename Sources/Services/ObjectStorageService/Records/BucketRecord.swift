import FoundationEssentials
import RegionKit
import RegionStore

/// A bucket. Bucket names are unique over every account and region, so all bucket records lie in one scope of their own, and each
/// names its owner and home region. What a bucket holds lies in the scope of its owner and home region, under the bucket's id: a
/// name that is deleted and used again never meets what an earlier bucket left.
struct BucketRecord: StoredRecord {
  static let collection = "s3.bucket"
  static let indexSchema = "1"
  /// Where bucket names live: no account can have this id, so nobody's own resources meet them.
  static let scope = Scope(account: AccountID("000000000000"), region: .global)

  enum Versioning: String, Codable, Sendable { case enabled = "Enabled", suspended = "Suspended" }

  var name: String
  var id: String
  var owner: AccountID
  var region: RegionName
  var created: Date
  /// Nil: never switched on.
  var versioning: Versioning?
  /// JSON text as it was put.
  var policy: String?
  var tags: [ObjectTag]?
  /// Nil: removed by DeletePublicAccessBlock. New buckets begin with all four on, as in AWS since April 2023.
  var publicAccessBlock: PublicAccessBlock?
  /// Nil: removed by DeleteBucketOwnershipControls.
  var ownership: String?
  /// `AES256`: new objects are encrypted at rest unless their request says otherwise. Nil: only those whose request asks.
  var encryption: String?
  /// Set while DeleteBucket looks whether the bucket is empty: writes are refused, so nothing can slip in.
  var deleting: Bool?

  var indexValues: [String: String] { ["owner": owner.rawValue] }
  var contentScope: Scope { Scope(account: owner, region: region) }
  var arn: String { "arn:aws:s3:::\(name)" }
  func arn(key: String) -> String { "arn:aws:s3:::\(name)/\(key)" }
  /// The id of a key's current version, and the beginning of the ids of its other versions.
  func objectId(_ key: String) -> String { "\(id) \(KeyCode.encode(key))" }
  /// What the ids of all keys with this prefix begin with.
  func idPrefix(_ prefix: String = "") -> String { "\(id) \(KeyCode.encode(prefix))" }
}

struct PublicAccessBlock: Codable, Sendable, Equatable {
  var blockPublicAcls: Bool
  var ignorePublicAcls: Bool
  var blockPublicPolicy: Bool
  var restrictPublicBuckets: Bool
  static let all = PublicAccessBlock(
    blockPublicAcls: true, ignorePublicAcls: true, blockPublicPolicy: true, restrictPublicBuckets: true)
}

struct ObjectTag: Codable, Sendable, Equatable {
  var key: String
  var value: String
}
