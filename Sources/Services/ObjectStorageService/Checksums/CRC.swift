/// A reflected CRC whose register begins as all ones and is inverted at the end (CRC-32C, CRC-64/NVME), eight bytes a step.
/// The polynomials and check values are those of the CRC catalogue: "123456789" gives e3069283 and ae8b14860a799888.
struct CRCTable: Sendable {
  /// 8 tables of 256 entries, flattened; table k advances a byte that lies k places before the end of the step.
  private let table: [UInt64]
  let polynomial: UInt64
  /// 32 or 64.
  let width: Int

  static let crc32 = CRCTable(polynomial: 0xedb8_8320, width: 32)
  static let crc32c = CRCTable(polynomial: 0x82f6_3b78, width: 32)
  static let crc64NVME = CRCTable(polynomial: 0x9a6c_9329_ac4b_c9b5, width: 64)

  init(polynomial: UInt64, width: Int) {
    self.polynomial = polynomial
    self.width = width
    var table = [UInt64](repeating: 0, count: 8 * 256)
    for byte in 0..<256 {
      var register = UInt64(byte)
      for _ in 0..<8 { register = register & 1 == 1 ? (register >> 1) ^ polynomial : register >> 1 }
      table[byte] = register
    }
    for k in 1..<8 {
      for byte in 0..<256 {
        let before = table[(k - 1) * 256 + byte]
        table[k * 256 + byte] = (before >> 8) ^ table[Int(before & 0xff)]
      }
    }
    self.table = table
  }

  var allOnes: UInt64 { width == 64 ? .max : (1 << UInt64(width)) - 1 }

  /// Goes on from `crc`, the finished CRC of what came before (0 for nothing).
  func update(_ crc: UInt64, _ bytes: UnsafeRawBufferPointer) -> UInt64 {
    table.withUnsafeBufferPointer { t in
      var register = crc ^ allOnes
      var i = 0
      let count = bytes.count
      while i &+ 8 <= count {
        let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: i, as: UInt64.self)) ^ register
        register =
          t[1792 &+ Int(word & 0xff)] ^ t[1536 &+ Int(word >> 8 & 0xff)] ^ t[1280 &+ Int(word >> 16 & 0xff)]
          ^ t[1024 &+ Int(word >> 24 & 0xff)] ^ t[768 &+ Int(word >> 32 & 0xff)] ^ t[512 &+ Int(word >> 40 & 0xff)]
          ^ t[256 &+ Int(word >> 48 & 0xff)] ^ t[Int(word >> 56)]
        i &+= 8
      }
      while i < count {
        register = (register >> 8) ^ t[Int((register ^ UInt64(bytes[i])) & 0xff)]
        i &+= 1
      }
      return register ^ allOnes
    }
  }

  /// The CRC of A followed by B from their CRCs and the length of B: A's is multiplied by x^(8·length) modulo the polynomial.
  func combine(_ first: UInt64, _ second: UInt64, secondLength: Int64) -> UInt64 {
    guard secondLength > 0 else { return first }
    var power = UInt64(1) << UInt64(width - 2)
    for _ in 0..<3 { power = multiply(power, power) }
    var factor = UInt64(1) << UInt64(width - 1)
    var rest = UInt64(secondLength)
    while rest > 0 {
      if rest & 1 == 1 { factor = multiply(factor, power) }
      rest >>= 1
      if rest > 0 { power = multiply(power, power) }
    }
    return multiply(factor, first) ^ second
  }

  /// a·b modulo the polynomial, in reflected bit order (the highest bit is x^0).
  private func multiply(_ a: UInt64, _ b: UInt64) -> UInt64 {
    var product: UInt64 = 0
    var factor = b
    var bit = UInt64(1) << UInt64(width - 1)
    while bit > 0 {
      if a & bit != 0 { product ^= factor }
      if a & (bit &- 1) == 0 { break }
      bit >>= 1
      factor = factor & 1 == 1 ? (factor >> 1) ^ polynomial : factor >> 1
    }
    return product
  }
}
