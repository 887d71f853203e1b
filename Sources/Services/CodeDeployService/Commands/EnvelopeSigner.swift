import CryptoExtras
public import FoundationEssentials
public import RegionKit
import SwiftASN1
import Synchronization
@_spi(CMS) import X509

/// Signs deployment specifications: PKCS#7 SignedData with the content and the signer's certificate inside, as PEM labelled `PKCS7`.
/// RSA-2048 with SHA-256, the one kind that every official agent takes. The agents trust any signer; our own may pin this one.
public struct EnvelopeSigner: Sendable {
  private let key: Certificate.PrivateKey
  private let certificate: Certificate

  /// A new key with a certificate signed by itself, valid for ten years.
  public static func make(clock: any RegionClock, random: any Randomness) throws -> EnvelopeSigner {
    let rsa = try _RSA.Signing.PrivateKey(keySize: .bits2048)
    let key = Certificate.PrivateKey(rsa)
    let name = try DistinguishedName { CommonName("Roadstead CodeDeploy deployment specifications") }
    var serial = random.bytes(16)
    serial[0] &= 0x7f
    serial[0] |= 0x40
    let now = clock.now()
    let certificate = try Certificate(
      version: .v3, serialNumber: Certificate.SerialNumber(bytes: serial), publicKey: key.publicKey,
      notValidBefore: now.addingTimeInterval(-3600), notValidAfter: now.addingTimeInterval(10 * 365 * 86_400), issuer: name,
      subject: name, signatureAlgorithm: .sha256WithRSAEncryption,
      extensions: Certificate.Extensions {
        Critical(BasicConstraints.notCertificateAuthority)
        Critical(KeyUsage(digitalSignature: true))
      }, issuerPrivateKey: key)
    return EnvelopeSigner(key: key, certificate: certificate)
  }

  /// Reads what `pem` wrote: one private key and one certificate. Throws when either is missing or unreadable.
  public init(pem: String) throws {
    var key: Certificate.PrivateKey?
    var certificate: Certificate?
    for document in try PEMDocument.parseMultiple(pemString: pem) {
      if document.discriminator == "CERTIFICATE" {
        certificate = try Certificate(pemDocument: document)
      } else {
        key = try Certificate.PrivateKey(pemDocument: document)
      }
    }
    guard let key, let certificate else {
      throw AWSError.internalFailure("The signer of deployment specifications needs a private key and a certificate in PEM form.")
    }
    self.init(key: key, certificate: certificate)
  }

  private init(key: Certificate.PrivateKey, certificate: Certificate) {
    self.key = key
    self.certificate = certificate
  }

  /// Key and certificate, for a file that only the region can read.
  public var pem: String {
    get throws { try key.serializeAsPEM().pemString + "\n" + certificate.serializeAsPEM().pemString + "\n" }
  }

  /// The certificate alone, for agents that pin it.
  public var certificatePEM: String { get throws { try certificate.serializeAsPEM().pemString } }

  /// `content` in an envelope. `time` becomes the signing time.
  public func sign(_ content: [UInt8], time: Date) throws -> String {
    let der = try CMS.sign(
      content, signatureAlgorithm: .sha256WithRSAEncryption, certificate: certificate, privateKey: key, signingTime: time,
      detached: false)
    let body = Data(der).base64EncodedString(options: [.lineLength64Characters, .endLineWithLineFeed])
    return "-----BEGIN PKCS7-----\n" + body + "\n-----END PKCS7-----\n"
  }
}

/// Signed envelopes of the deployments that are asked for now: all hosts of a deployment get the same, and a signature costs a
/// millisecond.
final class EnvelopeCache: Sendable {
  private let limit = 256
  private let kept = Mutex<[String: String]>([:])

  func envelope(_ key: String, make: () throws -> String) rethrows -> String {
    if let known = kept.withLock({ $0[key] }) { return known }
    let made = try make()
    kept.withLock { kept in
      if kept.count >= limit { kept.removeAll() }
      kept[key] = made
    }
    return made
  }
}
