/// A condition key as a policy names it, resolved once: which of the keys the engine itself knows, or one that the request
/// brings.
enum ConditionKey: Hashable, Sendable {
  case global(Global)
  /// `aws:PrincipalTag/KEY`, the key in lower case.
  case principalTag(String)
  /// Anything else, in lower case: `s3:prefix`, `aws:requesttag/env`.
  case other(String)

  /// The global keys that the region can answer for any request.
  enum Global: String, CaseIterable, Sendable {
    case currentTime = "aws:currenttime"
    case epochTime = "aws:epochtime"
    case principalArn = "aws:principalarn"
    case principalAccount = "aws:principalaccount"
    case principalType = "aws:principaltype"
    case principalIsAWSService = "aws:principalisawsservice"
    case principalServiceName = "aws:principalservicename"
    case userid = "aws:userid"
    case username = "aws:username"
    case sourceIp = "aws:sourceip"
    case secureTransport = "aws:securetransport"
    case userAgent = "aws:useragent"
    case requestedRegion = "aws:requestedregion"
    case resourceAccount = "aws:resourceaccount"
    case tokenIssueTime = "aws:tokenissuetime"
    case multiFactorAuthPresent = "aws:multifactorauthpresent"
    case viaAWSService = "aws:viaawsservice"
  }

  private static let globals = Dictionary(uniqueKeysWithValues: Global.allCases.map { ($0.rawValue, $0) })
  private static let tagPrefix = "aws:principaltag/"

  init(_ name: String) {
    let lower = name.asciiLowercased
    if let global = Self.globals[lower] {
      self = .global(global)
    } else if lower.hasPrefix(Self.tagPrefix) {
      self = .principalTag(String(lower.dropFirst(Self.tagPrefix.count)))
    } else {
      self = .other(lower)
    }
  }

  /// The key's name in lower case, the way the request's own context is searched.
  var name: String {
    switch self {
    case .global(let global): global.rawValue
    case .principalTag(let tag): Self.tagPrefix + tag
    case .other(let name): name
    }
  }
}
