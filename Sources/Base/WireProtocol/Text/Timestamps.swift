import FoundationEssentials
import WireModel

/// The three ways AWS writes a time. Years 0 to 9999, UTC, to the millisecond when written.
enum Timestamps {
  private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
  private static let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
  private static let range = -62_167_219_200.0...253_402_300_799.999

  static func epoch(_ seconds: Double) -> Date? {
    seconds.isFinite && range.contains(seconds) ? Date(timeIntervalSince1970: seconds) : nil
  }

  static func parse(_ text: String, _ format: TimestampFormat) -> Date? {
    switch format {
    case .iso8601: parseISO(text)
    case .rfc822: parseRFC822(text)
    case .epochSeconds: Double(text).flatMap(epoch)
    }
  }

  /// `millis` writes `.000` for a whole second too.
  static func format(_ date: Date, _ format: TimestampFormat, millis: Bool = false) -> String {
    let total = Int64((date.timeIntervalSince1970 * 1000).rounded())
    let (days, inDay) = floorDivide(total, 86_400_000)
    let (year, month, day) = civil(days)
    let seconds = inDay / 1000
    let fraction = inDay % 1000
    let time = "\(pad(seconds / 3600)):\(pad(seconds / 60 % 60)):\(pad(seconds % 60))"
    let part = fraction != 0 || millis ? "." + pad(fraction, 3) : ""
    switch format {
    case .iso8601: return "\(pad(year, 4))-\(pad(month))-\(pad(day))T\(time)\(part)Z"
    case .rfc822:
      let part = fraction != 0 ? part : ""
      let weekday = weekdays[Int(floorDivide(days, 7).1)]
      return "\(weekday), \(pad(day)) \(months[Int(month) - 1]) \(pad(year, 4)) \(time)\(part) GMT"
    case .epochSeconds: return fraction == 0 ? String(total / 1000) : String(Double(total) / 1000)
    }
  }

  private static func pad(_ value: Int64, _ width: Int = 2) -> String {
    let text = String(value)
    return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
  }

  private static func floorDivide(_ a: Int64, _ b: Int64) -> (Int64, Int64) {
    let r = (a % b + b) % b
    return ((a - r) / b, r)
  }

  // Days since 1970-01-01 to a date of the proleptic Gregorian calendar, and back; eras of 400 years begin in March.
  private static func civil(_ days: Int64) -> (Int64, Int64, Int64) {
    let (era, dayOfEra) = floorDivide(days + 719_468, 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1)
  }

  private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    let y = month <= 2 ? year - 1 : year
    let (era, yearOfEra) = floorDivide(y, 400)
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  private static func date(
    _ year: Int64, _ month: Int64, _ day: Int64, _ hour: Int64, _ minute: Int64, _ second: Int64, _ fraction: Double, offset: Int64
  ) -> Date? {
    guard (0...9999).contains(year), (1...12).contains(month), (0...24).contains(hour), (0...59).contains(minute) else { return nil }
    guard (0...60).contains(second), day >= 1 else { return nil }
    let dayNumber = days(year, month, day)
    let back = civil(dayNumber)
    guard back.1 == month, back.2 == day else { return nil }
    let seconds = dayNumber * 86_400 + hour * 3600 + minute * 60 + second - offset
    return epoch(Double(seconds) + fraction)
  }

  /// `2026-01-02T03:04:05[.678](Z|+01:00)`; a date alone is midnight.
  static func parseISO(_ text: String) -> Date? {
    var scan = Scanner(text)
    guard let year = scan.number(4), scan.take("-"), let month = scan.number(2), scan.take("-"), let day = scan.number(2) else {
      return nil
    }
    if scan.atEnd { return date(year, month, day, 0, 0, 0, 0, offset: 0) }
    guard scan.take("T") || scan.take("t") || scan.take(" "), let hour = scan.number(2), scan.take(":"), let minute = scan.number(2)
    else { return nil }
    var second: Int64 = 0
    if scan.take(":") {
      guard let value = scan.number(2) else { return nil }
      second = value
    }
    guard let fraction = scan.fraction() else { return nil }
    guard let offset = scan.offset(), scan.atEnd else { return nil }
    return date(year, month, day, hour, minute, second, fraction, offset: offset)
  }

  /// `Tue, 29 Apr 2014 18:30:38[.123] GMT`, the weekday being optional.
  static func parseRFC822(_ text: String) -> Date? {
    var rest = text[...]
    if let comma = rest.firstIndex(of: ",") { rest = rest[rest.index(after: comma)...] }
    var scan = Scanner(trimmed(rest))
    guard let day = scan.number(1...2), scan.take(" ") || scan.take("-"), let name = scan.letters(3) else { return nil }
    guard let month = months.firstIndex(where: { equalIgnoringCase($0, name) }), scan.take(" ") || scan.take("-") else { return nil }
    guard let year = scan.number(4), scan.take(" "), let hour = scan.number(2), scan.take(":"), let minute = scan.number(2),
      scan.take(":"), let second = scan.number(2), let fraction = scan.fraction(), scan.take(" ")
    else { return nil }
    if scan.letters(3) != "GMT" {
      guard let offset = scan.offset(), scan.atEnd else { return nil }
      return date(year, Int64(month) + 1, day, hour, minute, second, fraction, offset: offset)
    }
    return scan.atEnd ? date(year, Int64(month) + 1, day, hour, minute, second, fraction, offset: 0) : nil
  }
}

private struct Scanner {
  private let bytes: [UInt8]
  private var at = 0
  init(_ text: String) { bytes = Array(text.utf8) }
  var atEnd: Bool { at == bytes.count }

  mutating func take(_ letter: Unicode.Scalar) -> Bool {
    guard at < bytes.count, bytes[at] == UInt8(ascii: letter) else { return false }
    at += 1
    return true
  }
  mutating func number(_ width: Int) -> Int64? { number(width...width) }
  mutating func number(_ width: ClosedRange<Int>) -> Int64? {
    var value: Int64 = 0
    var count = 0
    while count < width.upperBound, at < bytes.count, (0x30...0x39).contains(bytes[at]) {
      value = value * 10 + Int64(bytes[at] - 0x30)
      at += 1
      count += 1
    }
    return width.contains(count) ? value : nil
  }
  mutating func letters(_ count: Int) -> String? {
    guard at + count <= bytes.count else { return nil }
    let part = bytes[at..<at + count]
    guard part.allSatisfy({ (0x41...0x5a).contains($0 & 0xdf) }) else { return nil }
    at += count
    return String(decoding: part, as: UTF8.self)
  }
  /// `.123` as 0.123; 0 when there is none; nil for a point without digits.
  mutating func fraction() -> Double? {
    guard take(".") else { return 0 }
    var value = 0.0
    var scale = 0.1
    let start = at
    while at < bytes.count, (0x30...0x39).contains(bytes[at]), at - start < 18 {
      value += Double(bytes[at] - 0x30) * scale
      scale /= 10
      at += 1
    }
    return at > start ? (value * 1e9).rounded() / 1e9 : nil
  }
  /// `Z`, `+01:00`, `-0130` or nothing, in seconds east of UTC.
  mutating func offset() -> Int64? {
    if atEnd || take("Z") || take("z") { return 0 }
    let sign: Int64
    if take("+") { sign = 1 } else if take("-") { sign = -1 } else { return nil }
    guard let hours = number(2) else { return nil }
    _ = take(":")
    guard let minutes = number(2), hours <= 23, minutes <= 59 else { return nil }
    return sign * (hours * 3600 + minutes * 60)
  }
}
