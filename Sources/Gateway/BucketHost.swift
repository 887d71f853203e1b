/// Virtual-host addressing of S3: the bucket stands in the host name.
enum BucketHost {
  /// The bucket a Host header names, for an endpoint with these names; nil for the endpoint itself, an address or a foreign name.
  static func bucket(in host: String, hostNames: [String]) -> String? {
    var name = host.lowercased()[...]
    if name.hasPrefix("[") { return nil }
    if let colon = name.lastIndex(of: ":") { name = name[..<colon] }
    // A longer name first: `s3.example.com` before `example.com`.
    for base in hostNames.sorted(by: { $0.utf8.count > $1.utf8.count }) {
      let suffix = "." + base.lowercased()
      guard name.hasSuffix(suffix), name != base.lowercased()[...] else { continue }
      return bucket(before: name.dropLast(suffix.count))
    }
    return nil
  }

  /// `b`, `b.s3`, `b.s3.us-east-1`, `b.s3-us-west-2`; nil for `s3` or `s3.us-east-1`, which name the service.
  private static func bucket(before labels: Substring) -> String? {
    let parts = labels.split(separator: ".", omittingEmptySubsequences: false)
    let isService: (Substring) -> Bool = { $0 == "s3" || $0.hasPrefix("s3-") }
    guard let first = parts.first, !first.isEmpty, !isService(first) else { return nil }
    if let at = parts.lastIndex(where: isService), parts.count - at <= 3 { return parts[..<at].joined(separator: ".") }
    return labels.isEmpty ? nil : String(labels)
  }
}
