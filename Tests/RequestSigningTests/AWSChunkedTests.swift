import FoundationEssentials
import XCTest

@testable import RequestSigning

final class AWSChunkedTests: XCTestCase {
  private static let scope = CredentialScope(day: "20130524", region: "us-east-1", service: "s3")
  private func signing(seed: String) -> ChunkSigning {
    ChunkSigning(
      key: SigningKey(secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", scope: Self.scope), amzDate: "20130524T000000Z",
      scope: Self.scope, seed: seed)
  }
  private let big = [UInt8](repeating: 0x61, count: 65_536)
  private let small = [UInt8](repeating: 0x61, count: 1024)

  private func decode(
    _ body: [UInt8], _ decoder: AWSChunkedDecoder, piece: Int = .max
  ) throws -> (data: [UInt8], trailers: [(name: String, value: String)]) {
    var decoder = decoder
    var out: [UInt8] = []
    var i = 0
    while i < body.count {
      let end = min(body.count, i + min(piece, body.count))
      try decoder.consume(Array(body[i..<end])) { out += $0 }
      i = end
    }
    try decoder.finish()
    return (out, decoder.trailers)
  }

  /// The worked example of the S3 documentation: the seed is the signature of the head.
  private let signedBody = { (big: [UInt8], small: [UInt8]) -> [UInt8] in
    Array("10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n".utf8) + big
      + Array("\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n".utf8) + small
      + Array("\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n".utf8)
  }

  func testSignedChunks() throws {
    let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    let body = signedBody(big, small)
    XCTAssertEqual(body.count, 66_824)
    for piece in [1, 7, 1000, 65_536, Int.max] {
      let decoder = AWSChunkedDecoder(signing: signing(seed: seed), expectsTrailer: false, decodedLength: 66_560)
      XCTAssertEqual(try decode(body, decoder, piece: piece).data, big + small)
    }
    var wrong = body
    wrong[50_000] ^= 1
    XCTAssertThrowsError(
      try decode(wrong, AWSChunkedDecoder(signing: signing(seed: seed), expectsTrailer: false, decodedLength: 66_560))
    ) { XCTAssertEqual($0 as? AWSChunkedProblem, .signatureMismatch) }
    XCTAssertThrowsError(
      try decode(body, AWSChunkedDecoder(signing: signing(seed: String(seed.reversed())), expectsTrailer: false)))
    XCTAssertThrowsError(
      try decode(body, AWSChunkedDecoder(signing: signing(seed: seed), expectsTrailer: false, decodedLength: 66_561)))
    // A body cut after a whole chunk is signed correctly as far as it goes, and still not whole.
    let cut = Array(body.prefix(body.count - 92))
    XCTAssertThrowsError(try decode(cut, AWSChunkedDecoder(signing: signing(seed: seed), expectsTrailer: false)))
  }

  func testSignedTrailer() throws {
    let seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
    func body(_ checksum: String, between: String = "") -> [UInt8] {
      Array("10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n".utf8) + big
        + Array("\r\n400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n".utf8) + small
        + Array("\r\n0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n".utf8)
        + Array("x-amz-checksum-crc32c:\(checksum)\(between)\r\n".utf8)
        + Array("x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n".utf8)
    }
    func decoder() -> AWSChunkedDecoder {
      AWSChunkedDecoder(signing: signing(seed: seed), expectsTrailer: true, announced: ["x-amz-checksum-crc32c"], decodedLength: 66_560)
    }
    for between in ["", "\n"] {
      let result = try decode(body("sOO8/Q==", between: between), decoder(), piece: 10_000)
      XCTAssertEqual(result.data.count, 66_560)
      XCTAssertEqual(result.trailers.map(\.value), ["sOO8/Q=="])
    }
    XCTAssertThrowsError(try decode(body("sOO8/R=="), decoder()))
  }

  func testUnsignedTrailer() throws {
    let body = Array("b\r\nhello world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n".utf8)
    for piece in 1...body.count {
      let decoder = AWSChunkedDecoder(signing: nil, expectsTrailer: true, announced: ["X-Amz-Checksum-Crc32"], decodedLength: 11)
      let result = try decode(body, decoder, piece: piece)
      XCTAssertEqual(String(decoding: result.data, as: UTF8.self), "hello world")
      XCTAssertEqual(result.trailers.first?.value, "DUoRhQ==")
    }
    XCTAssertThrowsError(
      try decode(body, AWSChunkedDecoder(signing: nil, expectsTrailer: true, announced: ["x-amz-checksum-sha1"]))
    ) { XCTAssertEqual($0 as? AWSChunkedProblem, .missingTrailer("x-amz-checksum-sha1")) }
    for cut in 0..<(body.count - 35) {
      XCTAssertThrowsError(try decode(Array(body.prefix(cut)), AWSChunkedDecoder(signing: nil, expectsTrailer: true)), "\(cut)")
    }
  }

  func testMalformed() {
    for bad in ["", "zz\r\n", "\r\n", "fffffffff\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "5\nhello\n", "0\r\n\r\nmore", "0\r\nnocolon\r\n\r\n"] {
      XCTAssertThrowsError(try decode(Array(bad.utf8), AWSChunkedDecoder(signing: nil, expectsTrailer: true)), bad)
    }
    XCTAssertThrowsError(try decode(Array("0\r\na:b\r\n\r\n".utf8), AWSChunkedDecoder(signing: nil, expectsTrailer: false)))
    let long = [UInt8](repeating: 0x61, count: 5000)
    XCTAssertThrowsError(try decode(long, AWSChunkedDecoder(signing: nil, expectsTrailer: false)))
    XCTAssertThrowsError(
      try decode(Array("5\r\nhello\r\n0\r\n\r\n".utf8), AWSChunkedDecoder(signing: signing(seed: "0"), expectsTrailer: false)))
  }

  /// However the bytes are cut, a body that our own chain signed is read back; and no damaged one yields a whole other body.
  func testRandomBodiesAndDamage() throws {
    var random = SeededRandom(23)
    for round in 0..<1500 {
      let signed = random.below(2) == 0
      let trailer = random.below(2) == 0
      var chain = signing(seed: "00")
      var body: [UInt8] = []
      var data: [UInt8] = []
      for _ in 0..<random.below(4) {
        let chunk = random.bytes(1 + random.below(300))
        data += chunk
        let extra = signed ? ";chunk-signature=" + chain.next(dataHash: sha256Hex(chunk)) : ""
        body += Array((String(chunk.count, radix: 16) + extra + "\r\n").utf8) + chunk + [0x0d, 0x0a]
      }
      body += Array(("0" + (signed ? ";chunk-signature=" + chain.next(dataHash: sha256Hex([])) : "") + "\r\n").utf8)
      if trailer {
        body += Array("x-amz-checksum-crc32:AAAA\r\n".utf8)
        if signed { body += Array("x-amz-trailer-signature:\(chain.trailer([("x-amz-checksum-crc32", "AAAA")]))\r\n".utf8) }
      }
      body += [0x0d, 0x0a]
      func decoder() -> AWSChunkedDecoder {
        AWSChunkedDecoder(
          signing: signed ? signing(seed: "00") : nil, expectsTrailer: trailer, announced: trailer ? ["x-amz-checksum-crc32"] : [],
          decodedLength: Int64(data.count))
      }
      XCTAssertEqual(try decode(body, decoder(), piece: 1 + random.below(200)).data, data, "round \(round)")
      var damaged = body
      let at = random.below(damaged.count)
      switch random.below(3) {
      case 0: damaged[at] = UInt8(random.below(256))
      case 1: damaged.remove(at: at)
      default: damaged.insert(UInt8(random.below(256)), at: at)
      }
      if let result = try? decode(damaged, decoder(), piece: 1 + random.below(200)) {
        XCTAssertEqual(result.data.count, data.count, "round \(round)")
        if signed { XCTAssertEqual(result.data, data, "round \(round)") }
      }
    }
  }
}
