/// The chain of signatures over the chunks of a streamed payload: each covers the one before.
public struct ChunkSigning: Sendable {
  private let key: SigningKey
  private let amzDate: String
  private let scope: CredentialScope
  /// The signature of the head or of the last chunk.
  public private(set) var previous: String

  init(key: SigningKey, amzDate: String, scope: CredentialScope, seed: String) {
    self.key = key
    self.amzDate = amzDate
    self.scope = scope
    previous = seed
  }

  /// The signature of the next chunk, whose data have this SHA-256 (hexadecimal). The last chunk is empty.
  public mutating func next(dataHash: String) -> String {
    previous = key.signature(
      "AWS4-HMAC-SHA256-PAYLOAD\n\(amzDate)\n\(scope)\n\(previous)\n\(emptyPayloadHash)\n\(dataHash)")
    return previous
  }

  /// The signature over the trailing fields, each as `name:value\n`, names in lower case.
  public mutating func trailer(_ fields: [(name: String, value: String)]) -> String {
    let text = fields.map { "\($0.name):\($0.value)\n" }.joined()
    previous = key.signature(
      "AWS4-HMAC-SHA256-TRAILER\n\(amzDate)\n\(scope)\n\(previous)\n\(sha256Hex(Array(text.utf8)))")
    return previous
  }
}
