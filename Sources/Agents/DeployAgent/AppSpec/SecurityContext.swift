/// An SELinux context: `type` and optionally the user (`name`) and the `range`. A role cannot be set.
public struct SecurityContext: Equatable, Sendable {
  public var user: String?
  public var type: String
  public var range: String?

  static func parse(_ map: YAMLMap) throws(AppSpecError) -> SecurityContext {
    guard let type = map["type"]?.text.map(trimmed), !type.isEmpty else {
      throw .because("a SELinux context has no type; add `type` beside `name` and `range`.")
    }
    if let role = map["role"], role != .null {
      throw .because("a SELinux context sets a role; role is not supported, remove it.")
    }
    var context = SecurityContext(user: nil, type: type, range: nil)
    if let name = map["name"], name != .null {
      guard let text = name.text.map(trimmed), !text.isEmpty else { throw .because("a SELinux context has an empty name.") }
      context.user = text
    }
    if let range = map["range"], range != .null {
      guard let text = range.text.map(trimmed) else { throw .because("a SELinux context's range must be a string.") }
      try check(range: text)
      context.range = text
    }
    return context
  }

  /// `s#[-s#][:c#[.c#][,…]]`: categories up to 1023, no sensitivity or category range that falls, none named twice.
  private static func check(range text: String) throws(AppSpecError) {
    let invalid = AppSpecError.because("a SELinux context has an invalid range (\(text)); it must look like s0, s0-s1 or s0:c1,c3.c5.")
    let halves = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let levels = halves[0].split(separator: "-", omittingEmptySubsequences: false)
    guard (1...2).contains(levels.count) else { throw invalid }
    var numbers: [Int] = []
    for level in levels {
      guard let number = number(level, after: "s") else { throw invalid }
      numbers.append(number)
    }
    if numbers.count == 2, numbers[1] < numbers[0] { throw invalid }
    guard halves.count == 2 else { return }
    var seen = Set<Int>()
    for item in halves[1].split(separator: ",", omittingEmptySubsequences: false) {
      let ends = item.split(separator: ".", omittingEmptySubsequences: false)
      guard (1...2).contains(ends.count), let low = number(ends[0], after: "c") else { throw invalid }
      guard let high = ends.count == 2 ? number(ends[1], after: "c") : low else { throw invalid }
      guard high <= 1023, low <= high else { throw invalid }
      for category in low...high {
        guard seen.insert(category).inserted else {
          throw .because("a SELinux context's range (\(text)) names the category c\(category) twice.")
        }
      }
    }
  }

  private static func number(_ text: Substring, after letter: Character) -> Int? {
    guard text.first == letter, text.count > 1, text.count <= 6, text.dropFirst().allSatisfy({ $0.isASCII && $0.isNumber }) else {
      return nil
    }
    return Int(text.dropFirst())
  }
}

/// Without the white space at both ends.
func trimmed(_ text: String) -> String {
  func isSpace(_ c: Unicode.Scalar) -> Bool { c == " " || (0x09...0x0d).contains(c.value) || c.value == 0 }
  let scalars = text.unicodeScalars
  let start = scalars.drop(while: isSpace)
  guard let last = start.lastIndex(where: { !isSpace($0) }) else { return "" }
  return String(start[...last])
}
