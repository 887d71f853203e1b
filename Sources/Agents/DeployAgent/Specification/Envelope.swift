import FoundationEssentials
public import RegionKit
import SwiftASN1
@_spi(CMS) @_spi(FixedExpiryValidationTime) import X509

/// The wrapping of a deployment specification.
public struct Envelope: Sendable, Equatable, Codable {
  public var format: String
  public var payload: String
  public init(format: String, payload: String) {
    self.format = format
    self.payload = payload
  }
  enum CodingKeys: String, CodingKey {
    case format = "Format"
    case payload = "Payload"
  }
}

/// Opens envelopes: checks the signature over the embedded content, and who signed when certificates are pinned.
public struct EnvelopeOpener: Sendable {
  private let pinned: [Certificate]?
  private let clock: any RegionClock
  /// Unsigned formats are accepted; only a local run does that.
  private let allowUnsigned: Bool

  /// `pinnedPEM`: certificates, one of which must have signed or have issued the signer. Nil: any signer, as the official agents do,
  /// but the signature must hold. Throws when the text holds no certificate.
  public init(pinnedPEM: String? = nil, allowUnsigned: Bool = false, clock: any RegionClock) throws {
    self.clock = clock
    self.allowUnsigned = allowUnsigned
    guard let pinnedPEM else {
      pinned = nil
      return
    }
    let blocks = PEM.blocks(pinnedPEM, label: "CERTIFICATE")
    guard !blocks.isEmpty else { throw AgentError("The file of pinned certificates holds no certificate in PEM form.") }
    pinned = try blocks.map { try Certificate(derEncoded: $0) }
  }

  /// The JSON inside.
  public func open(_ envelope: Envelope?) async throws(AgentError) -> [UInt8] {
    guard let envelope else { throw AgentError("Provided deployment spec was nil") }
    switch envelope.format {
    case "PKCS7/JSON": return try await verified(envelope.payload)
    case "TEXT/JSON" where allowUnsigned, "JSON" where allowUnsigned: return Array(envelope.payload.utf8)
    case "TEXT/JSON", "JSON":
      throw AgentError("Unsupported DeploymentSpecification format: \(envelope.format) (unsigned specifications are refused)")
    default: throw AgentError("Unsupported DeploymentSpecification format: \(envelope.format)")
    }
  }

  private func verified(_ payload: String) async throws(AgentError) -> [UInt8] {
    guard let raw = PEM.blocks(payload, label: "PKCS7").first else {
      throw AgentError("The deployment specification is not a PKCS7 message in PEM form.")
    }
    guard let message = CMSMessage.normal(raw), let content = BERReader.embeddedContent(message) else {
      throw AgentError("The deployment specification's PKCS7 message does not contain the signed text.")
    }
    let roots: [Certificate]
    do {
      roots = try pinned ?? CMSSignature(berEncoded: message).certificates
    } catch {
      throw AgentError("The deployment specification's PKCS7 message is not readable: \(error)")
    }
    guard !roots.isEmpty else { throw AgentError("The deployment specification's PKCS7 message contains no certificate of its signer.") }
    let result: CMS.SignatureVerificationResult
    if pinned != nil {
      let policy = PinnedSigner(pinned: roots, now: clock.now())
      result = await CMS.isValidSignature(
        dataBytes: content, signatureBytes: message, trustRoots: CertificateStore(roots), allowAttachedContent: true
      ) { policy }
    } else {
      result = await CMS.isValidSignature(
        dataBytes: content, signatureBytes: message, trustRoots: CertificateStore(roots), allowAttachedContent: true
      ) { AnySigner() }
    }
    switch result {
    case .success: return content
    case .failure(.unableToValidateSigner):
      throw AgentError("The deployment specification is signed by a certificate that does not chain to the pinned certificate authority.")
    case .failure(.invalidCMSBlock(let block)):
      throw AgentError("The deployment specification's signature is not valid: \(block.reason.prefix(300))")
    }
  }
}

/// A pinned certificate itself, whatever it says about being an authority; or one that a pinned authority has issued.
private struct PinnedSigner: VerifierPolicy {
  let pinned: [Certificate]
  let now: Date
  private var authorities: RFC5280Policy
  init(pinned: [Certificate], now: Date) {
    self.pinned = pinned
    self.now = now
    authorities = RFC5280Policy(fixedExpiryValidationTime: now)
  }
  var verifyingCriticalExtensions: [ASN1ObjectIdentifier] { authorities.verifyingCriticalExtensions }

  mutating func chainMeetsPolicyRequirements(chain: UnverifiedCertificateChain) async -> PolicyEvaluationResult {
    guard chain.count == 1, pinned.contains(chain.leaf) else { return authorities.chainMeetsPolicyRequirements(chain: chain) }
    guard chain.leaf.notValidBefore <= now, now <= chain.leaf.notValidAfter else {
      return .failsToMeetPolicy(reason: "the pinned certificate is not valid at this time")
    }
    return .meetsPolicy
  }
}

/// Whoever holds the key of an embedded certificate: without a pin there is nothing to hold the signer against.
private struct AnySigner: VerifierPolicy {
  let verifyingCriticalExtensions = RFC5280Policy(fixedExpiryValidationTime: Date(timeIntervalSince1970: 0)).verifyingCriticalExtensions
  mutating func chainMeetsPolicyRequirements(chain: UnverifiedCertificateChain) async -> PolicyEvaluationResult { .meetsPolicy }
}

/// PEM text to bytes.
enum PEM {
  static func blocks(_ text: String, label: String) -> [[UInt8]] {
    var out: [[UInt8]] = []
    var body: String?
    for line in text.split(whereSeparator: \.isNewline).map({ trimmed(String($0)) }) {
      if line == "-----BEGIN \(label)-----" {
        body = ""
      } else if line == "-----END \(label)-----" {
        if let data = body.flatMap({ Data(base64Encoded: $0) }) { out.append(Array(data)) }
        body = nil
      } else {
        body?.append(line)
      }
    }
    return out
  }
}
