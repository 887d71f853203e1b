public import FoundationEssentials

/// Why a signature is not accepted. The gateway turns each into the protocol's own error code.
public enum SignatureProblem: Error, Sendable, Equatable {
  /// The Authorization header cannot be read; the text says what is wrong with it.
  case malformed(String)
  /// The same for a presigned URL.
  case malformedQuery(String)
  /// E.g. `AWS4-ECDSA-P256-SHA256` or `Basic`.
  case unsupportedAlgorithm(String)
  /// Headers that change the request's meaning came without being signed.
  case headersNotSigned([String])
  /// The day in the scope is not the day of the request's date.
  case scopeDate(scope: String, date: String)
  /// Signed too long ago or too far ahead; `window` in seconds.
  case skewed(signed: Date, now: Date, window: Double)
  /// A presigned URL before or after its time.
  case notYetValid(signed: Date, now: Date)
  case expired(at: Date, now: Date)
  /// The signature is wrong. The texts are what was computed, so that the caller can compare; they go to the caller only.
  case mismatch(canonicalRequest: String, stringToSign: String)
}
