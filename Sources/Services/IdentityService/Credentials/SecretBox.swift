import Crypto
import FoundationEssentials
import RegionKit

/// Seals what must not lie readable in the store, under keys derived from the region key (AES-256-GCM).
struct SecretBox: Sendable {
  enum Purpose: String, CaseIterable, Sendable { case accessKey = "access-key-secret", sessionToken = "session-token" }
  private let keys: [Purpose: SymmetricKey]
  private let random: any Randomness

  /// `regionKey`: 32 random bytes that the region keeps in its home.
  init(regionKey: [UInt8], random: any Randomness) {
    self.random = random
    let root = SymmetricKey(data: regionKey)
    keys = Dictionary(
      uniqueKeysWithValues: Purpose.allCases.map { purpose in
        let info = Data("roadstead/identity/\(purpose.rawValue)/v1".utf8)
        return (purpose, HKDF<SHA256>.deriveKey(inputKeyMaterial: root, info: info, outputByteCount: 32))
      })
  }

  private func key(_ purpose: Purpose) throws -> SymmetricKey {
    guard let key = keys[purpose] else { throw AWSError.internalFailure("No key for \(purpose.rawValue).") }
    return key
  }

  /// A format byte (1), the nonce, the ciphertext and the tag. `binding` must be given again to open it.
  func seal(_ plain: [UInt8], for purpose: Purpose, binding: String) throws -> [UInt8] {
    let box = try AES.GCM.seal(
      plain, using: try key(purpose), nonce: try AES.GCM.Nonce(data: random.bytes(12)), authenticating: Array(binding.utf8))
    guard let combined = box.combined else { throw AWSError.internalFailure("A secret could not be sealed.") }
    return [1] + Array(combined)
  }

  /// Nil when the bytes were not sealed under this region's key for this purpose and binding.
  func open(_ sealed: [UInt8], for purpose: Purpose, binding: String) -> [UInt8]? {
    guard sealed.first == 1, let key = keys[purpose], let box = try? AES.GCM.SealedBox(combined: sealed.dropFirst()),
      let plain = try? AES.GCM.open(box, using: key, authenticating: Array(binding.utf8))
    else { return nil }
    return Array(plain)
  }
}

/// A console password, salted and stretched (PBKDF2 with HMAC-SHA256, RFC 8018).
struct PasswordHash: Codable, Sendable {
  let salt: [UInt8]
  let rounds: Int
  let digest: [UInt8]

  init(_ password: String, salt: [UInt8], rounds: Int) {
    self.salt = salt
    self.rounds = rounds
    digest = Self.derive(password, salt, rounds)
  }

  func accepts(_ password: String) -> Bool {
    let candidate = Self.derive(password, salt, rounds)
    // No early exit, so that the time taken says nothing.
    return candidate.count == digest.count && zip(candidate, digest).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
  }

  private static func derive(_ password: String, _ salt: [UInt8], _ rounds: Int) -> [UInt8] {
    let key = SymmetricKey(data: Array(password.utf8))
    var block = Array(HMAC<SHA256>.authenticationCode(for: salt + [0, 0, 0, 1], using: key))
    var out = block
    for _ in 1..<max(1, rounds) {
      block = Array(HMAC<SHA256>.authenticationCode(for: block, using: key))
      for i in out.indices { out[i] ^= block[i] }
    }
    return out
  }
}
