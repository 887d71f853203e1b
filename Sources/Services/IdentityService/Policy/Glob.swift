/// A pattern with `*` (any run of bytes) and `?` (one character), compiled once and matched in linear time for ordinary patterns.
struct Glob: Hashable, Sendable {
  /// A literal byte, or one of the two wildcards. Kept apart from text so that `${*}` can stand for a real star.
  enum Piece: Hashable, Sendable { case byte(UInt8), one, run }

  private enum Form: Hashable, Sendable {
    case everything
    case exact([UInt8])
    case prefix([UInt8])
    case general([UInt16])
  }
  // In a general pattern a value above 255 is a wildcard.
  private static let one: UInt16 = 0x100
  private static let run: UInt16 = 0x101
  private let form: Form

  /// `text` with wildcards in their usual meaning.
  init(_ text: some StringProtocol) {
    self.init(
      pieces: text.utf8.map { byte in
        switch byte {
        case UInt8(ascii: "*"): .run
        case UInt8(ascii: "?"): .one
        default: .byte(byte)
        }
      })
  }

  init(pieces: [Piece]) {
    var collapsed: [Piece] = []
    for piece in pieces where !(piece == .run && collapsed.last == .run) { collapsed.append(piece) }
    let literal = collapsed.prefix { if case .byte = $0 { true } else { false } }.map { piece -> UInt8 in
      if case .byte(let byte) = piece { byte } else { 0 }
    }
    if literal.count == collapsed.count {
      form = .exact(literal)
    } else if literal.count == collapsed.count - 1, collapsed.last == .run {
      form = literal.isEmpty ? .everything : .prefix(literal)
    } else {
      form = .general(
        collapsed.map {
          switch $0 {
          case .byte(let byte): UInt16(byte)
          case .one: Self.one
          case .run: Self.run
          }
        })
    }
  }

  var matchesEverything: Bool { form == .everything }

  func matches(_ text: [UInt8]) -> Bool {
    switch form {
    case .everything: return true
    case .exact(let bytes): return bytes == text
    case .prefix(let bytes): return text.starts(with: bytes)
    case .general(let pattern): return Self.match(pattern, text)
    }
  }

  func matches(_ text: String) -> Bool { matches(Array(text.utf8)) }

  /// Greedy with one place to come back to: after a failure only the latest star has to take one byte more.
  private static func match(_ pattern: [UInt16], _ text: [UInt8]) -> Bool {
    var p = 0
    var t = 0
    var starP = -1
    var starT = 0
    while t < text.count {
      if p < pattern.count, pattern[p] == run {
        starP = p
        starT = t
        p += 1
      } else if p < pattern.count, pattern[p] == one {
        p += 1
        // One character, not one byte: take the rest of its UTF-8 sequence.
        t += 1
        while t < text.count, text[t] & 0xc0 == 0x80 { t += 1 }
      } else if p < pattern.count, pattern[p] == UInt16(text[t]) {
        p += 1
        t += 1
      } else if starP >= 0 {
        p = starP + 1
        starT += 1
        // A star takes whole characters, so that `?` after it begins at a character.
        while starT < text.count, text[starT] & 0xc0 == 0x80 { starT += 1 }
        t = starT
      } else {
        return false
      }
    }
    while p < pattern.count, pattern[p] == run { p += 1 }
    return p == pattern.count
  }
}

extension String {
  /// ASCII letters in lower case, everything else as it is: how IAM compares action and key names.
  var asciiLowercased: String {
    utf8.contains { (0x41...0x5a).contains($0) } ? String(decoding: utf8.map(\.asciiLowercased), as: UTF8.self) : self
  }
}

extension UInt8 {
  var asciiLowercased: UInt8 { (0x41...0x5a).contains(self) ? self | 0x20 : self }
}
