import FoundationEssentials
import Glibc

/// Local time as the log files write it.
enum LogStamp {
  /// `YYYY-MM-DD HH:MM:SS`
  static func seconds(_ date: Date) -> String { text(date, milliseconds: false) }
  /// `YYYY-MM-DD HH:MM:SS.mmm`
  static func milliseconds(_ date: Date) -> String { text(date, milliseconds: true) }

  private static func text(_ date: Date, milliseconds: Bool) -> String {
    let whole = date.timeIntervalSince1970.rounded(.down)
    var time = time_t(whole)
    var parts = tm()
    localtime_r(&time, &parts)
    func two(_ n: Int32) -> String { n < 10 ? "0\(n)" : "\(n)" }
    let text =
      "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday)) "
      + "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
    guard milliseconds else { return text }
    let ms = String(1000 + Int((date.timeIntervalSince1970 - whole) * 1000)).dropFirst()
    return "\(text).\(ms)"
  }
}
