public import FoundationEssentials

/// Times as signatures write them.
public enum SigningTime {
  /// `yyyymmddThhmmssZ`.
  public static func amzDate(_ date: Date) -> String {
    let c = components(date)
    return "\(pad(c.year, 4))\(pad(c.month, 2))\(pad(c.day, 2))T\(pad(c.hour, 2))\(pad(c.minute, 2))\(pad(c.second, 2))Z"
  }

  /// Nil unless the text is `yyyymmddThhmmssZ` and names a real time.
  public static func parse(amzDate text: String) -> Date? {
    let bytes = Array(text.utf8)
    guard bytes.count == 16, bytes[8] == 0x54, bytes[15] == 0x5a else { return nil }
    func number(_ range: Range<Int>) -> Int? {
      var value = 0
      for byte in bytes[range] {
        guard (0x30...0x39).contains(byte) else { return nil }
        value = value * 10 + Int(byte - 0x30)
      }
      return value
    }
    guard let year = number(0..<4), let month = number(4..<6), let day = number(6..<8), let hour = number(9..<11),
      let minute = number(11..<13), let second = number(13..<15)
    else { return nil }
    return date(year, month, day, hour, minute, second)
  }

  /// The forms a `Date` header may have: `Sun, 06 Nov 1994 08:49:37 GMT` (also `+0000`), or the basic ISO form.
  public static func parse(httpDate text: String) -> Date? {
    if let date = parse(amzDate: text) { return date }
    let parts = text.split(separator: " ").drop { $0.hasSuffix(",") }
    let words = Array(parts)
    guard words.count >= 4, let day = Int(words[0]), let year = Int(words[2]) else { return nil }
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    let time = words[3].split(separator: ":").compactMap { Int($0) }
    guard let month = months.firstIndex(of: String(words[1])), time.count == 3,
      words.count == 4 || ["GMT", "UTC", "+0000", "-0000"].contains(words[4])
    else { return nil }
    return date(year, month + 1, day, time[0], time[1], time[2])
  }

  private static func date(_ year: Int, _ month: Int, _ day: Int, _ hour: Int, _ minute: Int, _ second: Int) -> Date? {
    guard (1...12).contains(month), (1...31).contains(day), (0...23).contains(hour), (0...59).contains(minute),
      (0...60).contains(second), (1...9999).contains(year)
    else { return nil }
    let shifted = month <= 2 ? year - 1 : year
    let era = shifted / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    let result = Date(timeIntervalSince1970: Double(days * 86_400 + hour * 3600 + minute * 60 + second))
    let check = components(result)
    return check.day == day && check.month == month || second == 60 ? result : nil
  }

  private static func components(_ date: Date) -> (year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int) {
    let total = Int(date.timeIntervalSince1970.rounded(.down))
    let days = total >= 0 ? total / 86_400 : (total - 86_399) / 86_400
    let time = total - days * 86_400
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let m = (5 * dayOfYear + 2) / 153
    let month = m < 10 ? m + 3 : m - 9
    return (
      yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * m + 2) / 5 + 1, time / 3600, time / 60 % 60, time % 60
    )
  }

  private static func pad(_ n: Int, _ width: Int) -> String {
    let text = String(n)
    return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
  }
}
