import FoundationEssentials
import Ports
import RegionKit
import Synchronization

/// What was loaded of keys and principals, so that a request needs no read of the store. An account's entries are dropped after
/// each commit to it; a load that began before is not kept, because the account's generation has moved on.
final class PrincipalCache: Sendable {
  struct LoadedPrincipal: Sendable {
    /// The id of the user or role as it is now; another one means that the caller's own was deleted.
    let uniqueId: String
    let policies: PrincipalPolicies
  }
  struct LoadedKey: Sendable {
    let identity: SigningIdentity
    let active: Bool
  }
  private struct State {
    var generations: [AccountID: UInt64] = [:]
    var keys: [String: LoadedKey] = [:]
    var principals: [String: LoadedPrincipal] = [:]
    var sessions: [String: (identity: SigningIdentity, expires: Date)] = [:]
  }
  private static let limit = 10_000
  private let state = Mutex(State())

  func generation(_ account: AccountID) -> UInt64 { state.withLock { $0.generations[account] ?? 0 } }

  func invalidate(_ account: AccountID) {
    state.withLock { state in
      state.generations[account, default: 0] += 1
      state.keys = state.keys.filter { $0.value.identity.principal.account != account }
      let arnMark = "::\(account):"
      state.principals = state.principals.filter { !$0.key.contains(arnMark) }
    }
  }

  func key(_ id: String) -> LoadedKey? { state.withLock { $0.keys[id] } }
  func keep(key: LoadedKey, id: String, account: AccountID, generation: UInt64) {
    state.withLock { state in
      guard state.generations[account] ?? 0 == generation else { return }
      if state.keys.count >= Self.limit { state.keys.removeAll() }
      state.keys[id] = key
    }
  }

  /// By the ARN of the user or role.
  func principal(_ arn: String) -> LoadedPrincipal? { state.withLock { $0.principals[arn] } }
  func keep(principal: LoadedPrincipal, arn: String, account: AccountID, generation: UInt64) {
    state.withLock { state in
      guard state.generations[account] ?? 0 == generation else { return }
      if state.principals.count >= Self.limit { state.principals.removeAll() }
      state.principals[arn] = principal
    }
  }

  /// A session token that was opened before. Tokens cannot change, so these are never dropped for a commit.
  func session(_ token: String) -> (identity: SigningIdentity, expires: Date)? { state.withLock { $0.sessions[token] } }
  func keep(session: SigningIdentity, expires: Date, token: String) {
    state.withLock { state in
      if state.sessions.count >= Self.limit { state.sessions.removeAll() }
      state.sessions[token] = (session, expires)
    }
  }
}

/// Compiled policies by their text. Texts repeat (managed policies, bucket policies asked for with every request), so compiling
/// is rare.
final class PolicyDocumentCache: Sendable {
  private struct Key: Hashable {
    let text: String
    let kind: PolicyDocument.Kind
  }
  private static let limit = 1_000
  private let documents = Mutex<[Key: PolicyDocument?]>([:])

  /// Nil when the text cannot be read as a policy of that kind.
  func document(_ text: String, _ kind: PolicyDocument.Kind) -> PolicyDocument? {
    let key = Key(text: text, kind: kind)
    if let known = documents.withLock({ $0[key] }) { return known }
    let document = try? PolicyParser.parse(text, as: kind)
    documents.withLock { documents in
      if documents.count >= Self.limit { documents.removeAll() }
      documents[key] = .some(document)
    }
    return document
  }
}
