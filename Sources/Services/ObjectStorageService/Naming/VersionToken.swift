import FoundationEssentials
import RegionKit

/// Version ids and upload ids carry their place in time in their first 13 characters, so that ids sort without a further index:
/// versions newest first, uploads oldest first.
enum VersionToken {
  /// Ascending in ASCII.
  private static let alphabet = Array("0123456789abcdefghijklmnopqrstuv".utf8)
  static let alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
  /// The id of the one version that was written while the bucket was not versioned.
  static let null = "null"

  /// 13 characters that sort as the number does.
  static func ascending(_ order: UInt64) -> String {
    var out = [UInt8](repeating: 0, count: 13)
    var rest = order
    for i in stride(from: 12, through: 0, by: -1) {
      out[i] = alphabet[Int(rest & 31)]
      rest >>= 5
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// 13 characters, the greater number first.
  static func descending(_ order: UInt64) -> String { ascending(.max - order) }

  /// A fresh version id of 32 characters.
  static func versionId(order: UInt64, random: any Randomness) -> String {
    descending(order) + random.text(19, from: alphanumeric)
  }

  static func uploadId(order: UInt64, random: any Randomness) -> String {
    ascending(order) + random.text(51, from: alphanumeric)
  }

  /// What follows the key in a version's record id.
  static func suffix(versionId: String?, order: UInt64) -> String { versionId ?? descending(order) + null }

  /// Whether a text can be a version id of this region at all; others are refused as AWS refuses them.
  static func isWellFormed(_ versionId: String) -> Bool {
    if versionId == null { return true }
    let bytes = Array(versionId.utf8)
    return bytes.count == 32
      && bytes.allSatisfy { byte in
        (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
      }
  }

  /// Microseconds since 1970, above `previous`: two versions of a key never share a place.
  static func order(at now: Date, after previous: UInt64?) -> UInt64 {
    let micros = UInt64(max(0, now.timeIntervalSince1970) * 1_000_000)
    return max(micros, (previous ?? 0) + 1)
  }
}
