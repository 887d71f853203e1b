public import RegionKit

/// An EC2 instance as other services see it.
public struct InstanceSummary: Sendable, Equatable {
  public let instanceId: String
  /// `pending`, `running`, `shutting-down`, `terminated`, `stopping`, `stopped`.
  public let state: String
  public let availabilityZone: String
  public let privateIP: String?
  public let tags: [String: String]
  public let instanceProfileARN: String?
  public init(
    instanceId: String, state: String, availabilityZone: String, privateIP: String?, tags: [String: String],
    instanceProfileARN: String?
  ) {
    self.instanceId = instanceId
    self.state = state
    self.availabilityZone = availabilityZone
    self.privateIP = privateIP
    self.tags = tags
    self.instanceProfileARN = instanceProfileARN
  }
}

/// What CodeDeploy (and later the balancers) need of EC2.
public protocol InstanceDirectory: Sendable {
  /// Every instance of the scope that is not terminated.
  func instances(in scope: Scope) async throws -> [InstanceSummary]
  func instance(_ instanceId: String, in scope: Scope) async throws -> InstanceSummary?
}

/// An S3 object as other services see it.
public struct ObjectSummary: Sendable, Equatable {
  public let bucket: String
  public let key: String
  public let versionId: String?
  public let eTag: String
  public let size: Int64
  public init(bucket: String, key: String, versionId: String?, eTag: String, size: Int64) {
    self.bucket = bucket
    self.key = key
    self.versionId = versionId
    self.eTag = eTag
    self.size = size
  }
}

/// What other services need of S3.
public protocol ObjectReader: Sendable {
  /// Nil when bucket, key or version do not exist. The caller has authorised the read.
  func head(bucket: String, key: String, versionId: String?) async throws -> ObjectSummary?
}
