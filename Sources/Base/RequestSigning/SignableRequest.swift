/// The parts of an HTTP request that a signature covers, exactly as they are on the wire.
public struct SignableRequest: Sendable {
  public let method: String
  /// The raw request target: path and query, undecoded.
  public let target: String
  public let headers: [(name: String, value: String)]
  public init(method: String, target: String, headers: [(name: String, value: String)]) {
    self.method = method
    self.target = target
    self.headers = headers
  }

  /// The target before the first `?`.
  public var path: Substring { target.firstIndex(of: "?").map { target[..<$0] } ?? target[...] }
  /// The target after the first `?`; empty when there is none.
  public var query: Substring { target.firstIndex(of: "?").map { target[target.index(after: $0)...] } ?? "" }

  /// The first value of a header; names compare without case.
  public func header(_ name: String) -> String? {
    for entry in headers where sameIgnoringCase(entry.name, name) { return entry.value }
    return nil
  }
}

/// ASCII comparison without case.
func sameIgnoringCase(_ a: String, _ b: String) -> Bool {
  let x = a.utf8
  let y = b.utf8
  return x.count == y.count
    && zip(x, y).allSatisfy { p, q in p == q || (p | 0x20 == q | 0x20 && (0x61...0x7a).contains(p | 0x20)) }
}

func asciiLowercased(_ text: some StringProtocol) -> String {
  String(decoding: text.utf8.map { (0x41...0x5a).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
}

/// A long-lived or temporary key pair.
public struct SigningCredentials: Sendable, Equatable {
  public let accessKeyId: String
  public let secretAccessKey: String
  /// Temporary credentials only.
  public let sessionToken: String?
  public init(accessKeyId: String, secretAccessKey: String, sessionToken: String? = nil) {
    self.accessKeyId = accessKeyId
    self.secretAccessKey = secretAccessKey
    self.sessionToken = sessionToken
  }
}

/// What a signature is good for: one day, one region, one service.
public struct CredentialScope: Sendable, Hashable, CustomStringConvertible {
  /// `yyyymmdd`, UTC.
  public let day: String
  public let region: String
  /// The signing name: `s3`, `codedeploy`.
  public let service: String
  public init(day: String, region: String, service: String) {
    self.day = day
    self.region = region
    self.service = service
  }
  public var description: String { "\(day)/\(region)/\(service)/aws4_request" }
}
