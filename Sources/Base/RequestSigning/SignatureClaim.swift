public import FoundationEssentials

/// What a request says about its own signature. Nothing of it is verified yet.
public struct SignatureClaim: Sendable {
  public enum Kind: Sendable, Equatable {
    /// `Authorization: AWS4-HMAC-SHA256 …`
    case headerV4
    /// A presigned URL with `X-Amz-Signature`.
    case queryV4
    /// S3's older forms: `AWSAccessKeyId`, `Expires` and `Signature` in the query, or `Authorization: AWS AK:signature`.
    case queryV2, headerV2
  }

  /// How the payload takes part in the signature.
  public enum Payload: Sendable, Equatable {
    /// `x-amz-content-sha256` is missing.
    case absent
    /// 64 hexadecimal digits.
    case hash(String)
    case unsigned
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`, each chunk signed; with `-TRAILER` the trailer too.
    case signedChunks(trailer: Bool)
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`.
    case unsignedChunks
    /// Any other value, e.g. one that begins with `STREAMING-AWS4-ECDSA`.
    case other(String)

    /// What a value of `x-amz-content-sha256` means.
    public init(header text: String?) {
      switch text {
      case nil: self = .absent
      case "UNSIGNED-PAYLOAD"?: self = .unsigned
      case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"?: self = .signedChunks(trailer: false)
      case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"?: self = .signedChunks(trailer: true)
      case "STREAMING-UNSIGNED-PAYLOAD-TRAILER"?: self = .unsignedChunks
      case let text?:
        let isHash =
          text.utf8.count == 64 && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0 | 0x20) }
        self = isHash ? .hash(asciiLowercased(text)) : .other(text)
      }
    }
  }

  public let kind: Kind
  public let accessKeyId: String
  /// The scope of Signature Version 4; nil for version 2.
  public let scope: CredentialScope?
  public let signedHeaders: [String]
  public let signature: String
  public let sessionToken: String?
  /// When the request was signed; for `queryV2`, when it expires.
  public let date: Date
  /// `yyyymmddThhmmssZ`, as it goes into the string to sign; empty for version 2.
  public let amzDate: String
  /// Presigned V4: seconds that the URL is good for, 1 to 604800.
  public let expires: Int?
  public let payload: Payload

  /// The claim of a request; nil when it carries none (an anonymous request). Throws `SignatureProblem` when it carries one that cannot
  /// be read.
  public static func of(_ request: SignableRequest) throws(SignatureProblem) -> SignatureClaim? {
    let authorization = request.header("authorization")
    let query = QueryParameters(request.query)
    let presigned = query.has("X-Amz-Algorithm") || query.has("X-Amz-Signature") || query.has("X-Amz-Credential")
    let presignedV2 = query.has("AWSAccessKeyId") && query.has("Signature")
    if let authorization {
      guard !presigned && !presignedV2 else {
        throw .malformed(
          "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the "
            + "Authorization header should be specified")
      }
      return try header(authorization, request)
    }
    if presigned { return try queryV4(query, request) }
    if presignedV2 { return try queryV2(query, request) }
    return nil
  }

  // MARK: the header form

  private static func header(_ text: String, _ request: SignableRequest) throws(SignatureProblem) -> SignatureClaim {
    let scheme = text.prefix { $0 != " " }
    let rest = text.dropFirst(scheme.count).drop { $0 == " " }
    switch scheme {
    case "AWS4-HMAC-SHA256": return try headerV4(rest, request)
    case "AWS": return try headerV2(rest, request)
    default: throw .unsupportedAlgorithm(String(scheme.prefix(40)))
    }
  }

  private static func headerV4(_ text: Substring, _ request: SignableRequest) throws(SignatureProblem) -> SignatureClaim {
    var parts: [String: Substring] = [:]
    for part in text.split(separator: ",") {
      let pair = part.drop { $0 == " " }.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard pair.count == 2 else { throw .malformed("Authorization header has a part that is not 'key=value': '\(part)'.") }
      var value = pair[1]
      while value.last == " " { value = value.dropLast() }
      parts[String(pair[0])] = value
    }
    for needed in ["Credential", "Signature", "SignedHeaders"] where parts[needed]?.isEmpty != false {
      throw .malformed(
        "Authorization header requires '\(needed)' parameter. Authorization header requires 'Credential', 'Signature', "
          + "'SignedHeaders' and existence of either a 'X-Amz-Date' or a 'Date' header.")
    }
    let (accessKeyId, scope) = try credential(parts["Credential"] ?? "")
    let (date, amzDate) = try date(of: request)
    return SignatureClaim(
      kind: .headerV4, accessKeyId: accessKeyId, scope: scope, signedHeaders: try headerNames(parts["SignedHeaders"] ?? ""),
      signature: String(parts["Signature"] ?? ""), sessionToken: request.header("x-amz-security-token"), date: date,
      amzDate: amzDate, expires: nil, payload: Payload(header: request.header("x-amz-content-sha256")))
  }

  /// `x-amz-date` where there is one, else `Date`.
  private static func date(of request: SignableRequest) throws(SignatureProblem) -> (Date, String) {
    if let text = request.header("x-amz-date") {
      guard let date = SigningTime.parse(amzDate: text) else {
        throw .malformed("X-Amz-Date must be in ISO 8601 'basic format' (20260131T235959Z). Got '\(text.prefix(40))'.")
      }
      return (date, text)
    }
    guard let text = request.header("date"), let date = SigningTime.parse(httpDate: text) else {
      throw .malformed("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    }
    return (date, SigningTime.amzDate(date))
  }

  /// `AK/yyyymmdd/region/service/aws4_request`, split from the right because an access key id may hold a slash.
  private static func credential(_ text: Substring) throws(SignatureProblem) -> (String, CredentialScope) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count >= 5, parts[parts.count - 1] == "aws4_request" else {
      throw .malformed(
        "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/aws4_request, got '\(text.prefix(200))'.")
    }
    let n = parts.count
    let scope = CredentialScope(day: String(parts[n - 4]), region: String(parts[n - 3]), service: String(parts[n - 2]))
    let key = parts[..<(n - 4)].joined(separator: "/")
    guard !key.isEmpty, scope.day.utf8.count == 8, scope.day.utf8.allSatisfy({ (0x30...0x39).contains($0) }), !scope.region.isEmpty,
      !scope.service.isEmpty
    else { throw .malformed("Credential '\(text.prefix(200))' has an empty element or a date that is not yyyymmdd.") }
    return (key, scope)
  }

  private static func headerNames(_ text: Substring) throws(SignatureProblem) -> [String] {
    let names = text.split(separator: ";").map { asciiLowercased($0) }
    guard names.contains("host") else { throw .malformed("'Host' must be a 'SignedHeader' in the AWS Credential.") }
    guard names.count <= 200 else { throw .malformed("Too many SignedHeaders.") }
    return names
  }

  // MARK: the query forms

  private static func queryV4(_ query: QueryParameters, _ request: SignableRequest) throws(SignatureProblem) -> SignatureClaim {
    for needed in ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders"]
    where !query.has(needed) {
      throw .malformedQuery(
        "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, "
          + "X-Amz-SignedHeaders, and X-Amz-Expires parameters; \(needed) is missing.")
    }
    guard query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256" else {
      throw .unsupportedAlgorithm(String((query["X-Amz-Algorithm"] ?? "").prefix(40)))
    }
    let (accessKeyId, scope) = try credential(Substring(query["X-Amz-Credential"] ?? ""))
    let amzDate = query["X-Amz-Date"] ?? ""
    guard let date = SigningTime.parse(amzDate: amzDate) else {
      throw .malformedQuery("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    }
    // Only S3 demands X-Amz-Expires; the query services let it be left out and then apply the window of a header signature.
    let expires = query["X-Amz-Expires"]
    if expires == nil && scope.service == "s3" {
      throw .malformedQuery("Query-string authentication version 4 requires the X-Amz-Expires parameter.")
    }
    let seconds = try expires.map { text throws(SignatureProblem) -> Int in
      guard let seconds = Int(text), seconds >= 0 else { throw .malformedQuery("X-Amz-Expires should be a number of seconds") }
      guard seconds <= 604_800 else {
        throw .malformedQuery(
          "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds")
      }
      return seconds
    }
    return SignatureClaim(
      kind: .queryV4, accessKeyId: accessKeyId, scope: scope, signedHeaders: try headerNames(Substring(query["X-Amz-SignedHeaders"] ?? "")),
      signature: query["X-Amz-Signature"] ?? "", sessionToken: query["X-Amz-Security-Token"] ?? request.header("x-amz-security-token"),
      date: date, amzDate: amzDate, expires: seconds,
      payload: Payload(header: query["X-Amz-Content-Sha256"] ?? request.header("x-amz-content-sha256")))
  }

  private static func queryV2(_ query: QueryParameters, _ request: SignableRequest) throws(SignatureProblem) -> SignatureClaim {
    guard let text = query["Expires"], let expires = Int64(text), expires >= 0 else {
      throw .malformedQuery("Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
    }
    return SignatureClaim(
      kind: .queryV2, accessKeyId: query["AWSAccessKeyId"] ?? "", scope: nil, signedHeaders: [], signature: query["Signature"] ?? "",
      sessionToken: query["x-amz-security-token"] ?? request.header("x-amz-security-token"),
      date: Date(timeIntervalSince1970: Double(expires)), amzDate: "", expires: nil, payload: .unsigned)
  }

  private static func headerV2(_ text: Substring, _ request: SignableRequest) throws(SignatureProblem) -> SignatureClaim {
    guard let colon = text.lastIndex(of: ":"), colon != text.startIndex else {
      throw .malformed("The authorization header is malformed: expected 'AWS AccessKeyId:Signature'.")
    }
    let stated = request.header("x-amz-date") ?? request.header("date")
    guard let stated, let date = SigningTime.parse(httpDate: stated) else {
      throw .malformed("AWS authentication requires a valid Date or x-amz-date header")
    }
    return SignatureClaim(
      kind: .headerV2, accessKeyId: String(text[..<colon]), scope: nil, signedHeaders: [],
      signature: String(text[text.index(after: colon)...]), sessionToken: request.header("x-amz-security-token"), date: date,
      amzDate: "", expires: nil, payload: .unsigned)
  }
}

/// The decoded parameters of a raw query; the first of equal names counts.
struct QueryParameters {
  private(set) var pairs: [(key: String, value: String)] = []

  init(_ query: Substring) {
    for part in query.utf8.split(separator: 0x26) {
      let split = part.split(separator: 0x3d, maxSplits: 1, omittingEmptySubsequences: false)
      let value = split.count > 1 ? String(decoding: URICoding.decode(split[1]), as: UTF8.self) : ""
      pairs.append((String(decoding: URICoding.decode(split[0]), as: UTF8.self), value))
    }
  }
  subscript(_ key: String) -> String? { pairs.first { $0.key == key }?.value }
  func has(_ key: String) -> Bool { pairs.contains { $0.key == key } }
}
