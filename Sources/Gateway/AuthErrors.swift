import FoundationEssentials
import Ports
import RegionKit
import RequestSigning
import WireModel

/// The families of error codes for a request whose caller is not accepted. AWS uses other names and statuses in each protocol.
enum AuthDialect: Sendable {
  case query, ec2, json, restJSON, s3

  init(_ wire: WireProtocolName, isS3: Bool) {
    switch wire {
    case .query: self = .query
    case .ec2: self = .ec2
    case .json, .cbor: self = .json
    case .restJSON: self = .restJSON
    case .restXML: self = isS3 ? .s3 : .query
    }
  }

  /// A code of the JSON family ends in `Exception`; its status is 400 in json and 403 in rest-json.
  private func typed(_ code: String, _ message: String) -> AWSError {
    AWSError(code, message, status: self == .restJSON ? 403 : 400)
  }

  // MARK: credentials

  var missing: AWSError {
    switch self {
    case .query, .ec2: AWSError("MissingAuthenticationToken", "Request is missing Authentication Token", status: 403)
    case .json, .restJSON: typed("MissingAuthenticationTokenException", "Request is missing Authentication Token")
    case .s3: AWSError("AccessDenied", "Access Denied", status: 403)
    }
  }

  func error(_ problem: CredentialProblem, accessKeyId: String) -> AWSError {
    switch problem {
    case .expiredToken: expiredToken
    case .invalidToken where self == .s3:
      AWSError("InvalidToken", "The provided token is malformed or otherwise invalid.", status: 400)
    case .unknownKey, .inactiveKey, .invalidToken: unknownKey(accessKeyId)
    }
  }

  private func unknownKey(_ accessKeyId: String) -> AWSError {
    let text = "The security token included in the request is invalid."
    switch self {
    case .query: return AWSError("InvalidClientTokenId", text, status: 403)
    case .ec2: return AWSError("AuthFailure", "AWS was not able to validate the provided access credentials", status: 401)
    case .json, .restJSON: return typed("UnrecognizedClientException", text)
    case .s3:
      return AWSError(
        "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", status: 403,
        fields: ["AWSAccessKeyId": accessKeyId])
    }
  }

  private var expiredToken: AWSError {
    let text = "The security token included in the request is expired"
    switch self {
    case .query: return AWSError("ExpiredToken", text, status: 403)
    case .ec2: return AWSError("RequestExpired", "Request has expired.", status: 400)
    case .json, .restJSON: return typed("ExpiredTokenException", text)
    case .s3: return AWSError("ExpiredToken", "The provided token has expired.", status: 400)
    }
  }

  // MARK: signatures

  func error(_ problem: SignatureProblem, claim: SignatureClaim?) -> AWSError {
    switch problem {
    case .malformed(let text): malformed(text, code: "AuthorizationHeaderMalformed")
    case .malformedQuery(let text): malformed(text, code: "AuthorizationQueryParametersError")
    case .unsupportedAlgorithm(let name): unsupported(name)
    case .headersNotSigned(let names): headersNotSigned(names)
    case .scopeDate(let scope, let date):
      wrongSignature(
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '\(scope)' != "
          + "'\(date.prefix(8))', from '\(date)'.")
    case .skewed(let signed, let now, let window): skewed(signed, now, window)
    case .notYetValid:
      self == .s3 ? AWSError("AccessDenied", "Request is not valid yet", status: 403) : wrongSignature("Signature not yet current.")
    case .expired(let end, let now): expired(end, now)
    case .mismatch(let canonical, let text): mismatch(canonical, text, claim)
    }
  }

  private func malformed(_ text: String, code: String) -> AWSError {
    switch self {
    case .query, .ec2: AWSError("IncompleteSignature", text, status: 400)
    case .json, .restJSON: typed("IncompleteSignatureException", text)
    case .s3: AWSError(code, text, status: 400)
    }
  }

  private func unsupported(_ name: String) -> AWSError {
    if self == .s3 {
      return AWSError(
        "InvalidRequest", "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.", status: 400)
    }
    return malformed("Unsupported AWS 'algorithm': '\(name)'. Use AWS4-HMAC-SHA256.", code: "")
  }

  private func headersNotSigned(_ names: [String]) -> AWSError {
    if self == .s3 {
      return AWSError(
        "AccessDenied", "There were headers present in the request which were not signed", status: 403,
        fields: ["HeadersNotSigned": names.joined(separator: ", ")])
    }
    return wrongSignature("'\(names.joined(separator: "', '"))' must be a 'SignedHeader' in the AWS Credential.")
  }

  func wrongSignature(_ text: String, fields: [String: String] = [:]) -> AWSError {
    switch self {
    case .query, .ec2, .s3: AWSError("SignatureDoesNotMatch", text, status: 403, fields: fields)
    case .json, .restJSON: typed("InvalidSignatureException", text)
    }
  }

  private func skewed(_ signed: Date, _ now: Date, _ window: Double) -> AWSError {
    let (a, b) = (SigningTime.amzDate(signed), SigningTime.amzDate(now))
    if self == .s3 {
      return AWSError(
        "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.", status: 403,
        fields: ["RequestTime": a, "ServerTime": b, "MaxAllowedSkewMilliseconds": String(Int(window * 1000))])
    }
    let minutes = "\(Int(window / 60)) min."
    if signed < now {
      let edge = SigningTime.amzDate(now.addingTimeInterval(-window))
      return wrongSignature("Signature expired: \(a) is now earlier than \(edge) (\(b) - \(minutes))")
    }
    let edge = SigningTime.amzDate(now.addingTimeInterval(window))
    return wrongSignature("Signature not yet current: \(a) is still later than \(edge) (\(b) + \(minutes))")
  }

  private func expired(_ end: Date, _ now: Date) -> AWSError {
    if self == .s3 {
      return AWSError(
        "AccessDenied", "Request has expired", status: 403,
        fields: ["Expires": SigningTime.amzDate(end), "ServerTime": SigningTime.amzDate(now)])
    }
    return wrongSignature("Signature expired: \(SigningTime.amzDate(end)) is now earlier than \(SigningTime.amzDate(now))")
  }

  /// Tells the caller what was computed, as AWS does: it is the quickest way to find what a client signs differently.
  private func mismatch(_ canonical: String, _ text: String, _ claim: SignatureClaim?) -> AWSError {
    let message =
      "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing "
      + "method. Consult the service documentation for details."
    if self == .s3 {
      var fields = ["StringToSign": text]
      if let claim { fields["AWSAccessKeyId"] = claim.accessKeyId }
      if let claim { fields["SignatureProvided"] = claim.signature }
      if !canonical.isEmpty { fields["CanonicalRequest"] = canonical }
      return wrongSignature(message, fields: fields)
    }
    return wrongSignature(
      message
        + "\n\nThe Canonical String for this request should have been\n'\(canonical)'\n\nThe String-to-Sign should have been\n'\(text)'\n")
  }

  /// A handler or the authorizer says `AccessDenied`; each protocol has its own name for it.
  func accessDenied(_ error: AWSError) -> AWSError {
    guard error.code == "AccessDenied" else { return error }
    switch self {
    case .query, .s3: return AWSError(error.code, error.message, status: error.status ?? 403, fields: error.fields, headers: error.headers)
    case .json, .restJSON: return typed("AccessDeniedException", error.message)
    case .ec2:
      return AWSError("UnauthorizedOperation", "You are not authorized to perform this operation. \(error.message)", status: 403)
    }
  }

  func tooLarge(_ limit: Int) -> AWSError {
    let text = "The request body is larger than the \(limit) bytes this operation takes."
    return switch self {
    case .query, .ec2: AWSError("RequestEntityTooLarge", text, status: 413)
    case .json, .restJSON: AWSError("RequestEntityTooLargeException", text, status: 413)
    case .s3: AWSError("MaxMessageLengthExceeded", "Your request was too big. \(text)", status: 400)
    }
  }
}
