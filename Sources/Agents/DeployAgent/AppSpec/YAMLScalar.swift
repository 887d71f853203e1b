/// What a plain (unquoted) scalar means under YAML 1.1 as Ruby's Psych reads it: octal 0755, sexagesimal 1:30, `yes` and `off`,
/// digits with `_` and `,`, symbols. Dates are refused, because a safe load refuses them.
enum YAMLScalar {
  static func resolve(_ text: String) throws(YAMLFault) -> YAMLValue {
    let bytes = Array(text.utf8)
    guard let first = bytes.first else { return .null }
    if text == "~" { return .null }
    let lower = text.lowercased()
    switch lower {
    case "null": return .null
    case "yes", "true", "on": return .bool(true)
    case "no", "false", "off": return .bool(false)
    case ".inf", "+.inf": return .float(.infinity)
    case "-.inf": return .float(-.infinity)
    case ".nan": return .float(.nan)
    default: break
    }
    if first == UInt8(ascii: ":"), bytes.count > 1 { return .symbol(unquoted(String(text.dropFirst()))) }
    guard isDigit(first) || first == UInt8(ascii: "-") || first == UInt8(ascii: "+") || first == UInt8(ascii: ".") else {
      return .string(text)
    }
    if isDate(bytes) { throw YAMLFault(message: "Tried to load unspecified class: Date or Time (\(text)); put it in quotes") }
    return sexagesimal(bytes) ?? float(bytes) ?? integer(bytes) ?? .string(text)
  }

  /// Ruby's `String#to_i`: the leading digits, with single underscores between them; 0 without any.
  static func leadingInteger(_ text: String) -> Int {
    var value = 0
    var negative = false
    var seen = false
    var underscore = false
    for (index, byte) in text.utf8.drop(while: { $0 == 0x20 || (0x09...0x0d).contains($0) }).enumerated() {
      if index == 0, byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+") {
        negative = byte == UInt8(ascii: "-")
      } else if isDigit(byte) {
        let (product, overflow) = value.multipliedReportingOverflow(by: 10)
        let (sum, carry) = product.addingReportingOverflow(Int(byte - 0x30))
        if overflow || carry { return negative ? .min : .max }
        value = sum
        seen = true
        underscore = false
      } else if byte == UInt8(ascii: "_"), seen, !underscore {
        underscore = true
      } else {
        break
      }
    }
    return negative ? -value : value
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

  private static func unquoted(_ name: String) -> String {
    for quote in ["\"", "'"] where name.count >= 2 && name.hasPrefix(quote) && name.hasSuffix(quote) {
      return String(name.dropFirst().dropLast())
    }
    return name
  }

  /// `2001-12-14` and `2001-12-14 21:59:43 …`.
  private static func isDate(_ bytes: [UInt8]) -> Bool {
    let parts = bytes.split(separator: UInt8(ascii: "-"), maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0].count == 4, parts[0].allSatisfy(isDigit) else { return false }
    guard (1...2).contains(parts[1].count), parts[1].allSatisfy(isDigit) else { return false }
    let day = parts[2].prefix(while: isDigit)
    guard (1...2).contains(day.count) else { return false }
    let rest = parts[2].dropFirst(day.count)
    guard let next = rest.first else {
      let month = number(parts[1])
      return (1...12).contains(month) && (1...31).contains(number(day)) || month == 0 && parts[1].count == 2
    }
    guard next == UInt8(ascii: "T") || next == UInt8(ascii: "t") || next == 0x20 || next == 0x09 else { return false }
    let clock = rest.dropFirst().drop { $0 == 0x20 || $0 == 0x09 }
    return clock.prefix(while: isDigit).count >= 1 && clock.contains(UInt8(ascii: ":"))
  }

  private static func number(_ digits: ArraySlice<UInt8>) -> Int { digits.reduce(0) { $0 * 10 + Int($1 - 0x30) } }

  /// `1:30` is 5400 and `1:30:15` is 5415: Psych weighs the parts from the left, the first one with 60².
  private static func sexagesimal(_ bytes: [UInt8]) -> YAMLValue? {
    var body = bytes[...]
    var sign = 1
    if let first = body.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") {
      sign = first == UInt8(ascii: "-") ? -1 : 1
      body = body.dropFirst()
    }
    var fraction: ArraySlice<UInt8>?
    if let dot = body.firstIndex(of: UInt8(ascii: ".")) {
      fraction = body[(dot + 1)...]
      body = body[..<dot]
      guard fraction?.allSatisfy({ isDigit($0) || $0 == UInt8(ascii: "_") }) == true else { return nil }
    }
    let parts = body.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
    guard (2...3).contains(parts.count), let head = parts[0].first, isDigit(head), parts[0].count <= 12 else { return nil }
    guard parts[0].allSatisfy({ isDigit($0) || $0 == UInt8(ascii: "_") }) else { return nil }
    for part in parts.dropFirst() {
      guard (1...2).contains(part.count), part.allSatisfy(isDigit), number(part) < 60 else { return nil }
    }
    var total = number(parts[0].filter(isDigit)[...]) * 3600 + number(parts[1]) * 60
    if parts.count == 3 { total += number(parts[2]) }
    guard let fraction else { return .int(sign * total) }
    let decimals = Double("0." + String(decoding: fraction.filter(isDigit), as: UTF8.self)) ?? 0
    return .float(Double(sign) * (Double(total) + decimals))
  }

  /// Digits, a point, digits, an exponent with a sign. A point is required.
  private static func float(_ bytes: [UInt8]) -> YAMLValue? {
    guard bytes.contains(UInt8(ascii: ".")) else { return nil }
    var index = 0
    func at(_ i: Int) -> UInt8 { i < bytes.count ? bytes[i] : 0 }
    if at(index) == UInt8(ascii: "-") || at(index) == UInt8(ascii: "+") { index += 1 }
    let start = index
    while isDigit(at(index)) || index > start && (at(index) == UInt8(ascii: "_") || at(index) == UInt8(ascii: ",")) { index += 1 }
    let whole = index - start
    guard at(index) == UInt8(ascii: ".") else { return nil }
    index += 1
    let decimals = index
    while isDigit(at(index)) { index += 1 }
    guard whole + index - decimals > 0 else { return nil }
    if at(index) == UInt8(ascii: "e") || at(index) == UInt8(ascii: "E") {
      guard at(index + 1) == UInt8(ascii: "-") || at(index + 1) == UInt8(ascii: "+"), isDigit(at(index + 2)) else { return nil }
      index += 2
      while isDigit(at(index)) { index += 1 }
    }
    guard index == bytes.count else { return nil }
    var text = String(decoding: bytes.filter { $0 != UInt8(ascii: "_") && $0 != UInt8(ascii: ",") }, as: UTF8.self)
    if text.hasSuffix(".") { text += "0" }
    text = text.replacing(".e", with: ".0e").replacing(".E", with: ".0E")
    return Double(text.hasPrefix("+") ? String(text.dropFirst()) : text).map { .float($0) }
  }

  private static func integer(_ bytes: [UInt8]) -> YAMLValue? {
    var body = bytes[...]
    var sign = ""
    if let first = body.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") {
      sign = first == UInt8(ascii: "-") ? "-" : ""
      body = body.dropFirst()
    }
    guard let head = body.first, isDigit(head) else { return nil }
    let rest = body.dropFirst()
    let (digits, radix): (ArraySlice<UInt8>, Int) =
      if head == UInt8(ascii: "0"), rest.first == UInt8(ascii: "b") {
        (rest.dropFirst(), 2)
      } else if head == UInt8(ascii: "0"), rest.first == UInt8(ascii: "x") {
        (rest.dropFirst(), 16)
      } else if head == UInt8(ascii: "0"), !rest.isEmpty {
        (rest, 8)
      } else {
        (body, 10)
      }
    let clean = digits.filter { $0 != UInt8(ascii: "_") && $0 != UInt8(ascii: ",") }
    if digits.last == UInt8(ascii: "_") && radix == 10 || digits.last == UInt8(ascii: ",") { return nil }
    return Int(sign + String(decoding: clean, as: UTF8.self), radix: radix).map { .int($0) }
  }
}
