import FoundationEssentials
import RegionKit
import RegionStore
import Synchronization

/// Remembers when keys and roles were last used. Kept in memory at once and written at most every fifteen minutes for each (AWS
/// itself is up to four hours late), so that it costs a busy key nothing.
final class LastUseRecorder: Sendable {
  private struct Seen {
    var latest: LastUseRecord
    var written: Date
  }
  private let seen = Mutex<[String: Seen]>([:])
  private let store: any RegionStore
  private static let interval = 900.0

  init(store: any RegionStore) { self.store = store }

  /// `id` is an access key id or a role's unique id.
  /// A write that fails is tried again with the next use: bookkeeping is no reason to refuse a call.
  func note(_ id: String, service: String, region: String?, account: AccountID, now: Date) async {
    let use = LastUseRecord(date: now, service: service, region: region ?? "us-east-1")
    let due = seen.withLock { seen in
      if let known = seen[id], now.timeIntervalSince(known.written) < Self.interval {
        seen[id]?.latest = use
        return false
      }
      seen[id] = Seen(latest: use, written: now)
      return true
    }
    guard due else { return }
    do {
      var commit = StoreCommit()
      try commit.put(use, in: IdentityCore.scope(account), id: id)
      try await store.commit(commit)
    } catch {
      seen.withLock { $0[id]?.written = .distantPast }
    }
  }

  func lastUse(_ id: String, account: AccountID) async throws -> LastUseRecord? {
    if let known = seen.withLock({ $0[id]?.latest }) { return known }
    return try await store.get(LastUseRecord.self, in: IdentityCore.scope(account), id: id)?.value
  }
}
