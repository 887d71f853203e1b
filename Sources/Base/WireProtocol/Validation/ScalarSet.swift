/// The inside of a simple bracket expression: literals, ranges, `\w \d \s` (ASCII) and `\uXXXX`.
struct ScalarSet: Sendable {
  private var ranges: [ClosedRange<UInt32>] = []
  private var negated = false

  func contains(_ value: UInt32) -> Bool { ranges.contains { $0.contains(value) } != negated }

  /// The set and count of a pattern that is one bracket expression or class with a quantifier, anchors aside; nil for anything else.
  static func repeated(_ pattern: String) -> (set: ScalarSet, least: Int, most: Int)? {
    var rest = pattern.unicodeScalars[...]
    if rest.first == "^" { rest = rest.dropFirst() }
    if rest.last == "$", rest.dropLast().last != "\\" { rest = rest.dropLast() }
    var set = ScalarSet()
    if rest.first == "[" {
      rest = rest.dropFirst()
      guard set.read(&rest) else { return nil }
    } else if rest.first == "\\" {
      guard case .ranges(let ranges)? = escape(&rest) else { return nil }
      set.ranges = ranges
    } else {
      return nil
    }
    guard let (least, most) = quantifier(rest) else { return nil }
    return (set, least, most)
  }

  private enum Item {
    case scalar(UInt32)
    case ranges([ClosedRange<UInt32>])
  }

  private mutating func read(_ rest: inout Substring.UnicodeScalarView) -> Bool {
    if rest.first == "^" {
      negated = true
      rest = rest.dropFirst()
    }
    while let next = rest.first {
      if next == "]" {
        rest = rest.dropFirst()
        return !ranges.isEmpty
      }
      if next == "[" || next == "&" { return false }
      guard let item = Self.item(&rest) else { return false }
      switch item {
      case .ranges(let more): ranges += more
      case .scalar(let low):
        let afterDash = rest.dropFirst().first
        if rest.first == "-", let afterDash, afterDash != "]" {
          rest = rest.dropFirst()
          guard case .scalar(let high)? = Self.item(&rest), low <= high else { return false }
          ranges.append(low...high)
        } else {
          ranges.append(low...low)
        }
      }
    }
    return false
  }

  private static func item(_ rest: inout Substring.UnicodeScalarView) -> Item? {
    guard let next = rest.first else { return nil }
    if next == "\\" { return escape(&rest) }
    rest = rest.dropFirst()
    return .scalar(next.value)
  }

  private static func escape(_ rest: inout Substring.UnicodeScalarView) -> Item? {
    rest = rest.dropFirst()
    guard let letter = rest.first else { return nil }
    rest = rest.dropFirst()
    switch letter {
    case "w": return .ranges([0x30...0x39, 0x41...0x5a, 0x5f...0x5f, 0x61...0x7a])
    case "d": return .ranges([0x30...0x39])
    case "s": return .ranges([0x09...0x0d, 0x20...0x20])
    case "n": return .scalar(0x0a)
    case "r": return .scalar(0x0d)
    case "t": return .scalar(0x09)
    case "u": return hex(&rest, 4)
    case "x": return hex(&rest, 2)
    default:
      let isWord = (letter.value | 0x20) >= 0x61 && (letter.value | 0x20) <= 0x7a || (letter.value >= 0x30 && letter.value <= 0x39)
      return isWord || letter.value > 0x7e ? nil : .scalar(letter.value)
    }
  }

  private static func hex(_ rest: inout Substring.UnicodeScalarView, _ width: Int) -> Item? {
    let digits = rest.prefix(width)
    guard digits.count == width, let value = UInt32(String(String.UnicodeScalarView(digits)), radix: 16) else { return nil }
    rest = rest.dropFirst(width)
    return .scalar(value)
  }

  private static func quantifier(_ rest: Substring.UnicodeScalarView) -> (Int, Int)? {
    let text = String(String.UnicodeScalarView(rest))
    switch text {
    case "": return (1, 1)
    case "+": return (1, .max)
    case "*": return (0, .max)
    case "?": return (0, 1)
    default:
      guard text.hasPrefix("{"), text.hasSuffix("}") else { return nil }
      let parts = text.dropFirst().dropLast().split(separator: ",", omittingEmptySubsequences: false)
      guard let least = Int(parts[0]) else { return nil }
      if parts.count == 1 { return (least, least) }
      guard parts.count == 2 else { return nil }
      if parts[1].isEmpty { return (least, .max) }
      guard let most = Int(parts[1]), most >= least else { return nil }
      return (least, most)
    }
  }
}
