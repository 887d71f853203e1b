import Crypto
import FoundationEssentials

/// IMDSv2 session tokens: expiry and instance under an HMAC, so that nothing has to be stored and a restart of the plane keeps
/// them valid.
struct MetadataTokens: Sendable {
  /// AWS: 1 second to 6 hours.
  static let lifetimes = 1...21600
  private let key: SymmetricKey

  /// `key`: 32 random bytes.
  init(key: [UInt8]) { self.key = SymmetricKey(data: key) }

  func issue(instanceId: String, lifetime: Int, now: Date) -> String {
    let expiry = UInt64(max(0, now.timeIntervalSince1970)) + UInt64(lifetime)
    let stamp = (0..<8).map { UInt8(truncatingIfNeeded: expiry >> (56 - 8 * UInt64($0))) }
    let seal = Array(HMAC<SHA256>.authenticationCode(for: message(stamp, instanceId), using: key))
    return Data(stamp + seal).base64EncodedString()
  }

  /// Seconds the token is still good for; nil when it is not one of ours, another instance's, or over.
  func remaining(_ token: String, instanceId: String, now: Date) -> Int? {
    guard let bytes = Data(base64Encoded: token).map(Array.init), bytes.count == 40 else { return nil }
    let stamp = Array(bytes[..<8])
    guard
      HMAC<SHA256>.isValidAuthenticationCode(bytes[8...], authenticating: message(stamp, instanceId), using: key)
    else { return nil }
    let expiry = stamp.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    let left = Double(expiry) - now.timeIntervalSince1970
    return left > 0 ? max(1, Int(left)) : nil
  }

  private func message(_ stamp: [UInt8], _ instanceId: String) -> [UInt8] { stamp + Array(instanceId.utf8) }
}
