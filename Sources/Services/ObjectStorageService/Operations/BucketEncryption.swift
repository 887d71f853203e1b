import RegionKit
import RegionStore
import WireModel

/// The bucket's default for encryption at rest. AES256 (SSE-S3) is the one there is.
extension S3Engine {
  func getBucketEncryption(_ input: Obj<GetBucketEncryptionRequest>, _ call: Call) async throws -> Obj<GetBucketEncryptionOutput> {
    let bucket = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]).value
    guard let algorithm = bucket.encryption else {
      throw AWSError(
        "ServerSideEncryptionConfigurationNotFoundError", "The server side encryption configuration was not found", status: 404,
        fields: ["BucketName": bucket.name])
    }
    let rule = Obj<ServerSideEncryptionRule> {
      $0[.applyServerSideEncryptionByDefault] = Obj { $0[.sSEAlgorithm] = ServerSideEncryption(rawValue: algorithm) }
      $0[.bucketKeyEnabled] = false
    }
    return Obj { $0[.serverSideEncryptionConfiguration] = Obj { $0[.rules] = [rule] } }
  }

  func putBucketEncryption(_ input: Obj<PutBucketEncryptionRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    let rules = input[.serverSideEncryptionConfiguration][.rules]
    guard rules.count == 1, let byDefault = rules.first?[.applyServerSideEncryptionByDefault] else {
      throw S3Problem.malformedXML("ServerSideEncryptionConfiguration has one Rule with ApplyServerSideEncryptionByDefault.")
    }
    let algorithm = byDefault[.sSEAlgorithm].rawValue
    try checkEncryption(algorithm)
    try await updateBucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]) { $0.encryption = algorithm }
    return Obj()
  }

  func deleteBucketEncryption(_ input: Obj<DeleteBucketEncryptionRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await updateBucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]) { $0.encryption = nil }
    return Obj()
  }
}
