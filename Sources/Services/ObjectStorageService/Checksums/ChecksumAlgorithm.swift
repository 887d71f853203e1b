import CZlib
import Crypto
import FoundationEssentials

/// The additional checksums S3 keeps with an object. Raw values are the model's.
enum ChecksumFunction: String, Codable, Sendable, CaseIterable {
  case crc32 = "CRC32"
  case crc32c = "CRC32C"
  case crc64nvme = "CRC64NVME"
  case sha1 = "SHA1"
  case sha256 = "SHA256"
  case sha512 = "SHA512"
  case md5 = "MD5"

  /// The member that carries it in requests and answers.
  var member: String { "Checksum" + rawValue }
  /// The header and trailer name.
  var header: String { "x-amz-checksum-" + rawValue.lowercased() }
  /// Bytes of the raw value.
  var byteCount: Int {
    switch self {
    case .crc32, .crc32c: 4
    case .crc64nvme: 8
    case .sha1: 20
    case .sha256: 32
    case .sha512: 64
    case .md5: 16
    }
  }
  /// CRCs of parts combine into the CRC of the whole; digests do not.
  var table: CRCTable? {
    switch self {
    case .crc32: .crc32
    case .crc32c: .crc32c
    case .crc64nvme: .crc64NVME
    default: nil
    }
  }
  /// What S3 keeps for a multipart object when the caller does not say: CRC64NVME only exists over the whole object, the others
  /// default to a checksum of the parts' checksums.
  var defaultMultipartType: ChecksumKind { self == .crc64nvme ? .fullObject : .composite }
}

/// Whether a multipart object's checksum covers its bytes or its parts' checksums.
enum ChecksumKind: String, Codable, Sendable {
  case fullObject = "FULL_OBJECT"
  case composite = "COMPOSITE"
}

/// A checksum as stored with an object.
struct StoredChecksum: Codable, Sendable, Equatable {
  var algorithm: ChecksumFunction
  /// Base64, with `-N` for a composite one.
  var value: String
  var kind: ChecksumKind
}

/// A checksum while bytes come in.
enum ChecksumState: Sendable {
  case crc(ChecksumFunction, UInt64)
  case sha1(Insecure.SHA1)
  case sha256(SHA256)
  case sha512(SHA512)
  case md5(Insecure.MD5)

  init(_ algorithm: ChecksumFunction) {
    switch algorithm {
    case .crc32, .crc32c, .crc64nvme: self = .crc(algorithm, 0)
    case .sha1: self = .sha1(Insecure.SHA1())
    case .sha256: self = .sha256(SHA256())
    case .sha512: self = .sha512(SHA512())
    case .md5: self = .md5(Insecure.MD5())
    }
  }

  mutating func update(_ bytes: UnsafeRawBufferPointer) {
    switch self {
    case .crc(.crc32, let crc):
      // zlib's is faster than a table walk, and its length is an unsigned int; pieces are far smaller.
      let next = CZlib.crc32_z(UInt(crc), bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count)
      self = .crc(.crc32, bytes.isEmpty ? crc : UInt64(next))
    case .crc(let algorithm, let crc): self = .crc(algorithm, algorithm.table!.update(crc, bytes))
    case .sha1(var state):
      state.update(bufferPointer: bytes)
      self = .sha1(state)
    case .sha256(var state):
      state.update(bufferPointer: bytes)
      self = .sha256(state)
    case .sha512(var state):
      state.update(bufferPointer: bytes)
      self = .sha512(state)
    case .md5(var state):
      state.update(bufferPointer: bytes)
      self = .md5(state)
    }
  }

  /// The raw value; CRCs are big-endian.
  var value: [UInt8] {
    switch self {
    case .crc(let algorithm, let crc): Self.bigEndian(crc, algorithm.byteCount)
    case .sha1(let state): Array(state.finalize())
    case .sha256(let state): Array(state.finalize())
    case .sha512(let state): Array(state.finalize())
    case .md5(let state): Array(state.finalize())
    }
  }

  static func bigEndian(_ value: UInt64, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - $0))) }
  }
}

/// The digests of one body: always MD5 (the ETag), plus the checksums asked for.
struct BodyDigests: Sendable {
  private var md5 = Insecure.MD5()
  private var states: [(algorithm: ChecksumFunction, state: ChecksumState)]
  private(set) var size: Int64 = 0

  init(_ algorithms: Set<ChecksumFunction>) { states = algorithms.map { ($0, ChecksumState($0)) } }

  mutating func update(_ piece: [UInt8]) {
    size += Int64(piece.count)
    piece.withUnsafeBytes { bytes in
      md5.update(bufferPointer: bytes)
      for i in states.indices { states[i].state.update(bytes) }
    }
  }

  var md5Bytes: [UInt8] { Array(md5.finalize()) }
  /// Base64 by algorithm.
  var checksums: [ChecksumFunction: String] {
    Dictionary(uniqueKeysWithValues: states.map { ($0.algorithm, Base64.encode($0.state.value)) })
  }
}

/// Standard base64 (RFC 4648 §4), strict.
enum Base64 {
  static func encode(_ bytes: [UInt8]) -> String { Data(bytes).base64EncodedString() }
  /// Nil unless the text is canonical base64 of exactly `count` bytes.
  static func decode(_ text: String, count: Int? = nil) -> [UInt8]? {
    guard let data = Data(base64Encoded: text) else { return nil }
    guard count == nil || data.count == count else { return nil }
    return Array(data)
  }
}

/// Lower-case hexadecimal.
func hexText(_ bytes: some Sequence<UInt8>) -> String {
  let digits = Array("0123456789abcdef".utf8)
  var out: [UInt8] = []
  for byte in bytes {
    out.append(digits[Int(byte >> 4)])
    out.append(digits[Int(byte & 15)])
  }
  return String(decoding: out, as: UTF8.self)
}

/// Nil unless the text is pairs of hexadecimal digits.
func hexBytes(_ text: some StringProtocol) -> [UInt8]? {
  func digit(_ c: UInt8) -> UInt8? {
    switch c {
    case 0x30...0x39: c - 0x30
    case 0x61...0x66: c - 0x57
    case 0x41...0x46: c - 0x37
    default: nil
    }
  }
  let bytes = Array(text.utf8)
  guard bytes.count % 2 == 0 else { return nil }
  var out: [UInt8] = []
  for i in stride(from: 0, to: bytes.count, by: 2) {
    guard let high = digit(bytes[i]), let low = digit(bytes[i + 1]) else { return nil }
    out.append(high << 4 | low)
  }
  return out
}
