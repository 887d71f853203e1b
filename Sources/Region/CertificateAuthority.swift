import Crypto
import FoundationEssentials
public import RegionKit
import SwiftASN1
import X509

/// The region's own certificate authority: made at the first start, put into every launched image, and the issuer of the listeners'
/// certificates. P-256.
public struct CertificateAuthority: Sendable {
  private let key: Certificate.PrivateKey
  private let certificate: Certificate

  /// A new authority, valid for ten years, as PEM: its key and its certificate.
  public static func make(clock: any RegionClock, random: any Randomness) throws -> String {
    let key = Certificate.PrivateKey(P256.Signing.PrivateKey())
    let name = try DistinguishedName { CommonName("Roadstead region CA") }
    let certificate = try Certificate(
      version: .v3, serialNumber: serial(random), publicKey: key.publicKey,
      notValidBefore: clock.now().addingTimeInterval(-3600), notValidAfter: clock.now().addingTimeInterval(10 * 365 * 86_400),
      issuer: name, subject: name, signatureAlgorithm: .ecdsaWithSHA256,
      extensions: Certificate.Extensions {
        Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
        Critical(KeyUsage(keyCertSign: true, cRLSign: true))
      }, issuerPrivateKey: key)
    return try key.serializeAsPEM().pemString + "\n" + certificate.serializeAsPEM().pemString + "\n"
  }

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
    guard let key, let certificate else { throw AWSError.internalFailure("The region CA's file needs a private key and a certificate.") }
    self.key = key
    self.certificate = certificate
  }

  /// The certificate that clients trust.
  public var certificatePEM: String { get throws { try certificate.serializeAsPEM().pemString + "\n" } }

  /// A server certificate for these names and IPv4 addresses, valid for 397 days, with its new key.
  public func issue(names: [String], addresses: [String], clock: any RegionClock, random: any Randomness) throws
    -> (chainPEM: String, keyPEM: String)
  {
    let key = Certificate.PrivateKey(P256.Signing.PrivateKey())
    let alternatives: [GeneralName] =
      names.map { .dnsName($0) }
      + addresses.map { .ipAddress(ASN1OctetString(contentBytes: $0.split(separator: ".").compactMap { UInt8($0) }[...])) }
    let certificate = try Certificate(
      version: .v3, serialNumber: Self.serial(random), publicKey: key.publicKey,
      notValidBefore: clock.now().addingTimeInterval(-3600), notValidAfter: clock.now().addingTimeInterval(397 * 86_400),
      issuer: self.certificate.subject, subject: try DistinguishedName { CommonName(names.first ?? addresses.first ?? "roadstead") },
      signatureAlgorithm: .ecdsaWithSHA256,
      extensions: Certificate.Extensions {
        Critical(BasicConstraints.notCertificateAuthority)
        Critical(KeyUsage(digitalSignature: true))
        try ExtendedKeyUsage([.serverAuth])
        SubjectAlternativeNames(alternatives)
      }, issuerPrivateKey: self.key)
    return (
      try certificate.serializeAsPEM().pemString + "\n" + certificatePEM, try key.serializeAsPEM().pemString + "\n"
    )
  }

  private static func serial(_ random: any Randomness) -> Certificate.SerialNumber {
    var bytes = random.bytes(16)
    bytes[0] = bytes[0] & 0x7f | 0x40
    return Certificate.SerialNumber(bytes: bytes)
  }
}
