public import RegionKit

/// SplitMix64: small, fast, and the same sequence for the same seed everywhere. Not for secrets.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64
  public init(seed: UInt64) { state = seed }
  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
  /// A whole number from 0 to `bound - 1`; `bound` is at least 1.
  public mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(1, bound))) }
  /// True with probability `p` (0 to 1).
  public mutating func chance(_ p: Double) -> Bool { Double(next() >> 11) * 0x1p-53 < p }
  /// A generator of its own whose sequence does not depend on how far this one is used afterwards.
  public mutating func split() -> SeededGenerator { SeededGenerator(seed: next()) }
}

/// Ids and choices that repeat with the seed.
public final class SeededRandomness: Randomness {
  private let generator: Guarded<SeededGenerator>
  public init(seed: UInt64) { generator = Guarded(SeededGenerator(seed: seed)) }
  public func bytes(_ count: Int) -> [UInt8] {
    generator.with { generator in
      var out: [UInt8] = []
      out.reserveCapacity(count)
      while out.count < count {
        var word = generator.next()
        for _ in 0..<min(8, count - out.count) {
          out.append(UInt8(truncatingIfNeeded: word))
          word >>= 8
        }
      }
      return out
    }
  }
}
