import Crypto
import RegionKit

/// What a multipart object's ETag and checksum are made of.
struct PartDigest: Sendable, Equatable {
  var size: Int64
  /// MD5 of the part, 16 bytes.
  var md5: [UInt8]
  /// The raw checksum in the upload's algorithm; nil when the upload keeps none.
  var checksum: [UInt8]?
}

enum PartChecksums {
  /// `md5(md5(part 1) ‖ md5(part 2) ‖ …)-N`.
  static func eTag(_ parts: [PartDigest]) -> String {
    var md5 = Insecure.MD5()
    for part in parts { md5.update(data: part.md5) }
    return hexText(md5.finalize()) + "-\(parts.count)"
  }

  /// The object's checksum: of the parts' checksums, or (CRCs only) of the whole, combined without reading a byte again.
  static func combined(_ parts: [PartDigest], _ algorithm: ChecksumFunction, _ kind: ChecksumKind) -> String? {
    let values = parts.compactMap(\.checksum)
    guard values.count == parts.count, !parts.isEmpty else { return nil }
    switch kind {
    case .composite:
      var state = ChecksumState(algorithm)
      for value in values { value.withUnsafeBytes { state.update($0) } }
      return Base64.encode(state.value) + "-\(parts.count)"
    case .fullObject:
      guard let table = algorithm.table else { return nil }
      var crc: UInt64 = 0
      for (i, part) in parts.enumerated() {
        let next = values[i].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        crc = i == 0 ? next : table.combine(crc, next, secondLength: part.size)
      }
      return Base64.encode(ChecksumState.bigEndian(crc, algorithm.byteCount))
    }
  }
}
