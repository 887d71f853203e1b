/// A 12-digit AWS account id.
public struct AccountID: RawRepresentable, Hashable, Codable, Sendable, CustomStringConvertible {
  public let rawValue: String
  public init(rawValue: String) { self.rawValue = rawValue }
  public init(_ rawValue: String) { self.rawValue = rawValue }
  /// True for exactly twelve ASCII digits.
  public var isWellFormed: Bool {
    rawValue.utf8.count == 12 && rawValue.utf8.allSatisfy { (0x30...0x39).contains($0) }
  }
  public var description: String { rawValue }
}

/// A region name as it stands in a credential scope. Any name is accepted; each has its own resources.
public struct RegionName: RawRepresentable, Hashable, Codable, Sendable, CustomStringConvertible {
  public let rawValue: String
  public init(rawValue: String) { self.rawValue = rawValue }
  public init(_ rawValue: String) { self.rawValue = rawValue }
  /// Where the resources of global services (IAM, STS, Route 53, bucket names) are kept, whatever region signed the call.
  public static let global = RegionName("aws-global")
  public var description: String { rawValue }
}

/// The first two parts of every key in the store: whose, and where.
public struct Scope: Hashable, Codable, Sendable, CustomStringConvertible {
  public let account: AccountID
  public let region: RegionName
  public init(account: AccountID, region: RegionName) {
    self.account = account
    self.region = region
  }
  /// The same account in the region of global services.
  public var global: Scope { Scope(account: account, region: .global) }
  public var description: String { "\(account)/\(region)" }
}

/// An Amazon Resource Name, `arn:partition:service:region:account:resource`.
public struct ARN: Hashable, Codable, Sendable, CustomStringConvertible {
  public let partition: String
  public let service: String
  public let region: String
  public let account: String
  public let resource: String

  public init(partition: String = "aws", service: String, region: String, account: String, resource: String) {
    self.partition = partition
    self.service = service
    self.region = region
    self.account = account
    self.resource = resource
  }

  /// An ARN of a regional service in the scope's region and account.
  public init(service: String, scope: Scope, resource: String) {
    self.init(
      service: service, region: scope.region == .global ? "" : scope.region.rawValue,
      account: scope.account.rawValue, resource: resource)
  }

  /// Nil unless the text has the six colon-separated parts and begins with `arn`.
  public init?(_ text: String) {
    let parts = text.split(separator: ":", maxSplits: 5, omittingEmptySubsequences: false)
    guard parts.count == 6, parts[0] == "arn", !parts[1].isEmpty, !parts[2].isEmpty, !parts[5].isEmpty else { return nil }
    self.init(
      partition: String(parts[1]), service: String(parts[2]), region: String(parts[3]), account: String(parts[4]),
      resource: String(parts[5]))
  }

  public var description: String { "arn:\(partition):\(service):\(region):\(account):\(resource)" }

  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let arn = ARN(text) else {
      throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "not an ARN: \(text)"))
    }
    self = arn
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
