/// Writes XML without white space between elements.
struct XMLWriter {
  private(set) var bytes: [UInt8] = []

  mutating func declaration() { raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n") }

  mutating func open(_ name: String, _ attributes: [(String, String)] = []) {
    raw("<")
    raw(name)
    for (key, value) in attributes {
      raw(" ")
      raw(key)
      raw("=\"")
      escaped(value, attribute: true)
      raw("\"")
    }
    raw(">")
  }

  mutating func close(_ name: String) {
    raw("</")
    raw(name)
    raw(">")
  }

  mutating func text(_ text: String) { escaped(text, attribute: false) }

  mutating func element(_ name: String, _ text: String) {
    open(name)
    self.text(text)
    close(name)
  }

  mutating func raw(_ text: String) { bytes.append(contentsOf: text.utf8) }

  /// Characters that XML 1.0 cannot hold become U+FFFD.
  private mutating func escaped(_ text: String, attribute: Bool) {
    var skip = 0
    let utf8 = Array(text.utf8)
    for (i, byte) in utf8.enumerated() {
      if skip > 0 {
        skip -= 1
        continue
      }
      switch byte {
      case 0x26: raw("&amp;")
      case 0x3c: raw("&lt;")
      case 0x3e: raw("&gt;")
      case 0x22 where attribute: raw("&quot;")
      case 0x0d: raw("&#xD;")
      case 0x0a where attribute: raw("&#xA;")
      case 0x09 where attribute: raw("&#x9;")
      case 0x09, 0x0a: bytes.append(byte)
      case 0..<0x20: raw("\u{fffd}")
      case 0xef where i + 2 < utf8.count && utf8[i + 1] == 0xbf && utf8[i + 2] >= 0xbe:
        raw("\u{fffd}")
        skip = 2
      default: bytes.append(byte)
      }
    }
  }
}
