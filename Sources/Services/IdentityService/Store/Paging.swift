import RegionKit
import RegionStore
import WireModel

/// IAM's pagination: `MaxItems` (1 to 1,000, default 100) and an opaque `Marker`.
struct PageRequest: Sendable {
  let max: Int
  let after: String?
  private let binding: String

  /// Reads `Marker` and `MaxItems`. `filters` are the parts of the request that a marker must not be carried across.
  init<Shape>(_ input: Obj<Shape>, _ call: Call, filters: [String] = []) throws {
    max = min(1_000, Swift.max(1, Int(input.fields["MaxItems"]?.asInt ?? 100)))
    binding = ([call.operation, call.account.rawValue] + filters).joined(separator: "\u{1f}")
    if let marker = input.fields["Marker"]?.asString {
      guard let token = PageToken(marker, binding: binding) else {
        throw IdentityErrors.validation("Invalid Marker: it was not returned by \(call.operation) with the same parameters.")
      }
      after = token.after
    } else {
      after = nil
    }
  }

  /// One page of a list that is in memory, in the order of its keys.
  func cut<Item>(_ items: [Item], key: (Item) -> String) -> Page<Item> {
    let sorted = items.map { (key: key($0), item: $0) }.sorted { $0.key < $1.key }
    let rest = after.map { last in sorted.drop { $0.key <= last } } ?? sorted[...]
    let taken = rest.prefix(max)
    let more = rest.count > max
    return Page(items: taken.map(\.item), marker: more ? taken.last.map { token($0.key) } : nil)
  }

  /// One page of a collection's records that pass the filter.
  func records<Record: NamedRecord>(
    _ type: Record.Type, _ core: IdentityCore, _ account: AccountID, where keep: (Record) -> Bool
  ) async throws -> Page<Record> {
    var found: [Stored<Record>] = []
    var from = after
    while found.count <= max {
      let batch = try await core.store.list(type, in: IdentityCore.scope(account), StoreQuery(after: from, limit: max + 1))
      found += batch.filter { keep($0.value) }
      guard batch.count == max + 1 else { break }
      from = batch.last?.id
    }
    let taken = found.prefix(max)
    return Page(items: taken.map(\.value), marker: found.count > max ? taken.last.map { token($0.id) } : nil)
  }

  private func token(_ key: String) -> String { PageToken(after: key).encoded(binding: binding) }
}

struct Page<Item> {
  let items: [Item]
  /// Nil on the last page.
  let marker: String?
  /// Sets `IsTruncated` and `Marker`.
  func close<Shape>(_ output: inout Obj<Shape>) {
    output.fields["IsTruncated"] = .bool(marker != nil)
    output.fields["Marker"] = marker.map { .string($0) }
  }
}

/// Errors that AWS answers without declaring them in the model.
enum IdentityErrors {
  static func validation(_ message: String) -> AWSError { AWSError("ValidationError", message, status: 400) }
  static func accessDenied(_ message: String) -> AWSError { AWSError("AccessDenied", message, status: 403) }
}
