import RegionKit

/// S3's errors: code, status, fields and the texts AWS gives, with what AWS leaves out after them.
enum S3Problem {
  static func noSuchBucket(_ name: String) -> AWSError {
    AWSError("NoSuchBucket", "The specified bucket does not exist", status: 404, fields: ["BucketName": name])
  }
  static func noSuchKey(_ key: String) -> AWSError {
    AWSError("NoSuchKey", "The specified key does not exist.", status: 404, fields: ["Key": key])
  }
  static func noSuchVersion(_ key: String, _ versionId: String) -> AWSError {
    AWSError(
      "NoSuchVersion", "The specified version does not exist.", status: 404, fields: ["Key": key, "VersionId": versionId])
  }
  static func noSuchUpload(_ uploadId: String) -> AWSError {
    AWSError(
      "NoSuchUpload",
      "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
      status: 404, fields: ["UploadId": uploadId])
  }
  static func invalidBucketName(_ name: String) -> AWSError {
    AWSError("InvalidBucketName", "The specified bucket is not valid.", status: 400, fields: ["BucketName": name])
  }
  static func invalidArgument(_ message: String, name: String, value: String) -> AWSError {
    AWSError("InvalidArgument", message, status: 400, fields: ["ArgumentName": name, "ArgumentValue": value])
  }
  static func invalidRequest(_ message: String) -> AWSError { AWSError("InvalidRequest", message, status: 400) }
  static func malformedXML(_ why: String) -> AWSError {
    AWSError(
      "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema: \(why)",
      status: 400)
  }
  static func accessDenied(_ message: String = "Access Denied") -> AWSError { AWSError("AccessDenied", message, status: 403) }
  static func preconditionFailed(_ condition: String) -> AWSError {
    AWSError(
      "PreconditionFailed", "At least one of the pre-conditions you specified did not hold", status: 412,
      fields: ["Condition": condition])
  }
  static func notModified(_ headers: [String: String]) -> AWSError {
    AWSError("NotModified", "Not Modified", status: 304, headers: headers)
  }
  static func invalidRange(_ range: String, size: Int64) -> AWSError {
    AWSError(
      "InvalidRange", "The requested range is not satisfiable", status: 416,
      fields: ["RangeRequested": range, "ActualObjectSize": String(size)], headers: ["Content-Range": "bytes */\(size)"])
  }
  static func methodNotAllowed(_ method: String, deleteMarker version: KeyVersion) -> AWSError {
    AWSError(
      "MethodNotAllowed", "The specified method is not allowed against this resource.", status: 405,
      fields: ["Method": method, "ResourceType": "DeleteMarker"],
      headers: ["x-amz-delete-marker": "true", "x-amz-version-id": version.shownVersionId, "Allow": "DELETE"])
  }
  static func operationAborted(_ what: String) -> AWSError {
    AWSError(
      "OperationAborted",
      "A conflicting conditional operation is currently in progress against this resource. Please try again. (\(what))",
      status: 409)
  }
  static func entityTooLarge(size: Int64, limit: Int64) -> AWSError {
    AWSError(
      "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size", status: 400,
      fields: ["ProposedSize": String(size), "MaxSizeAllowed": String(limit)])
  }
  static func badDigest(_ algorithm: ChecksumFunction) -> AWSError {
    AWSError("BadDigest", "The \(algorithm.rawValue) you specified did not match the calculated checksum.", status: 400)
  }
  static func badContentMD5(expected: String, calculated: String) -> AWSError {
    AWSError(
      "BadDigest", "The Content-MD5 you specified did not match what we received.", status: 400,
      fields: ["ExpectedDigest": expected, "CalculatedDigest": calculated])
  }
  /// For a header or member that is part of S3 but that this region does not carry out. 501, as S3 answers it.
  static func notImplemented(_ what: String, _ why: String) -> AWSError {
    AWSError(
      "NotImplemented", "A header you provided implies functionality that is not implemented: \(what). \(why)", status: 501,
      fields: ["Header": what])
  }
}
