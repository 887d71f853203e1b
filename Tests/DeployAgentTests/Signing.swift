import Crypto
import FoundationEssentials
import SwiftASN1
@_spi(CMS) import X509

@testable import DeployAgent

/// A signer of deployment specifications for tests.
struct TestSigner {
  let key: Certificate.PrivateKey
  let certificate: Certificate

  /// Self-signed, or issued by another one.
  init(name: String = "test signer", issuer: TestSigner? = nil, isAuthority: Bool = false, days: Double = 3650, address: [UInt8]? = nil)
    throws
  {
    key = Certificate.PrivateKey(P256.Signing.PrivateKey())
    let subject = try DistinguishedName { CommonName(name) }
    let now = Date(timeIntervalSince1970: 1_600_000_000)
    certificate = try Certificate(
      version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: key.publicKey, notValidBefore: now,
      notValidAfter: now.addingTimeInterval(days * 86_400), issuer: issuer?.certificate.subject ?? subject, subject: subject,
      signatureAlgorithm: .ecdsaWithSHA256,
      extensions: Certificate.Extensions {
        Critical(isAuthority ? BasicConstraints.isCertificateAuthority(maxPathLength: nil) : BasicConstraints.notCertificateAuthority)
        if let address { SubjectAlternativeNames([.ipAddress(ASN1OctetString(contentBytes: address[...]))]) }
      }, issuerPrivateKey: issuer?.key ?? key)
  }

  var keyPEM: String { (try? key.serializeAsPEM().pemString) ?? "" }
  var certificatePEM: String { (try? certificate.serializeAsPEM().pemString) ?? "" }

  func message(_ content: String, attributes: Bool = true, detached: Bool = false, with more: [Certificate] = []) throws -> [UInt8] {
    try CMS.sign(
      Array(content.utf8), additionalIntermediateCertificates: more, certificate: certificate, privateKey: key,
      signingTime: attributes ? Date(timeIntervalSince1970: 1_700_000_000) : nil, detached: detached)
  }

  static func pem(_ message: [UInt8], label: String = "PKCS7") -> String {
    let text = Data(message).base64EncodedString()
    var lines: [String] = []
    var at = text.startIndex
    while at < text.endIndex {
      let end = text.index(at, offsetBy: 64, limitedBy: text.endIndex) ?? text.endIndex
      lines.append(String(text[at..<end]))
      at = end
    }
    return "-----BEGIN \(label)-----\n\(lines.joined(separator: "\n"))\n-----END \(label)-----\n"
  }

  func envelope(_ content: String) throws -> Envelope { Envelope(format: "PKCS7/JSON", payload: Self.pem(try message(content))) }
}
