import ObjectStorageService

typealias S3ContentMissing = ContentMissing
