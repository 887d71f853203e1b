import RoadsteadTesting
import XCTest

@testable import ObjectStorageService

final class ChecksumTests: XCTestCase {
  private func value(_ function: ChecksumFunction, _ text: String) -> String {
    var state = ChecksumState(function)
    bytes(text).withUnsafeBytes { state.update($0) }
    return hexText(state.value)
  }

  /// The check values of the CRC catalogue, and digests of RFC 1321, RFC 3174 and FIPS 180-4.
  func testVectors() {
    XCTAssertEqual(value(.crc32, "123456789"), "cbf43926")
    XCTAssertEqual(value(.crc32c, "123456789"), "e3069283")
    XCTAssertEqual(value(.crc64nvme, "123456789"), "ae8b14860a799888")
    XCTAssertEqual(value(.md5, "abc"), "900150983cd24fb0d6963f7d28e17f72")
    XCTAssertEqual(value(.sha1, "abc"), "a9993e364706816aba3e25717850c26c9cd0d89d")
    XCTAssertEqual(value(.sha256, "abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    XCTAssertEqual(value(.sha512, "").prefix(16), "cf83e1357eefb8bd")
    for function in ChecksumFunction.allCases {
      XCTAssertEqual(ChecksumState(function).value.count, function.byteCount)
    }
    var hello = ChecksumState(.crc32)
    bytes("hello world").withUnsafeBytes { hello.update($0) }
    XCTAssertEqual(Base64.encode(hello.value), "DUoRhQ==")
    hello = ChecksumState(.crc64nvme)
    bytes("hello world").withUnsafeBytes { hello.update($0) }
    XCTAssertEqual(Base64.encode(hello.value), "jSnVw/bqjr4=")
  }

  /// Eight bytes a step, zlib's, and one bit a step must agree, however the bytes are cut.
  func testAgreesWithTheDefinitionForAnyCut() {
    var generator = SeededGenerator(seed: 11)
    for _ in 0..<60 {
      let data = (0..<generator.below(300)).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
      let cut = generator.below(data.count + 1)
      for (function, table) in [(ChecksumFunction.crc32, CRCTable.crc32), (.crc32c, .crc32c), (.crc64nvme, .crc64NVME)] {
        var register = table.allOnes
        for byte in data {
          register ^= UInt64(byte)
          for _ in 0..<8 { register = register & 1 == 1 ? (register >> 1) ^ table.polynomial : register >> 1 }
        }
        let expected = ChecksumState.bigEndian(register ^ table.allOnes, function.byteCount)
        var state = ChecksumState(function)
        Array(data[..<cut]).withUnsafeBytes { state.update($0) }
        Array(data[cut...]).withUnsafeBytes { state.update($0) }
        XCTAssertEqual(state.value, expected, "\(function) of \(data.count) bytes cut at \(cut)")
      }
    }
  }

  func testCombineIsTheCRCOfTheWhole() {
    var generator = SeededGenerator(seed: 12)
    for _ in 0..<40 {
      let a = (0..<generator.below(500)).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
      let b = (0..<generator.below(5000)).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
      for table in [CRCTable.crc32, .crc32c, .crc64NVME] {
        let first = a.withUnsafeBytes { table.update(0, $0) }
        let second = b.withUnsafeBytes { table.update(0, $0) }
        let whole = (a + b).withUnsafeBytes { table.update(0, $0) }
        XCTAssertEqual(table.combine(first, second, secondLength: Int64(b.count)), whole)
      }
    }
  }

  func testMultipartETagAndComposite() {
    // md5("") twice and sha256 of the parts' digests, worked out with Python's hashlib.
    let empty = hexBytes("d41d8cd98f00b204e9800998ecf8427e") ?? []
    let parts = [PartDigest(size: 0, md5: empty, checksum: nil), PartDigest(size: 0, md5: empty, checksum: nil)]
    XCTAssertEqual(PartChecksums.eTag(parts), "5873dd45edd01f09c1ef2e7819369e8e-2")
    XCTAssertNil(PartChecksums.combined(parts, .sha256, .composite))
    let one = [PartDigest(size: 3, md5: empty, checksum: hexBytes("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"))]
    XCTAssertEqual(PartChecksums.combined(one, .sha256, .composite), "T4tCwi3TcptRm6b2jS2nzFstYG0F2u1a1RKMwD5sY1g=-1")
    XCTAssertNil(PartChecksums.combined(one, .sha256, .fullObject), "a digest of the whole cannot be made of parts")
  }

  func testBase64IsStrict() {
    XCTAssertNil(Base64.decode("DUoRhQ", count: 4))
    XCTAssertNil(Base64.decode("DUoRhQ==", count: 8))
    XCTAssertEqual(Base64.decode("DUoRhQ==", count: 4), [0x0d, 0x4a, 0x11, 0x85])
    XCTAssertNil(Base64.decode("not base64!", count: nil))
  }
}
