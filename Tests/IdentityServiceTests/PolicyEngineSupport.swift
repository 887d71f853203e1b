import FoundationEssentials
import RegionKit

@testable import IdentityService

let testAccount = AccountID("123456789012")
let otherAccount = AccountID("999988887777")

func testUser(_ name: String = "alice", _ account: AccountID = testAccount) -> Principal {
  Principal(kind: .user, account: account, arn: "arn:aws:iam::\(account):user/\(name)", userId: "AIDAALICEALICEALICE01")
}
func testSession(_ role: String = "deployer", _ session: String = "s1", policy: String? = nil) -> Principal {
  Principal(
    kind: .assumedRole, account: testAccount, arn: "arn:aws:sts::\(testAccount):assumed-role/\(role)/\(session)",
    userId: "AROAROLEROLEROLEROLE1:\(session)", roleARN: "arn:aws:iam::\(testAccount):role/\(role)", sessionPolicy: policy)
}

func testFacts(ip: String? = "203.0.113.7", secure: Bool = true, time: Double = 1_767_225_600) -> CallFacts {
  CallFacts(
    time: Date(timeIntervalSince1970: time), sourceIP: ip, userAgent: "aws-cli/1.45", secureTransport: secure,
    requestedRegion: "eu-central-1")
}

func statement(
  _ effect: String = "Allow", _ action: String = "s3:GetObject", _ resource: String = "*", condition: String? = nil,
  principal: String? = nil
) -> String {
  "{\"Effect\":\"\(effect)\",\"Action\":\"\(action)\",\"Resource\":\"\(resource)\""
    + (condition.map { ",\"Condition\":\($0)" } ?? "") + (principal.map { ",\"Principal\":\($0)" } ?? "") + "}"
}
func document(_ statements: String...) -> String {
  "{\"Version\":\"2012-10-17\",\"Statement\":[\(statements.joined(separator: ","))]}"
}

/// The engine alone, without a store.
struct Engine {
  var identity: [String] = []
  var boundary: String?
  var session: [String]?
  var resource: String?
  var tags: [String: String] = [:]
  var isTrust = false

  func decide(
    _ principal: Principal, _ action: String, on target: String = "arn:aws:s3:::bucket/key", context: [String: [String]] = [:],
    facts: CallFacts = testFacts(), resourceAccount: AccountID? = nil
  ) throws -> AccessDecision {
    let request = AuthorizationRequest(action, on: target, context: context, resourceAccount: resourceAccount)
    var policies = PrincipalPolicies()
    policies.identity = try identity.map { try PolicyParser.parse($0, as: .identity) }
    if let boundary { policies.boundary = .policy(try PolicyParser.parse(boundary, as: .identity)) }
    policies.tags = tags
    let asked = PolicyContext(request: request, principal: principal, principalTags: tags, facts: facts)
    return AccessEvaluator(
      context: asked, policies: policies, session: try session?.map { try PolicyParser.parse($0, as: .identity) },
      resource: try resource.map { .policy(try PolicyParser.parse($0, as: isTrust ? .trust : .resource)) } ?? .none,
      isTrust: isTrust
    ).decide()
  }

  func allows(
    _ principal: Principal, _ action: String, on target: String = "arn:aws:s3:::bucket/key", context: [String: [String]] = [:],
    facts: CallFacts = testFacts(), resourceAccount: AccountID? = nil
  ) throws -> Bool {
    try decide(principal, action, on: target, context: context, facts: facts, resourceAccount: resourceAccount).isAllowed
  }
}
