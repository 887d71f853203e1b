import FoundationEssentials
import RegionKit

/// The conditional headers of GET, HEAD and copy sources, in the order RFC 9110 §13.2.2 gives and S3 follows.
struct ReadConditions: Sendable {
  var ifMatch: String?
  var ifNoneMatch: String?
  var ifModifiedSince: Date?
  var ifUnmodifiedSince: Date?

  enum Verdict: Sendable, Equatable { case go, notModified, failed(String) }

  func verdict(eTag: String, lastModified: Date) -> Verdict {
    if let ifMatch {
      if !ETagList.matches(ifMatch, eTag) { return .failed("If-Match") }
    } else if let ifUnmodifiedSince, lastModified > ifUnmodifiedSince {
      return .failed("If-Unmodified-Since")
    }
    if let ifNoneMatch {
      if ETagList.matches(ifNoneMatch, eTag) { return .notModified }
    } else if let ifModifiedSince, lastModified <= ifModifiedSince {
      return .notModified
    }
    return .go
  }
}

/// `If-Match: *` and `If-None-Match: *` and their values on writes.
struct WriteConditions: Sendable {
  var ifMatch: String?
  var ifNoneMatch: String?

  /// Throws NotImplemented for an If-None-Match other than `*`, as S3 does.
  init(ifMatch: String?, ifNoneMatch: String?) throws {
    if let ifNoneMatch, ifNoneMatch != "*" {
      throw S3Problem.notImplemented("If-None-Match", "A write takes only If-None-Match: *.")
    }
    self.ifMatch = ifMatch
    self.ifNoneMatch = ifNoneMatch
  }

  var isEmpty: Bool { ifMatch == nil && ifNoneMatch == nil }

  /// Throws PreconditionFailed, or NoSuchKey for an If-Match on a key that has no object.
  func check(_ current: KeyVersion?, key: String) throws {
    if ifNoneMatch != nil, current != nil { throw S3Problem.preconditionFailed("If-None-Match") }
    if let ifMatch {
      guard let current else { throw S3Problem.noSuchKey(key) }
      guard ETagList.matches(ifMatch, current.eTag) else { throw S3Problem.preconditionFailed("If-Match") }
    }
  }
}

enum ETagList {
  /// Whether a header's list of entity tags (quoted or not, weak or not) names this one, or is `*`.
  static func matches(_ header: String, _ eTag: String) -> Bool {
    header.split(separator: ",").contains { entry in
      var text = entry.drop { $0 == " " || $0 == "\t" }
      while text.last == " " || text.last == "\t" { text.removeLast() }
      if text == "*" { return true }
      if text.hasPrefix("W/") { text = text.dropFirst(2) }
      if text.count >= 2, text.hasPrefix("\""), text.hasSuffix("\"") { text = text.dropFirst().dropLast() }
      return text == eTag
    }
  }
}

/// The `Range` header as S3 reads it: one range of bytes. Anything else (several ranges, another unit, nonsense) is ignored and
/// the whole object is sent, as S3 and RFC 9110 §14.2 do.
enum ByteRange {
  enum Answer: Sendable, Equatable { case whole, part(Range<Int64>), unsatisfiable }

  static func read(_ header: String?, size: Int64) -> Answer {
    guard let header, let (first, last) = parse(header) else { return .whole }
    switch (first, last) {
    case (let first?, let last?):
      if first > last { return .whole }
      return first < size ? .part(first..<min(size, last == .max ? size : last + 1)) : .unsatisfiable
    case (let first?, nil): return first < size ? .part(first..<size) : .unsatisfiable
    case (nil, let suffix?):
      if suffix == 0 || size == 0 { return .unsatisfiable }
      return .part(max(0, size - suffix)..<size)
    case (nil, nil): return .whole
    }
  }

  /// `bytes=first-last`; either may be missing. Nil for anything else.
  static func parse(_ header: String) -> (Int64?, Int64?)? {
    guard header.lowercased().hasPrefix("bytes=") else { return nil }
    let text = header.dropFirst(6).filter { $0 != " " }
    let ends = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
    guard ends.count == 2, !text.contains(","), ends.contains(where: { !$0.isEmpty }) else { return nil }
    var out: [Int64?] = []
    for end in ends {
      if end.isEmpty {
        out.append(nil)
      } else if end.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
        out.append(Int64(end) ?? .max)
      } else {
        return nil
      }
    }
    return (out[0], out[1])
  }

  static func contentRange(_ range: Range<Int64>, size: Int64) -> String {
    "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(size)"
  }
}
