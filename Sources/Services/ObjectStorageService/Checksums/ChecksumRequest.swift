import FoundationEssentials
import RegionKit
import WireModel

/// What a caller says of a body's digests: in headers, in the trailer that follows the body, or only which algorithm to use.
struct ChecksumRequest: Sendable {
  /// Base64 of 16 bytes.
  var contentMD5: [UInt8]?
  /// The algorithm named by a value, by `x-amz-sdk-checksum-algorithm` or by `x-amz-checksum-algorithm`.
  var algorithm: ChecksumFunction?
  /// Base64, from a header; a trailer's value comes later.
  var expected: String?

  /// Reads the members that every body-carrying operation of S3 shares. Throws InvalidDigest, InvalidRequest, NotImplemented.
  init(fields: [String: WireValue]) throws {
    if let text = fields["ContentMD5"]?.asString {
      guard let bytes = Base64.decode(text, count: 16) else {
        throw AWSError("InvalidDigest", "The Content-MD5 you specified is not valid.", status: 400, fields: ["Content-MD5": text])
      }
      contentMD5 = bytes
    }
    let given = try Self.values(in: fields)
    guard given.count <= 1 else {
      throw S3Problem.invalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    }
    let named = try fields["ChecksumAlgorithm"]?.asString.map { try Self.algorithm($0) }
    if let (function, value) = given.first {
      // AWS ignores the named algorithm when a value says otherwise.
      algorithm = function
      expected = value
    } else {
      algorithm = named
    }
  }

  /// The checksum values among an input's members, by algorithm; checked for form.
  static func values(in fields: [String: WireValue]) throws -> [ChecksumFunction: String] {
    for refused in ["XXHASH64", "XXHASH3", "XXHASH128"] where fields["Checksum" + refused]?.asString != nil {
      throw S3Problem.notImplemented("x-amz-checksum-\(refused.lowercased())", "Use CRC32, CRC32C, CRC64NVME, SHA1 or SHA256.")
    }
    var out: [ChecksumFunction: String] = [:]
    for function in ChecksumFunction.allCases {
      guard let value = fields[function.member]?.asString else { continue }
      guard Self.isWellFormed(value, function) else {
        throw S3Problem.invalidRequest("Value for \(function.header) header is invalid.")
      }
      out[function] = value
    }
    return out
  }

  static func isWellFormed(_ value: String, _ function: ChecksumFunction) -> Bool {
    let parts = value.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
    if parts.count == 2, Int(parts[1]) == nil { return false }
    return Base64.decode(String(parts[0]), count: function.byteCount) != nil
  }

  static func algorithm(_ text: String) throws -> ChecksumFunction {
    if let function = ChecksumFunction(rawValue: text.uppercased()) { return function }
    if text.uppercased().hasPrefix("XXHASH") {
      throw S3Problem.notImplemented("checksum algorithm \(text)", "Use CRC32, CRC32C, CRC64NVME, SHA1 or SHA256.")
    }
    throw S3Problem.invalidRequest(
      "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
        + "[CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
  }

  /// Compares with what came. `trailers` are complete only once the body has ended. Throws BadDigest or InvalidRequest.
  /// A trailer in an algorithm that nobody announced is answered by the second value: compute it from the stored bytes.
  func verify(_ body: Ingested, trailers: [String: String]) throws -> (ChecksumFunction, String)? {
    if let contentMD5, contentMD5 != body.md5 {
      throw S3Problem.badContentMD5(expected: Base64.encode(contentMD5), calculated: Base64.encode(body.md5))
    }
    if let algorithm, let expected {
      guard body.checksums[algorithm] == expected else { throw S3Problem.badDigest(algorithm) }
      return nil
    }
    for (name, value) in trailers {
      let name = name.lowercased()
      guard let function = ChecksumFunction.allCases.first(where: { $0.header == name }) else { continue }
      guard Self.isWellFormed(value, function) else {
        throw S3Problem.invalidRequest("Value for \(function.header) trailing header is invalid.")
      }
      guard let computed = body.checksums[function] else { return (function, value) }
      guard computed == value else { throw S3Problem.badDigest(function) }
      return nil
    }
    return nil
  }
}

/// The trailing fields of a body, once it has ended; lower-case names.
func trailerFields(_ body: ByteStream) -> [String: String] { body.trailers?() ?? [:] }
