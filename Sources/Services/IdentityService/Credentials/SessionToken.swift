import FoundationEssentials
import Ports
import RegionKit
import RegionStore

/// What temporary credentials carry in their session token, sealed, so that no look-up is needed to use them.
struct SessionClaims: Codable, Sendable {
  var accessKeyId: String
  var secret: String
  var kind: Principal.Kind
  var account: AccountID
  var arn: String
  var userId: String
  var roleARN: String?
  var sessionPolicy: String?
  var tags: [String: String]
  var issued: Date
  var expires: Date

  var principal: Principal {
    Principal(
      kind: kind, account: account, arn: arn, userId: userId, accessKeyId: accessKeyId, roleARN: roleARN,
      sessionPolicy: sessionPolicy, sessionTags: tags, issuedAt: issued)
  }
}

/// Makes and reads session tokens.
struct SessionTokens: Sendable {
  let secrets: SecretBox
  let random: any Randomness

  /// Whom the credentials speak for is taken from `principal`; its `accessKeyId` and `issuedAt` are not.
  func issue(for principal: Principal, now: Date, lifetime: Double) throws -> TemporaryCredentials {
    // Whole seconds: what the answer says is what is checked.
    let issued = Date(timeIntervalSince1970: now.timeIntervalSince1970.rounded(.down))
    let claims = SessionClaims(
      accessKeyId: AccessKeyID.make("ASIA", account: principal.account, random: random), secret: AccessKeyID.secret(random),
      kind: principal.kind, account: principal.account, arn: principal.arn, userId: principal.userId, roleARN: principal.roleARN,
      sessionPolicy: principal.sessionPolicy, tags: principal.sessionTags, issued: issued,
      expires: issued.addingTimeInterval(lifetime))
    let sealed = try secrets.seal(
      Array(try RecordCoding.encode(claims)), for: .sessionToken, binding: claims.accessKeyId)
    return TemporaryCredentials(
      accessKeyId: claims.accessKeyId, secretAccessKey: claims.secret, sessionToken: Data(sealed).base64EncodedString(),
      expiration: claims.expires)
  }

  /// Nil when the token is not of this region or belongs to another key.
  func read(_ token: String, accessKeyId: String) -> SessionClaims? {
    guard token.utf8.count < 65_536, let sealed = Data(base64Encoded: token),
      let plain = secrets.open(Array(sealed), for: .sessionToken, binding: accessKeyId),
      let claims = try? RecordCoding.decode(SessionClaims.self, from: plain), claims.accessKeyId == accessKeyId
    else { return nil }
    return claims
  }
}
