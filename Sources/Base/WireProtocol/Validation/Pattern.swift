import _StringProcessing

/// A `pattern` constraint. The models use Java's dialect, and a service matches the whole value.
struct Pattern: Sendable {
  private enum Form: Sendable {
    /// `[set]{least,most}`, which most patterns are: checked scalar by scalar.
    case repeated(ScalarSet, least: Int, most: Int)
    case regex(RegexBox)
    case unusable(String)
  }
  private let form: Form

  init(_ text: String) {
    if let simple = ScalarSet.repeated(text) {
      form = .repeated(simple.set, least: simple.least, most: simple.most)
    } else {
      do {
        let regex = try Regex(text).matchingSemantics(.unicodeScalar).asciiOnlyWordCharacters().asciiOnlyDigits().asciiOnlyWhitespace()
        form = .regex(RegexBox(regex))
      } catch {
        form = .unusable("\(error)")
      }
    }
  }

  /// Why the pattern cannot be checked; such a pattern is skipped, and a test lists every one that a model in use holds.
  var problem: String? { if case .unusable(let reason) = form { reason } else { nil } }

  func matches(_ text: String) -> Bool? {
    switch form {
    case .repeated(let set, let least, let most):
      var count = 0
      for scalar in text.unicodeScalars {
        guard set.contains(scalar.value) else { return false }
        count += 1
      }
      return (least...most).contains(count)
    case .regex(let box): return box.matches(text)
    case .unusable: return nil
    }
  }
}

/// `Regex` is not declared Sendable; matching does not change it.
private final class RegexBox: @unchecked Sendable {
  private let regex: Regex<AnyRegexOutput>
  init(_ regex: Regex<AnyRegexOutput>) { self.regex = regex }
  func matches(_ text: String) -> Bool { (try? regex.wholeMatch(in: text)) != nil }
}
