import FoundationEssentials
internal import Ports

/// What stands under a path of the metadata service. Pure.
struct MetadataTree: Sendable {
  enum Node: Equatable {
    case value([UInt8], type: String)
    case listing(String)
    case absent
  }

  /// The versions that EC2 lists, oldest first. They answer alike.
  static let versions = [
    "1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01", "2008-09-01", "2009-04-04",
    "2011-01-01", "2011-05-01", "2012-01-12", "2014-02-25", "2014-11-05", "2015-10-20", "2016-04-19", "2016-06-30", "2016-09-02",
    "2018-03-28", "2018-08-17", "2018-09-24", "2019-10-01", "2020-10-27", "2021-01-03", "2021-03-23", "2021-07-15", "2022-09-24",
    "2024-04-11", "latest",
  ]

  private let metadata: InstanceMetadata
  private let paths: [String: [UInt8]]
  private let loaded: Date

  /// `loaded`: when this generation came, shown as the credentials' `LastUpdated`.
  init(_ metadata: InstanceMetadata, loaded: Date) {
    self.metadata = metadata
    self.loaded = loaded
    var paths = metadata.paths.mapValues { Array($0.utf8) }
    if let role = metadata.roleName, let credentials = metadata.credentials {
      paths["iam/security-credentials/\(role)"] = Array(Self.text(credentials, loaded: loaded).utf8)
    }
    self.paths = paths
  }

  var tokensRequired: Bool { metadata.tokensRequired }

  /// `path`: decoded, without query.
  func node(_ path: String) -> Node {
    let trimmed = path.split(separator: "/").map(String.init)
    guard let version = trimmed.first else { return .listing(Self.versions.joined(separator: "\n")) }
    guard Self.versions.contains(version) else { return .absent }
    guard trimmed.count > 1 else {
      return .listing((["dynamic", "meta-data"] + (metadata.userData.isEmpty ? [] : ["user-data"])).joined(separator: "\n"))
    }
    let rest = Array(trimmed[2...])
    switch trimmed[1] {
    case "meta-data": return lookUp(rest, in: paths)
    case "dynamic": return lookUp(rest, in: ["instance-identity/document": Array(identityDocument.utf8)])
    case "user-data" where rest.isEmpty:
      return metadata.userData.isEmpty ? .absent : .value(metadata.userData, type: "application/octet-stream")
    default: return .absent
    }
  }

  private func lookUp(_ parts: [String], in paths: [String: [UInt8]]) -> Node {
    var entries: Set<String> = []
    for (path, value) in paths {
      let own = path.split(separator: "/").map(String.init)
      guard own.count >= parts.count, zip(own, parts).allSatisfy(Self.matches) else { continue }
      if own.count == parts.count { return .value(value, type: "text/plain") }
      let next = own[parts.count]
      // `public-keys/` lists `0=name` without a slash, although there is more below `0`.
      entries.insert(own.count == parts.count + 1 || next.contains("=") ? next : next + "/")
    }
    return entries.isEmpty ? .absent : .listing(entries.sorted().joined(separator: "\n"))
  }

  /// A part `0=name` is reached by `0` as well.
  private static func matches(_ own: String, _ asked: String) -> Bool {
    own == asked || own.split(separator: "=", maxSplits: 1).first.map(String.init) == asked && own.contains("=")
  }

  private var identityDocument: String {
    var members = metadata.identityDocument.map { ($0.key, Self.quoted($0.value)) }
    for name in ["billingProducts", "devpayProductCodes", "marketplaceProductCodes", "kernelId", "ramdiskId"]
    where metadata.identityDocument[name] == nil {
      members.append((name, "null"))
    }
    return Self.object(members.sorted { $0.0 < $1.0 })
  }

  private static func text(_ credentials: TemporaryCredentials, loaded: Date) -> String {
    object([
      ("Code", quoted("Success")), ("LastUpdated", quoted(timestamp(loaded))), ("Type", quoted("AWS-HMAC")),
      ("AccessKeyId", quoted(credentials.accessKeyId)), ("SecretAccessKey", quoted(credentials.secretAccessKey)),
      ("Token", quoted(credentials.sessionToken)), ("Expiration", quoted(timestamp(credentials.expiration))),
    ])
  }

  /// As EC2 lays it out, which scripts that use grep rely on.
  private static func object(_ members: [(String, String)]) -> String {
    "{\n" + members.map { "  \"\($0.0)\" : \($0.1)" }.joined(separator: ",\n") + "\n}"
  }

  private static func timestamp(_ date: Date) -> String {
    Date(timeIntervalSince1970: date.timeIntervalSince1970.rounded(.down)).formatted(.iso8601)
  }

  private static func quoted(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }
}
