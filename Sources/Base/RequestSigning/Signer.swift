public import FoundationEssentials

/// Signs requests as a client does (Signature Version 4).
public struct Signer: Sendable {
  public let credentials: SigningCredentials
  public let region: String
  /// The signing name, e.g. `s3`, `codedeploy-commands`.
  public let service: String

  public init(credentials: SigningCredentials, region: String, service: String) {
    self.credentials = credentials
    self.region = region
    self.service = service
  }

  private func scope(_ amzDate: String) -> CredentialScope {
    CredentialScope(day: String(amzDate.prefix(8)), region: region, service: service)
  }

  /// The request's headers with `X-Amz-Date`, the session token, for S3 `X-Amz-Content-Sha256`, and `Authorization` added. A `Host`
  /// header must be among them. `payloadHash`: hexadecimal SHA-256 of the body (`sha256Hex`), or e.g. `UNSIGNED-PAYLOAD`. All given
  /// headers are signed, except those a proxy may change.
  public func sign(_ request: SignableRequest, payloadHash: String, date: Date) -> [(name: String, value: String)] {
    let amzDate = SigningTime.amzDate(date)
    let ours = ["x-amz-date", "x-amz-security-token", "authorization"]
    var headers = request.headers.filter { header in !ours.contains { sameIgnoringCase(header.name, $0) } }
    headers.append(("X-Amz-Date", amzDate))
    if let token = credentials.sessionToken { headers.append(("X-Amz-Security-Token", token)) }
    if service == "s3", !headers.contains(where: { sameIgnoringCase($0.name, "x-amz-content-sha256") }) {
      headers.append(("X-Amz-Content-Sha256", payloadHash))
    }
    let unsigned: Set<String> = ["connection", "expect", "user-agent", "transfer-encoding", "x-amzn-trace-id"]
    let names = Set(headers.map { asciiLowercased($0.name) }).subtracting(unsigned).sorted()
    let signature = signature(
      SignableRequest(method: request.method, target: request.target, headers: headers), names: names, payloadHash: payloadHash,
      amzDate: amzDate)
    headers.append(
      (
        "Authorization",
        "AWS4-HMAC-SHA256 Credential=\(credentials.accessKeyId)/\(scope(amzDate)), "
          + "SignedHeaders=\(names.joined(separator: ";")), Signature=\(signature)"
      ))
    return headers
  }

  private func signature(
    _ request: SignableRequest, names: [String], payloadHash: String, amzDate: String, leavingOut: String? = nil
  ) -> String {
    let canonical = CanonicalRequest(service: service).text(
      request, signedHeaders: names, payloadHash: payloadHash, leavingOut: leavingOut)
    let text = stringToSign(amzDate: amzDate, scope: scope(amzDate), canonicalRequest: canonical)
    return SigningKey(secret: credentials.secretAccessKey, scope: scope(amzDate)).signature(text)
  }

  /// The target of a presigned URL: the given raw target with the signing parameters added. `headers` are those the client will have to
  /// send, `Host` at least. `expires`: 1 to 604800 seconds.
  public func presign(
    method: String, target: String, headers: [(name: String, value: String)], expires: Int, date: Date
  ) -> String {
    let amzDate = SigningTime.amzDate(date)
    let names = Set(headers.map { asciiLowercased($0.name) }).sorted()
    var parameters = [
      ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"), ("X-Amz-Credential", "\(credentials.accessKeyId)/\(scope(amzDate))"),
      ("X-Amz-Date", amzDate), ("X-Amz-Expires", String(expires)), ("X-Amz-SignedHeaders", names.joined(separator: ";")),
    ]
    if let token = credentials.sessionToken { parameters.append(("X-Amz-Security-Token", token)) }
    let added = parameters.map { "\($0.0)=\(URICoding.encode($0.1))" }.joined(separator: "&")
    let whole = target + (target.contains("?") ? "&" : "?") + added
    let payloadHash = service == "s3" ? "UNSIGNED-PAYLOAD" : emptyPayloadHash
    let signature = signature(
      SignableRequest(method: method, target: whole, headers: headers), names: names, payloadHash: payloadHash, amzDate: amzDate)
    return whole + "&X-Amz-Signature=\(signature)"
  }

  /// What signs the chunks of a body whose head was signed (with the word `STREAMING-…` as payload hash) by `sign`; nil when the headers
  /// hold no signature of this form.
  public func chunkSigning(signedHeaders headers: [(name: String, value: String)]) -> ChunkSigning? {
    let request = SignableRequest(method: "", target: "/", headers: headers)
    guard let claim = try? SignatureClaim.of(request), let scope = claim.scope else { return nil }
    return ChunkSigning(
      key: SigningKey(secret: credentials.secretAccessKey, scope: scope), amzDate: claim.amzDate, scope: scope, seed: claim.signature)
  }
}
