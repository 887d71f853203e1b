/// Where an application's bundle is.
enum Revision: Codable, Hashable, Sendable {
  case s3(S3)
  case gitHub(GitHub)

  struct S3: Codable, Hashable, Sendable {
    var bucket: String
    var key: String
    /// `zip`, `tar` or `tgz`.
    var bundleType: String
    var version: String?
    var eTag: String?
  }
  struct GitHub: Codable, Hashable, Sendable {
    /// `account/repository`.
    var repository: String
    var commitId: String
  }

  /// The same text for the same revision, different for different ones; the registry's key.
  var identity: String {
    switch self {
    case .s3(let s3):
      ["s3", s3.bucket, s3.key, s3.bundleType, s3.version ?? "", s3.eTag ?? ""].map(Self.escaped).joined(separator: "|")
    case .gitHub(let hub): ["github", hub.repository, hub.commitId].map(Self.escaped).joined(separator: "|")
    }
  }

  private static func escaped(_ part: String) -> String {
    var out = ""
    for scalar in part.unicodeScalars {
      if scalar == "|" || scalar == "%" { out += scalar == "|" ? "%7C" : "%25" } else { out.unicodeScalars.append(scalar) }
    }
    return out
  }

  /// As people write it.
  var text: String {
    switch self {
    case .s3(let s3): "s3://\(s3.bucket)/\(s3.key)" + (s3.version.map { " (version \($0))" } ?? "")
    case .gitHub(let hub): "github.com/\(hub.repository) at \(hub.commitId)"
    }
  }
}
