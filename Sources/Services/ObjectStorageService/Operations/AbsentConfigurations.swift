import RegionKit
import RegionStore
import WireModel

/// Configurations that cannot be put here. Their getters answer what is true: the bucket has none.
extension S3Engine {
  private func absent(_ bucket: String, _ owner: String?, _ code: String, _ message: String) async throws -> AWSError {
    let bucket = try await self.bucket(bucket, expectedOwner: owner).value
    return AWSError(code, message, status: 404, fields: ["BucketName": bucket.name])
  }

  func getBucketCors(_ input: Obj<GetBucketCorsRequest>, _ call: Call) async throws -> Obj<GetBucketCorsOutput> {
    throw try await absent(
      input[.bucket], input[.expectedBucketOwner], "NoSuchCORSConfiguration", "The CORS configuration does not exist")
  }

  func getBucketWebsite(_ input: Obj<GetBucketWebsiteRequest>, _ call: Call) async throws -> Obj<GetBucketWebsiteOutput> {
    throw try await absent(
      input[.bucket], input[.expectedBucketOwner], "NoSuchWebsiteConfiguration",
      "The specified bucket does not have a website configuration")
  }

  func getBucketLifecycleConfiguration(
    _ input: Obj<GetBucketLifecycleConfigurationRequest>, _ call: Call
  ) async throws -> Obj<GetBucketLifecycleConfigurationOutput> {
    throw try await absent(
      input[.bucket], input[.expectedBucketOwner], "NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist")
  }

  func getBucketReplication(_ input: Obj<GetBucketReplicationRequest>, _ call: Call) async throws -> Obj<GetBucketReplicationOutput> {
    throw try await absent(
      input[.bucket], input[.expectedBucketOwner], "ReplicationConfigurationNotFoundError",
      "The replication configuration was not found")
  }

  func getObjectLockConfiguration(
    _ input: Obj<GetObjectLockConfigurationRequest>, _ call: Call
  ) async throws -> Obj<GetObjectLockConfigurationOutput> {
    throw try await absent(
      input[.bucket], input[.expectedBucketOwner], "ObjectLockConfigurationNotFoundError",
      "Object Lock configuration does not exist for this bucket")
  }

  // These are shown by AWS as documents that say "nothing set".

  func getBucketLogging(_ input: Obj<GetBucketLoggingRequest>, _ call: Call) async throws -> Obj<GetBucketLoggingOutput> {
    _ = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner])
    return Obj()
  }

  func getBucketNotificationConfiguration(
    _ input: Obj<GetBucketNotificationConfigurationRequest>, _ call: Call
  ) async throws -> Obj<NotificationConfiguration> {
    _ = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner])
    return Obj()
  }

  func getBucketAccelerateConfiguration(
    _ input: Obj<GetBucketAccelerateConfigurationRequest>, _ call: Call
  ) async throws -> Obj<GetBucketAccelerateConfigurationOutput> {
    _ = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner])
    return Obj()
  }

  func getBucketRequestPayment(
    _ input: Obj<GetBucketRequestPaymentRequest>, _ call: Call
  ) async throws -> Obj<GetBucketRequestPaymentOutput> {
    _ = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner])
    return Obj { $0[.payer] = .bucketOwner }
  }
}
