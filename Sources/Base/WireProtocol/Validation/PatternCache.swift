import Synchronization

/// Compiled patterns of a model, each made once.
final class PatternCache: Sendable {
  private let compiled = Mutex<[String: Pattern]>([:])

  /// Whether the whole text matches; nil when the pattern cannot be used here (see `Pattern.problem`).
  func matches(_ text: String, _ pattern: String) -> Bool? {
    let ready = compiled.withLock { cache in
      if let known = cache[pattern] { return known }
      let made = Pattern(pattern)
      cache[pattern] = made
      return made
    }
    return ready.matches(text)
  }
}
