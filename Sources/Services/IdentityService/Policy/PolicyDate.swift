import FoundationEssentials

/// Dates as conditions write them: ISO 8601 (`2026-11-22`, `2026-11-22T21:00Z`, `…:30.5+02:00`) or seconds since 1970.
enum PolicyDate {
  /// Seconds since 1970; nil when the text is neither form.
  static func parse(_ text: String) -> Double? {
    if let number = Double(text), number.isFinite, !text.isEmpty { return number }
    var rest = Array(text.utf8)[...]
    guard let year = digits(4, &rest), take("-", &rest), let month = digits(2, &rest), (1...12).contains(month),
      take("-", &rest), let day = digits(2, &rest), (1...monthLength(year, month)).contains(day)
    else { return nil }
    var seconds = Double(dayNumber(year, month, day)) * 86_400
    if rest.isEmpty { return seconds }
    guard take("T", &rest) || take("t", &rest), let hour = digits(2, &rest), hour < 24 else { return nil }
    seconds += Double(hour) * 3_600
    if take(":", &rest) {
      guard let minute = digits(2, &rest), minute < 60 else { return nil }
      seconds += Double(minute) * 60
      if take(":", &rest) {
        guard let second = digits(2, &rest), second <= 60 else { return nil }
        seconds += Double(second)
        if take(".", &rest) {
          let fraction = rest.prefix { (0x30...0x39).contains($0) }
          guard !fraction.isEmpty, let value = Double("0." + String(decoding: fraction, as: UTF8.self)) else { return nil }
          seconds += value
          rest = rest.dropFirst(fraction.count)
        }
      }
    }
    if rest.isEmpty || ((take("Z", &rest) || take("z", &rest)) && rest.isEmpty) { return seconds }
    let east = take("+", &rest)
    guard east || take("-", &rest), let hours = digits(2, &rest), hours < 24 else { return nil }
    var offset = Double(hours) * 3_600
    if !rest.isEmpty {
      _ = take(":", &rest)
      guard let minutes = digits(2, &rest), minutes < 60, rest.isEmpty else { return nil }
      offset += Double(minutes) * 60
    }
    return east ? seconds - offset : seconds + offset
  }

  /// `2026-11-22T21:00:00Z`.
  static func text(_ date: Date) -> String { date.formatted(.iso8601) }

  private static func take(_ character: Unicode.Scalar, _ rest: inout ArraySlice<UInt8>) -> Bool {
    guard rest.first == UInt8(ascii: character) else { return false }
    rest.removeFirst()
    return true
  }
  private static func digits(_ count: Int, _ rest: inout ArraySlice<UInt8>) -> Int? {
    guard rest.count >= count else { return nil }
    var value = 0
    for byte in rest.prefix(count) {
      guard (0x30...0x39).contains(byte) else { return nil }
      value = value * 10 + Int(byte - 0x30)
    }
    rest = rest.dropFirst(count)
    return value
  }
  private static func monthLength(_ year: Int, _ month: Int) -> Int {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    return [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
  }
  /// Days since 1970-01-01 in the proleptic Gregorian calendar.
  private static func dayNumber(_ year: Int, _ month: Int, _ day: Int) -> Int {
    let y = month <= 2 ? year - 1 : year
    let era = (y >= 0 ? y : y - 399) / 400
    let yearOfEra = y - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }
}
