import RegionKit

/// `x-amz-copy-source`: `[/]bucket/key[?versionId=id]`, percent-encoded.
struct CopySource: Sendable, Equatable {
  var bucket: String
  var key: String
  var versionId: String?

  /// Throws InvalidArgument; access point ARNs are refused by name.
  init(_ header: String) throws {
    func invalid(_ why: String) -> AWSError {
      S3Problem.invalidArgument("Copy Source must mention the source bucket and key: \(why)", name: "x-amz-copy-source", value: header)
    }
    if header.hasPrefix("arn:") {
      throw S3Problem.notImplemented("x-amz-copy-source with an ARN", "Access points do not exist here; name bucket/key.")
    }
    var path = Substring(header)
    if let mark = header.range(ofLast: "?versionId=") {
      path = header[..<mark.lowerBound]
      let id = String(header[mark.upperBound...])
      guard VersionToken.isWellFormed(id) else {
        throw S3Problem.invalidArgument("Invalid version id specified", name: "x-amz-copy-source", value: header)
      }
      versionId = id
    }
    // A slash between bucket and key may itself be escaped.
    guard let decoded = PercentCode.decode(path) else { throw invalid("it is not valid percent-encoded UTF-8") }
    let text = decoded.hasPrefix("/") ? decoded.dropFirst() : Substring(decoded)
    guard let slash = text.firstIndex(of: "/") else { throw invalid("there is no key") }
    bucket = String(text[..<slash])
    key = String(text[text.index(after: slash)...])
    guard !bucket.isEmpty, !key.isEmpty else { throw invalid("bucket or key is empty") }
  }
}

extension String {
  /// The last place where `needle` stands.
  fileprivate func range(ofLast needle: String) -> Range<String.Index>? {
    let wanted = Array(needle.utf8)
    let bytes = Array(utf8)
    guard bytes.count >= wanted.count else { return nil }
    for start in stride(from: bytes.count - wanted.count, through: 0, by: -1)
    where Array(bytes[start..<(start + wanted.count)]) == wanted {
      return utf8.index(utf8.startIndex, offsetBy: start)..<utf8.index(utf8.startIndex, offsetBy: start + wanted.count)
    }
    return nil
  }
}
