import Crypto
import RegionKit

/// The rules for general purpose bucket names (S3 User Guide, "Bucket naming rules").
enum BucketName {
  static func isValid(_ name: String) -> Bool {
    let bytes = Array(name.utf8)
    guard (3...63).contains(bytes.count), bytes.allSatisfy(isAllowed), isAlphanumeric(bytes[0]), isAlphanumeric(bytes[bytes.count - 1])
    else { return false }
    for i in 1..<bytes.count where bytes[i - 1] == 0x2e && bytes[i] == 0x2e { return false }
    if looksLikeAddress(name) { return false }
    if ["xn--", "sthree-"].contains(where: name.hasPrefix) { return false }
    return !["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"].contains { name.hasSuffix($0) }
  }

  private static func isAllowed(_ byte: UInt8) -> Bool { isAlphanumeric(byte) || byte == 0x2d || byte == 0x2e }
  private static func isAlphanumeric(_ byte: UInt8) -> Bool { (0x61...0x7a).contains(byte) || (0x30...0x39).contains(byte) }
  private static func looksLikeAddress(_ name: String) -> Bool {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }
  }
}

/// The canonical user id S3 shows as owner: 64 hexadecimal digits, the same for an account in every region.
func canonicalUserID(_ account: AccountID) -> String {
  hexText(SHA256.hash(data: Array("s3-canonical-user:\(account)".utf8)))
}
