import FoundationEssentials

/// S3's Signature Version 2 (HmacV1): still what boto3 and the CLI make for presigned URLs in eight regions.
enum SignatureV2 {
  /// Query keys that are part of the resource.
  private static let subresources: Set<String> = [
    "accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle", "location", "logging", "metrics",
    "notification", "object-lock", "partNumber", "policy", "replication", "requestPayment", "restore", "select", "select-type",
    "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website",
    "response-cache-control", "response-content-disposition", "response-content-encoding", "response-content-language",
    "response-content-type", "response-expires",
  ]

  static func stringToSign(_ claim: SignatureClaim, _ request: SignableRequest, bucketInHost: String?) -> String {
    let query = QueryParameters(request.query)
    // A presigned URL carries the headers that were signed as query parameters.
    func value(_ name: String) -> String {
      request.header(name) ?? (claim.kind == .queryV2 ? query.pairs.first { sameIgnoringCase($0.key, name) }?.value : nil) ?? ""
    }
    let date: String
    if claim.kind == .queryV2 {
      date = query["Expires"] ?? ""
    } else {
      date = request.header("x-amz-date") == nil ? value("date") : ""
    }
    var custom: [String: [String]] = [:]
    for (name, value) in request.headers where asciiLowercased(name).hasPrefix("x-amz-") {
      custom[asciiLowercased(name), default: []].append(trimmed(value))
    }
    if claim.kind == .queryV2 {
      for (key, value) in query.pairs {
        let name = asciiLowercased(key)
        if name.hasPrefix("x-amz-"), custom[name] == nil { custom[name] = [trimmed(value)] }
      }
    }
    let lines = custom.keys.sorted().map { "\($0):\((custom[$0] ?? []).joined(separator: ","))\n" }.joined()
    return "\(request.method)\n\(value("content-md5"))\n\(value("content-type"))\n\(date)\n\(lines)"
      + resource(request, query, bucketInHost)
  }

  private static func resource(_ request: SignableRequest, _ query: QueryParameters, _ bucketInHost: String?) -> String {
    let path = request.path.isEmpty ? "/" : String(request.path)
    let whole = bucketInHost.map { "/\($0)\(path)" } ?? path
    var parts: [(key: String, text: String)] = []
    for part in request.query.utf8.split(separator: 0x26) {
      let split = part.split(separator: 0x3d, maxSplits: 1, omittingEmptySubsequences: false)
      let key = String(decoding: URICoding.decode(split[0]), as: UTF8.self)
      guard subresources.contains(key) else { continue }
      let value = split.count > 1 ? "=" + String(decoding: URICoding.decode(split[1]), as: UTF8.self) : ""
      parts.append((key, key + value))
    }
    parts.sort { $0.key < $1.key }
    return parts.isEmpty ? whole : whole + "?" + parts.map(\.text).joined(separator: "&")
  }

  private static func trimmed(_ text: String) -> String {
    var part = text[...]
    while part.first?.isWhitespace == true { part = part.dropFirst() }
    while part.last?.isWhitespace == true { part = part.dropLast() }
    return String(part)
  }

  static func signature(_ text: String, secret: String) -> String { Data(hmacSHA1(secret, text)).base64EncodedString() }
}
