import Synchronization

/// The key derived from a secret for one scope.
struct SigningKey: Sendable {
  let bytes: [UInt8]

  init(secret: String, scope: CredentialScope) {
    let day = hmac(Array("AWS4".utf8) + Array(secret.utf8), scope.day)
    let region = hmac(day, scope.region)
    let service = hmac(region, scope.service)
    bytes = hmac(service, "aws4_request")
  }

  func signature(_ stringToSign: String) -> String { hex(hmac(bytes, stringToSign)) }
}

/// Derived keys by secret and scope: four of the five HMACs of a verification are the same all day. Starts anew when it is full.
public final class SigningKeyCache: Sendable {
  private struct Key: Hashable {
    let secret: String
    let scope: CredentialScope
  }
  private let keys = Mutex<[Key: SigningKey]>([:])
  private let capacity: Int

  public init(capacity: Int = 4096) { self.capacity = capacity }

  func key(secret: String, scope: CredentialScope) -> SigningKey {
    let key = Key(secret: secret, scope: scope)
    if let found = keys.withLock({ $0[key] }) { return found }
    let made = SigningKey(secret: secret, scope: scope)
    keys.withLock { keys in
      if keys.count >= capacity { keys.removeAll() }
      keys[key] = made
    }
    return made
  }
}

func stringToSign(amzDate: String, scope: CredentialScope, canonicalRequest: [UInt8]) -> String {
  "AWS4-HMAC-SHA256\n\(amzDate)\n\(scope)\n\(sha256Hex(canonicalRequest))"
}
