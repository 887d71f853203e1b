public import FoundationEssentials

/// Verifies claimed signatures against a secret.
public struct Verifier: Sendable {
  /// How far the signing time may be from ours, in real seconds. AWS: 15 minutes for S3, 5 for the others.
  public struct Window: Sendable {
    public var s3 = 900.0
    public var others = 300.0
    public init() {}
  }
  private let window: Window
  private let keys: SigningKeyCache

  public init(window: Window = Window(), keys: SigningKeyCache = SigningKeyCache()) {
    self.window = window
    self.keys = keys
  }

  /// Checks all that can be checked without the secret: times, scope and which headers are covered.
  public func precheck(_ claim: SignatureClaim, _ request: SignableRequest, now: Date) throws(SignatureProblem) {
    switch claim.kind {
    case .queryV2:
      guard now <= claim.date else { throw .expired(at: claim.date, now: now) }
      return
    case .headerV2: return try checkSkew(claim.date, now: now, window: window.s3)
    case .headerV4, .queryV4: break
    }
    guard let scope = claim.scope else { return }
    guard claim.amzDate.hasPrefix(scope.day) else { throw .scopeDate(scope: scope.day, date: claim.amzDate) }
    let isS3 = scope.service == "s3"
    let width = isS3 ? window.s3 : window.others
    if claim.kind == .queryV4, let expires = claim.expires {
      guard now >= claim.date.addingTimeInterval(-width) else { throw .notYetValid(signed: claim.date, now: now) }
      let end = claim.date.addingTimeInterval(Double(expires))
      guard now <= end else { throw .expired(at: end, now: now) }
    } else {
      try checkSkew(claim.date, now: now, window: width)
    }
    try checkCoverage(claim, request, isS3: isS3)
  }

  private func checkSkew(_ signed: Date, now: Date, window: Double) throws(SignatureProblem) {
    guard abs(now.timeIntervalSince(signed)) <= window else { throw .skewed(signed: signed, now: now, window: window) }
  }

  /// S3 wants every `x-amz-` header signed; elsewhere `X-Amz-Target` chooses the operation and so must be.
  private func checkCoverage(_ claim: SignatureClaim, _ request: SignableRequest, isS3: Bool) throws(SignatureProblem) {
    var missing: [String] = []
    for (name, _) in request.headers {
      let prefix = isS3 ? "x-amz-" : "x-amz-target"
      guard sameIgnoringCase(String(name.prefix(prefix.utf8.count)), prefix) else { continue }
      let lower = asciiLowercased(name)
      // The payload hash is part of the canonical request in its own right.
      if isS3 ? lower == "x-amz-content-sha256" : lower != prefix { continue }
      if !claim.signedHeaders.contains(lower) { missing.append(lower) }
    }
    if !missing.isEmpty { throw .headersNotSigned(missing) }
  }

  /// Verifies the signature. `payloadHash` is the last line of the canonical request: the SHA-256 of the body in hexadecimal, or the
  /// literal word that stands for an unsigned or streamed one. `bucketInHost`: the bucket when it is not part of the path (version 2
  /// signs it as if it were).
  public func verify(
    _ claim: SignatureClaim, _ request: SignableRequest, secret: String, payloadHash: String, bucketInHost: String? = nil
  ) throws(SignatureProblem) {
    guard let scope = claim.scope else {
      let text = SignatureV2.stringToSign(claim, request, bucketInHost: bucketInHost)
      guard constantTimeEqual(SignatureV2.signature(text, secret: secret), claim.signature) else {
        throw .mismatch(canonicalRequest: "", stringToSign: text)
      }
      return
    }
    let canonical = CanonicalRequest(service: scope.service).text(
      request, signedHeaders: claim.signedHeaders, payloadHash: payloadHash,
      leavingOut: claim.kind == .queryV4 ? "X-Amz-Signature" : nil)
    let text = stringToSign(amzDate: claim.amzDate, scope: scope, canonicalRequest: canonical)
    let computed = keys.key(secret: secret, scope: scope).signature(text)
    guard constantTimeEqual(computed, claim.signature) else {
      throw .mismatch(canonicalRequest: String(decoding: canonical, as: UTF8.self), stringToSign: text)
    }
  }

  /// What verifies the chunks of a streamed payload whose head has this claim; nil for version 2.
  public func chunkSigning(_ claim: SignatureClaim, secret: String) -> ChunkSigning? {
    claim.scope.map { scope in
      ChunkSigning(key: keys.key(secret: secret, scope: scope), amzDate: claim.amzDate, scope: scope, seed: claim.signature)
    }
  }
}
