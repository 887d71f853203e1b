import RegionKit
import RoadsteadTesting
import XCTest

@testable import IdentityService

final class EvaluationTests: XCTestCase {
  private let allowS3 = document(statement("Allow", "s3:*"))
  private let denyGet = document(statement("Deny", "s3:GetObject"))

  private func grant(_ principal: String, effect: String = "Allow") -> String {
    document(statement(effect, "s3:GetObject", "arn:aws:s3:::bucket/*", principal: principal))
  }

  func testIdentityPolicies() throws {
    XCTAssertEqual(try Engine().decide(testUser(), "s3:GetObject").outcome, .implicitDeny(.identity))
    XCTAssertTrue(try Engine(identity: [allowS3]).allows(testUser(), "S3:getobject"))
    XCTAssertFalse(try Engine(identity: [allowS3]).allows(testUser(), "s3express:GetObject"))
    XCTAssertEqual(try Engine(identity: [allowS3, denyGet]).decide(testUser(), "s3:GetObject").outcome, .explicitDeny(.identity))
    XCTAssertTrue(try Engine(identity: [allowS3, denyGet]).allows(testUser(), "s3:PutObject"))
    let notIAM = "{\"Statement\":{\"Effect\":\"Allow\",\"NotAction\":\"iam:*\",\"Resource\":\"*\"}}"
    XCTAssertTrue(try Engine(identity: [notIAM]).allows(testUser(), "s3:GetObject"))
    XCTAssertFalse(try Engine(identity: [notIAM]).allows(testUser(), "iam:CreateUser"))
    let others = "{\"Statement\":{\"Effect\":\"Deny\",\"Action\":\"s3:*\",\"NotResource\":\"arn:aws:s3:::mine/*\"}}"
    XCTAssertTrue(try Engine(identity: [allowS3, others]).allows(testUser(), "s3:GetObject", on: "arn:aws:s3:::mine/a"))
    XCTAssertFalse(try Engine(identity: [allowS3, others]).allows(testUser(), "s3:GetObject", on: "arn:aws:s3:::yours/a"))
  }

  func testBoundaryAndSessionOnlyNarrow() throws {
    let boundary = document(statement("Allow", "s3:Get*"))
    let user = Engine(identity: [document(statement("Allow", "*"))], boundary: boundary)
    XCTAssertTrue(try user.allows(testUser(), "s3:GetObject"))
    XCTAssertEqual(try user.decide(testUser(), "s3:PutObject").outcome, .implicitDeny(.boundary))
    XCTAssertEqual(try Engine(boundary: boundary).decide(testUser(), "s3:GetObject").outcome, .implicitDeny(.identity))
    XCTAssertEqual(
      try Engine(identity: [allowS3], boundary: denyGet).decide(testUser(), "s3:GetObject").outcome, .explicitDeny(.boundary))
    let session = Engine(
      identity: [allowS3], session: [document(statement("Allow", "s3:Get*")), document(statement("Allow", "s3:List*"))])
    XCTAssertTrue(try session.allows(testSession(), "s3:ListBucket"))
    XCTAssertEqual(try session.decide(testSession(), "s3:PutObject").outcome, .implicitDeny(.session))
    XCTAssertEqual(
      try Engine(identity: [allowS3], session: [denyGet]).decide(testSession(), "s3:GetObject").outcome, .explicitDeny(.session))
  }

  func testResourcePolicyInOneAccount() throws {
    let alice = testUser()
    // A grant to the user needs no identity policy, and a boundary's silence does not limit it.
    XCTAssertTrue(try Engine(resource: grant("{\"AWS\":\"\(alice.arn)\"}")).allows(alice, "s3:GetObject"))
    XCTAssertTrue(
      try Engine(boundary: document(statement("Allow", "ec2:*")), resource: grant("{\"AWS\":\"\(alice.arn)\"}")).allows(
        alice, "s3:GetObject"))
    XCTAssertTrue(try Engine(resource: grant("\"*\"")).allows(alice, "s3:GetObject"))
    // A grant to the account only lets the account's policies decide.
    XCTAssertFalse(try Engine(resource: grant("{\"AWS\":\"123456789012\"}")).allows(alice, "s3:GetObject"))
    XCTAssertTrue(try Engine(identity: [allowS3], resource: grant("{\"AWS\":\"123456789012\"}")).allows(alice, "s3:GetObject"))
    XCTAssertFalse(try Engine(resource: grant("{\"AWS\":\"arn:aws:iam::123456789012:user/bob\"}")).allows(alice, "s3:GetObject"))
    XCTAssertEqual(
      try Engine(identity: [allowS3], resource: grant("\"*\"", effect: "Deny")).decide(alice, "s3:GetObject").outcome,
      .explicitDeny(.resource))
    XCTAssertFalse(try Engine(identity: [denyGet], resource: grant("{\"AWS\":\"\(alice.arn)\"}")).allows(alice, "s3:GetObject"))
    // Role and session: a grant to the role is limited by boundary and session policy, one to the session is not.
    let role = "{\"AWS\":\"arn:aws:iam::123456789012:role/deployer\"}"
    let session = "{\"AWS\":\"arn:aws:sts::123456789012:assumed-role/deployer/s1\"}"
    let narrow = [document(statement("Allow", "ec2:*"))]
    XCTAssertTrue(try Engine(resource: grant(role)).allows(testSession(), "s3:GetObject"))
    XCTAssertEqual(
      try Engine(session: narrow, resource: grant(role)).decide(testSession(), "s3:GetObject").outcome, .implicitDeny(.session))
    XCTAssertTrue(try Engine(session: narrow, resource: grant(session)).allows(testSession(), "s3:GetObject"))
    XCTAssertTrue(try Engine(resource: grant("{\"AWS\":\"AROAROLEROLEROLEROLE1\"}")).allows(testSession(), "s3:GetObject"))
  }

  func testNotPrincipal() throws {
    let except =
      "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Deny\","
      + "\"NotPrincipal\":{\"AWS\":\"\(testUser().arn)\"},\"Action\":\"s3:*\",\"Resource\":\"*\"}}"
    XCTAssertTrue(try Engine(identity: [allowS3], resource: except).allows(testUser(), "s3:GetObject"))
    XCTAssertFalse(try Engine(identity: [allowS3], resource: except).allows(testUser("bob"), "s3:GetObject"))
  }

  func testAcrossAccounts() throws {
    let stranger = testUser("carol", otherAccount)
    func decide(_ identity: [String], _ resource: String?) throws -> AccessDecision.Outcome {
      try Engine(identity: identity, resource: resource).decide(stranger, "s3:GetObject", resourceAccount: testAccount).outcome
    }
    XCTAssertEqual(try decide([allowS3], nil), .implicitDeny(.resource))
    XCTAssertEqual(try decide([], grant("{\"AWS\":\"\(stranger.arn)\"}")), .implicitDeny(.identity))
    XCTAssertEqual(try decide([allowS3], grant("{\"AWS\":\"\(stranger.arn)\"}")), .allowed)
    XCTAssertEqual(try decide([allowS3], grant("{\"AWS\":\"\(otherAccount)\"}")), .allowed)
    XCTAssertEqual(try decide([allowS3], grant("{\"AWS\":\"123456789012\"}")), .implicitDeny(.resource))
    XCTAssertEqual(try decide([denyGet, allowS3], grant("\"*\"")), .explicitDeny(.identity))
    let root = Principal.root(otherAccount)
    XCTAssertTrue(
      try Engine(resource: grant("{\"AWS\":\"\(otherAccount)\"}")).allows(root, "s3:GetObject", resourceAccount: testAccount))
    XCTAssertFalse(try Engine().allows(root, "s3:GetObject", resourceAccount: testAccount))
  }

  func testRootAnonymousAndServices() throws {
    let root = Principal.root(testAccount)
    XCTAssertTrue(try Engine().allows(root, "s3:GetObject"))
    XCTAssertFalse(try Engine(resource: grant("\"*\"", effect: "Deny")).allows(root, "s3:GetObject"))
    let nobody = Principal(kind: .anonymous, account: AccountID("000000000000"), arn: "anonymous", userId: "anonymous")
    XCTAssertTrue(try Engine(resource: grant("\"*\"")).allows(nobody, "s3:GetObject", resourceAccount: testAccount))
    XCTAssertFalse(
      try Engine(resource: grant("{\"AWS\":\"123456789012\"}")).allows(nobody, "s3:GetObject", resourceAccount: testAccount))
    XCTAssertFalse(try Engine(identity: [allowS3]).allows(nobody, "s3:GetObject", resourceAccount: testAccount))
    let service = Principal(
      kind: .service, account: testAccount, arn: "codedeploy.amazonaws.com", userId: "codedeploy.amazonaws.com")
    XCTAssertTrue(try Engine(resource: grant("{\"Service\":\"codedeploy.amazonaws.com\"}")).allows(service, "s3:GetObject"))
    XCTAssertFalse(try Engine(resource: grant("{\"Service\":\"ec2.amazonaws.com\"}")).allows(service, "s3:GetObject"))
  }

  func testTrustMustAllowInAnyCase() throws {
    func decide(_ trust: String?, identity: [String], as principal: Principal = testUser()) throws -> AccessDecision.Outcome {
      try Engine(identity: identity, resource: trust, isTrust: true)
        .decide(principal, "sts:AssumeRole", on: "arn:aws:iam::123456789012:role/r").outcome
    }
    let assume = [document(statement("Allow", "sts:AssumeRole"))]
    XCTAssertEqual(try decide(nil, identity: assume), .implicitDeny(.trust))
    XCTAssertEqual(try decide(TestRegion.trustEC2, identity: assume), .implicitDeny(.trust))
    XCTAssertEqual(try decide(TestRegion.trust("{\"AWS\":\"123456789012\"}"), identity: []), .implicitDeny(.identity))
    XCTAssertEqual(try decide(TestRegion.trust("{\"AWS\":\"123456789012\"}"), identity: assume), .allowed)
    XCTAssertEqual(try decide(TestRegion.trust("{\"AWS\":\"\(testUser().arn)\"}"), identity: []), .allowed)
    XCTAssertEqual(try decide(TestRegion.trustEC2, identity: [], as: .root(testAccount)), .implicitDeny(.trust))
    XCTAssertEqual(try decide(TestRegion.trust("{\"AWS\":\"123456789012\"}"), identity: [], as: .root(testAccount)), .allowed)
  }

  func testMessages() throws {
    func message(_ engine: Engine, _ principal: Principal = testUser()) throws -> String {
      try engine.decide(principal, "s3:GetObject").message(
        action: "s3:GetObject", resource: "arn:aws:s3:::b/k", principal: principal)
    }
    let start =
      "User: arn:aws:iam::123456789012:user/alice is not authorized to perform: s3:GetObject on resource: arn:aws:s3:::b/k "
    XCTAssertEqual(try message(Engine()), start + "because no identity-based policy allows the s3:GetObject action")
    XCTAssertEqual(try message(Engine(identity: [denyGet])), start + "with an explicit deny in an identity-based policy")
    XCTAssertEqual(
      try message(Engine(identity: [allowS3], boundary: document(statement("Allow", "ec2:*")))),
      start + "because no permissions boundary allows the s3:GetObject action")
    XCTAssertEqual(
      try message(Engine(identity: [allowS3], resource: grant("\"*\"", effect: "Deny"))),
      start + "with an explicit deny in a resource-based policy")
  }

  // MARK: Properties

  private func randomStatement(_ random: inout SeededGenerator) -> String {
    let actions = ["s3:GetObject", "s3:*", "*", "s3:Get*", "ec2:*", "s3:P?tObject"]
    let resources = [
      "*", "arn:aws:s3:::bucket/*", "arn:aws:s3:::bucket/key", "arn:aws:s3:::${aws:username}/*", "arn:aws:s3:::b?cket/k*",
    ]
    let conditions: [String?] = [
      nil, "{\"Bool\":{\"aws:SecureTransport\":true}}", "{\"StringEquals\":{\"a:b\":\"x\"}}",
      "{\"StringNotEquals\":{\"a:b\":\"x\"}}",
      "{\"IpAddress\":{\"aws:SourceIp\":\"203.0.113.0/24\"}}", "{\"ForAllValues:StringLike\":{\"aws:TagKeys\":\"t*\"}}",
    ]
    return statement(
      random.chance(0.3) ? "Deny" : "Allow", actions[random.below(actions.count)], resources[random.below(resources.count)],
      condition: conditions[random.below(conditions.count)])
  }
  private func randomEngine(_ random: inout SeededGenerator) -> Engine {
    var engine = Engine()
    for _ in 0..<random.below(4) { engine.identity.append(document(randomStatement(&random), randomStatement(&random))) }
    if random.chance(0.3) { engine.boundary = document(randomStatement(&random)) }
    if random.chance(0.3) { engine.session = [document(randomStatement(&random))] }
    return engine
  }
  private let questions = [
    ("s3:GetObject", "arn:aws:s3:::bucket/key"), ("s3:PutObject", "arn:aws:s3:::alice/x"), ("ec2:RunInstances", "*"),
  ]

  func testAddingADenyNeverGrantsAndOrderDoesNotMatter() throws {
    var random = SeededGenerator(seed: 99)
    for _ in 0..<500 {
      let engine = randomEngine(&random)
      let context = random.chance(0.5) ? ["a:b": ["x"], "aws:TagKeys": ["t1", "u"]] : [:]
      var denied = engine
      denied.identity.append(document(randomStatement(&random).replacing("\"Allow\"", with: "\"Deny\"")))
      var shuffled = engine
      shuffled.identity.shuffle(using: &random)
      for (action, resource) in questions {
        let plain = try engine.allows(testSession(), action, on: resource, context: context)
        if try denied.allows(testSession(), action, on: resource, context: context) { XCTAssertTrue(plain) }
        XCTAssertEqual(try shuffled.allows(testSession(), action, on: resource, context: context), plain)
      }
    }
  }

  func testAddingAnAllowNeverTakesAwayAndLimitsNeverGrant() throws {
    var random = SeededGenerator(seed: 100)
    for _ in 0..<500 {
      let engine = randomEngine(&random)
      var more = engine
      more.identity.append(document(randomStatement(&random).replacing("\"Deny\"", with: "\"Allow\"")))
      var limited = engine
      if limited.boundary == nil { limited.boundary = document(randomStatement(&random)) }
      if limited.session == nil { limited.session = [document(randomStatement(&random))] }
      for (action, resource) in questions {
        let plain = try engine.allows(testSession(), action, on: resource)
        if plain { XCTAssertTrue(try more.allows(testSession(), action, on: resource)) }
        if try limited.allows(testSession(), action, on: resource) { XCTAssertTrue(plain) }
      }
    }
  }
}
