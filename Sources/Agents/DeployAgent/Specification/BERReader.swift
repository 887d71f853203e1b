/// Just enough of BER to find the content inside a PKCS #7 SignedData. What it finds is compared with the library's own parse by the
/// signature check, so a mistake here can only refuse, never accept.
struct BERReader {
  struct Element {
    var tag: UInt8
    var content: ArraySlice<UInt8>
    var isConstructed: Bool { tag & 0x20 != 0 }
  }
  private(set) var rest: ArraySlice<UInt8>
  init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

  /// The next element, or nil at the end or when the bytes are not BER.
  mutating func next(depth: Int = 0) -> Element? {
    guard depth < 32, rest.count >= 2, let tag = rest.first, tag & 0x1f != 0x1f else { return nil }
    var body = rest.dropFirst()
    let first = body.removeFirst()
    if first == 0x80 {
      // Indefinite length: elements up to an end-of-contents marker.
      guard tag & 0x20 != 0 else { return nil }
      var inner = BERReader(body)
      let start = body.startIndex
      while true {
        if inner.rest.starts(with: [0, 0]) {
          let content = body[start..<inner.rest.startIndex]
          rest = inner.rest.dropFirst(2)
          return Element(tag: tag, content: content)
        }
        guard inner.next(depth: depth + 1) != nil else { return nil }
      }
    }
    var length = Int(first)
    if first > 0x80 {
      let count = Int(first & 0x7f)
      guard count <= 4, body.count >= count else { return nil }
      length = body.prefix(count).reduce(0) { $0 << 8 | Int($1) }
      body = body.dropFirst(count)
    }
    guard length <= body.count else { return nil }
    rest = body.dropFirst(length)
    return Element(tag: tag, content: body.prefix(length))
  }

  /// An OCTET STRING's bytes; a constructed one is put together from its pieces.
  static func octets(_ element: Element, depth: Int = 0) -> [UInt8]? {
    guard depth < 8, element.tag & 0x1f == 0x04 else { return nil }
    guard element.isConstructed else { return Array(element.content) }
    var reader = BERReader(element.content)
    var out: [UInt8] = []
    while !reader.rest.isEmpty {
      guard let piece = reader.next(), let bytes = octets(piece, depth: depth + 1) else { return nil }
      out += bytes
    }
    return out
  }

  /// ContentInfo → SignedData → encapsulated content. Nil when the content is not embedded.
  static func embeddedContent(_ message: [UInt8]) -> [UInt8]? {
    var top = BERReader(message[...])
    guard let info = top.next(), info.tag == 0x30 else { return nil }
    var fields = BERReader(info.content)
    guard fields.next()?.tag == 0x06, let explicit = fields.next(), explicit.tag == 0xa0 else { return nil }
    var wrapped = BERReader(explicit.content)
    guard let signed = wrapped.next(), signed.tag == 0x30 else { return nil }
    var parts = BERReader(signed.content)
    guard parts.next()?.tag == 0x02, parts.next()?.tag == 0x31, let encapsulated = parts.next(), encapsulated.tag == 0x30 else {
      return nil
    }
    var content = BERReader(encapsulated.content)
    guard content.next()?.tag == 0x06, let holder = content.next(), holder.tag == 0xa0 else { return nil }
    var inner = BERReader(holder.content)
    return inner.next().flatMap { octets($0) }
  }
}
