public import RegionKit
import RegionStore

/// What the console and git ask: does this person prove who they are?
extension IdentityService {
  /// The user behind a console password; nil when name or password is wrong.
  public func verifyPassword(account: AccountID, userName: String, password: String) async throws -> Principal? {
    guard let user = try await core.find(UserRecord.self, userName, account)?.value, let login = user.login,
      login.password.accepts(password)
    else { return nil }
    return Principal(kind: .user, account: account, arn: user.arn(account), userId: user.id)
  }

  /// The user behind a service-specific credential (`NAME-at-123456789012`), e.g. git over HTTPS; nil when it is unknown, wrong,
  /// inactive or expired.
  public func verifyServiceCredential(service: String, login: String, password: String) async throws -> Principal? {
    let parts = login.split(separator: "-")
    guard parts.count >= 3, let last = parts.last, parts[parts.count - 2] == "at" else { return nil }
    let account = AccountID(String(last))
    guard account.isWellFormed else { return nil }
    let name = String(login.dropLast("-at-".count + 12))
    // A second credential's login has "+1" after the name, and a name may end so too.
    for candidate in [name, name.hasSuffix("+1") ? String(name.dropLast(2)) : name] {
      guard let user = try await core.find(UserRecord.self, candidate, account)?.value,
        let credential = user.serviceCredentials.first(where: { $0.login == login && $0.service == service })
      else { continue }
      guard credential.active, credential.expires.map({ core.clock.now() < $0 }) ?? true,
        credential.passwordDigest == IAMOperations.digest(password)
      else { return nil }
      return Principal(kind: .user, account: account, arn: user.arn(account), userId: user.id)
    }
    return nil
  }
}
