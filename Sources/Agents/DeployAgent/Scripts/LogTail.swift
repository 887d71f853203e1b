/// The newest log entries whose lengths together stay below 2048 characters: what the service gets to see of a failing script.
/// Whole entries only, so a last line of 2048 characters leaves nothing.
struct LogTail: Sendable {
  static let limit = 2048
  private var entries: [(text: String, length: Int)] = []
  private var first = 0
  private var total = 0

  mutating func append(_ entry: String) {
    let length = entry.unicodeScalars.count
    entries.append((entry, length))
    total += length
    // An entry that the newer ones leave no room for can never come back.
    while first < entries.count - 1, total - entries[first].length >= Self.limit {
      total -= entries[first].length
      first += 1
    }
    if first > 256 {
      entries.removeFirst(first)
      first = 0
    }
  }

  var text: String {
    var room = Self.limit
    var kept: [String] = []
    for entry in entries[first...].reversed() {
      guard entry.length < room else { break }
      room -= entry.length
      kept.append(entry.text)
    }
    return kept.reversed().joined()
  }
}
