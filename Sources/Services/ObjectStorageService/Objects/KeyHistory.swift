/// What is known of a key when a change to it is decided.
struct KeyHistory: Sendable {
  /// The current object; nil while the newest version is a delete marker or the key has no version.
  var current: KeyVersion?
  /// The other versions that matter, newest first: the newest two, the null version and the one the caller named.
  var older: [KeyVersion] = []

  /// The greatest place taken so far.
  var lastOrder: UInt64? { [current?.order, older.first?.order].compactMap { $0 }.max() }
  var nullOlder: KeyVersion? { older.first { $0.versionId == nil } }
}

/// A change to a key's rows.
enum KeyChange: Sendable, Equatable {
  case setCurrent(KeyVersion)
  case removeCurrent
  case addOlder(KeyVersion)
  case removeOlder(KeyVersion)
}

/// What a decision changes, and which bytes it leaves without an owner.
struct KeyPlan: Sendable, Equatable {
  var changes: [KeyChange] = []
  var freed: [ContentReference] = []

  fileprivate mutating func removeOlder(_ version: KeyVersion) {
    changes.append(.removeOlder(version))
    if !version.isMarker { freed.append(version.content) }
  }
}

/// The rules of versioning, as values: which rows change when a key is written or deleted (S3 User Guide, "Adding objects to
/// versioning-enabled / -suspended buckets", "Deleting object versions").
enum KeyPlanner {
  /// A new object. In a suspended or never versioned bucket it replaces the null version, else it is put before all others.
  static func put(_ new: KeyVersion, in history: KeyHistory, _ versioning: BucketRecord.Versioning?) -> KeyPlan {
    var plan = KeyPlan()
    makeWay(&plan, history, versioning)
    plan.changes.append(.setCurrent(new))
    return plan
  }

  /// A delete that names no version. `marker` is written unless the bucket was never versioned.
  static func delete(marker: KeyVersion, in history: KeyHistory, _ versioning: BucketRecord.Versioning?) -> KeyPlan {
    var plan = KeyPlan()
    makeWay(&plan, history, versioning)
    if history.current != nil { plan.changes.append(.removeCurrent) }
    if versioning != nil { plan.changes.append(.addOlder(marker)) }
    return plan
  }

  /// A delete of one version (nil: the null version), which is really removed. What was next becomes current again.
  static func delete(version id: String?, in history: KeyHistory) -> (plan: KeyPlan, removed: KeyVersion?) {
    var plan = KeyPlan()
    if let current = history.current, current.versionId == id {
      plan.freed.append(current.content)
      plan.changes.append(.removeCurrent)
      promote(history.older.first, &plan)
      return (plan, current)
    }
    guard let position = history.older.firstIndex(where: { $0.versionId == id }) else { return (plan, nil) }
    let removed = history.older[position]
    plan.removeOlder(removed)
    if history.current == nil, position == 0 { promote(history.older.dropFirst().first, &plan) }
    return (plan, removed)
  }

  private static func promote(_ next: KeyVersion?, _ plan: inout KeyPlan) {
    guard let next, !next.isMarker else { return }
    plan.changes.append(.removeOlder(next))
    plan.changes.append(.setCurrent(next))
  }

  /// What happens to the version that was newest, and to an older null version that a new null version replaces.
  private static func makeWay(_ plan: inout KeyPlan, _ history: KeyHistory, _ versioning: BucketRecord.Versioning?) {
    switch versioning {
    case nil:
      if let current = history.current { plan.freed.append(current.content) }
    case .enabled:
      if let current = history.current { plan.changes.append(.addOlder(current)) }
    case .suspended:
      if let null = history.nullOlder { plan.removeOlder(null) }
      if let current = history.current {
        if current.versionId == nil { plan.freed.append(current.content) } else { plan.changes.append(.addOlder(current)) }
      }
    }
  }
}
