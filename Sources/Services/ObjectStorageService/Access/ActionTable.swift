/// Which permission each operation asks for, as the Service Authorization Reference for S3 lists them.
enum ActionTable {
  /// Operations on a bucket: action on `arn:aws:s3:::bucket`.
  static let bucket: [String: String] = [
    "CreateBucket": "s3:CreateBucket",
    "DeleteBucket": "s3:DeleteBucket",
    "DeleteBucketEncryption": "s3:PutEncryptionConfiguration",
    "DeleteBucketOwnershipControls": "s3:PutBucketOwnershipControls",
    "DeleteBucketPolicy": "s3:DeleteBucketPolicy",
    "DeleteBucketTagging": "s3:PutBucketTagging",
    "DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "GetBucketAccelerateConfiguration": "s3:GetAccelerateConfiguration",
    "GetBucketAcl": "s3:GetBucketAcl",
    "GetBucketCors": "s3:GetBucketCORS",
    "GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "GetBucketLocation": "s3:GetBucketLocation",
    "GetBucketLogging": "s3:GetBucketLogging",
    "GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "GetBucketOwnershipControls": "s3:GetBucketOwnershipControls",
    "GetBucketPolicy": "s3:GetBucketPolicy",
    "GetBucketPolicyStatus": "s3:GetBucketPolicyStatus",
    "GetBucketReplication": "s3:GetReplicationConfiguration",
    "GetBucketRequestPayment": "s3:GetBucketRequestPayment",
    "GetBucketTagging": "s3:GetBucketTagging",
    "GetBucketVersioning": "s3:GetBucketVersioning",
    "GetBucketWebsite": "s3:GetBucketWebsite",
    "GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "HeadBucket": "s3:ListBucket",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListObjects": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "PutBucketAcl": "s3:PutBucketAcl",
    "PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "PutBucketOwnershipControls": "s3:PutBucketOwnershipControls",
    "PutBucketPolicy": "s3:PutBucketPolicy",
    "PutBucketTagging": "s3:PutBucketTagging",
    "PutBucketVersioning": "s3:PutBucketVersioning",
    "PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
  ]

  /// Operations on a key: actions on `arn:aws:s3:::bucket/key`, without and with a version id.
  static let object: [String: (plain: [String], versioned: [String])] = [
    "AbortMultipartUpload": (["s3:AbortMultipartUpload"], ["s3:AbortMultipartUpload"]),
    "CompleteMultipartUpload": (["s3:PutObject"], ["s3:PutObject"]),
    "CopyObject": (["s3:PutObject"], ["s3:PutObject"]),
    "CreateMultipartUpload": (["s3:PutObject"], ["s3:PutObject"]),
    "DeleteObject": (["s3:DeleteObject"], ["s3:DeleteObjectVersion"]),
    "DeleteObjectTagging": (["s3:DeleteObjectTagging"], ["s3:DeleteObjectVersionTagging"]),
    "GetObject": (["s3:GetObject"], ["s3:GetObjectVersion"]),
    "GetObjectAcl": (["s3:GetObjectAcl"], ["s3:GetObjectVersionAcl"]),
    "GetObjectAttributes": (
      ["s3:GetObject", "s3:GetObjectAttributes"], ["s3:GetObjectVersion", "s3:GetObjectVersionAttributes"]
    ),
    "GetObjectTagging": (["s3:GetObjectTagging"], ["s3:GetObjectVersionTagging"]),
    "HeadObject": (["s3:GetObject"], ["s3:GetObjectVersion"]),
    "ListParts": (["s3:ListMultipartUploadParts"], ["s3:ListMultipartUploadParts"]),
    "PutObject": (["s3:PutObject"], ["s3:PutObject"]),
    "PutObjectAcl": (["s3:PutObjectAcl"], ["s3:PutObjectVersionAcl"]),
    "PutObjectTagging": (["s3:PutObjectTagging"], ["s3:PutObjectVersionTagging"]),
    "UploadPart": (["s3:PutObject"], ["s3:PutObject"]),
    "UploadPartCopy": (["s3:PutObject"], ["s3:PutObject"]),
  ]

  /// Operations whose permission may depend on the tags that the object has now (`s3:ExistingObjectTag/…`).
  static let readsTags: Set<String> = [
    "GetObject", "HeadObject", "GetObjectAcl", "GetObjectAttributes", "GetObjectTagging", "PutObjectTagging",
    "DeleteObjectTagging", "PutObjectAcl", "DeleteObject",
  ]
}
