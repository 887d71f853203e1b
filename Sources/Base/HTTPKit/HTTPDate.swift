import FoundationEssentials
import RegionKit
import Synchronization

/// The text of the `Date` header (RFC 9110 §5.6.7), rebuilt once a second.
final class HTTPDateCache: Sendable {
  private let clock: any RegionClock
  private let cached = Mutex((second: Int64.min, text: ""))
  init(clock: any RegionClock) { self.clock = clock }

  var text: String {
    let second = Int64(clock.now().timeIntervalSince1970.rounded(.down))
    return cached.withLock { cached in
      if cached.second != second { cached = (second, httpDate(secondsSince1970: second)) }
      return cached.text
    }
  }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
public func httpDate(secondsSince1970 seconds: Int64) -> String {
  let days = seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
  let time = seconds - days * 86_400
  let (year, month, day) = civil(fromDays: days)
  let weekday = Int(((days + 4) % 7 + 7) % 7)
  let names = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
  let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
  return "\(names[weekday]), \(two(day)) \(months[month - 1]) \(four(year)) "
    + "\(two(Int(time / 3600))):\(two(Int(time / 60 % 60))):\(two(Int(time % 60))) GMT"
}

private func two(_ n: Int) -> String { n < 10 ? "0\(n)" : "\(n)" }
private func four(_ n: Int) -> String { String(repeating: "0", count: max(0, 4 - "\(n)".utf8.count)) + "\(n)" }

/// The Gregorian date of a day counted from 1970-01-01. Counts in 400-year eras that begin on 1 March, so that the leap day is last.
private func civil(fromDays days: Int64) -> (year: Int, month: Int, day: Int) {
  let shifted = days + 719_468
  let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
  let dayOfEra = shifted - era * 146_097
  let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
  let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
  let shiftedMonth = (5 * dayOfYear + 2) / 153
  let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
  let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  return (Int(year), Int(month), Int(day))
}
