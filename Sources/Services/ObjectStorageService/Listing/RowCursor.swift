import RegionKit
import RegionStore

/// Walks a collection in id order, page by page, and can jump forward. Used by one task.
struct RowCursor<Record: StoredRecord> {
  private let store: any RegionStore
  private let scope: Scope
  private let prefix: String
  private var after: String?
  private var page: ArraySlice<Stored<Record>> = []
  private var pageSize: Int
  private var ended = false
  private var jumped = false

  /// `pageSize` is where it begins; pages grow while rows are read one after another and shrink while it jumps, so that a listing
  /// by delimiter reads little of what it jumps over.
  init(_ store: any RegionStore, in scope: Scope, prefix: String, after: String?, pageSize: Int) {
    self.store = store
    self.scope = scope
    self.prefix = prefix
    self.after = after
    self.pageSize = max(2, min(1001, pageSize))
  }

  /// The row it stands at; nil at the end.
  mutating func peek() async throws -> Stored<Record>? {
    if let first = page.first { return first }
    if ended { return nil }
    let rows = try await store.list(Record.self, in: scope, StoreQuery(prefix: prefix, after: after, limit: pageSize))
    ended = rows.count < pageSize
    pageSize = jumped ? max(4, pageSize / 2) : min(1001, pageSize * 2)
    jumped = false
    page = rows[...]
    after = rows.last?.id ?? after
    return page.first
  }

  mutating func advance() { page = page.dropFirst() }

  /// To the first row whose id is greater than `id`.
  mutating func jump(past id: String) {
    if let last = page.last, last.id > id {
      // Ids are ASCII, so string order is byte order; the page is sorted.
      var low = page.startIndex
      var high = page.endIndex
      while low < high {
        let middle = (low + high) / 2
        if page[middle].id > id { high = middle } else { low = middle + 1 }
      }
      page = page[low...]
      return
    }
    page = []
    jumped = true
    if after.map({ $0 < id }) ?? true { after = id }
  }
}

/// What keys have in common up to a delimiter.
struct Grouping: Sendable {
  let prefix: [UInt8]
  let delimiter: [UInt8]
  /// The last thing the page before showed; groups up to it are not shown again.
  let marker: [UInt8]?

  init(prefix: String, delimiter: String?, marker: String?) {
    self.prefix = Array(prefix.utf8)
    self.delimiter = Array((delimiter ?? "").utf8)
    self.marker = marker.map { Array($0.utf8) }
  }

  /// The common prefix that stands for a key: up to and with the first delimiter after the prefix.
  func group(of key: String) -> String? {
    guard !delimiter.isEmpty else { return nil }
    let bytes = Array(key.utf8)
    var i = prefix.count
    while i + delimiter.count <= bytes.count {
      if bytes[i] == delimiter[0], bytes[i..<(i + delimiter.count)].elementsEqual(delimiter) {
        return String(decoding: bytes[..<(i + delimiter.count)], as: UTF8.self)
      }
      i += 1
    }
    return nil
  }

  /// False for a group that an earlier page has shown, or that the caller asked to begin after.
  func isNew(_ group: String) -> Bool {
    guard let marker else { return true }
    return marker.lexicographicallyPrecedes(group.utf8)
  }
}
