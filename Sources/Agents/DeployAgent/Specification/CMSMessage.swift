/// Brings a PKCS #7 message into the one form that swift-certificates verifies. What is verified afterwards is the signature itself, so
/// nothing here can make a wrong one right.
/// - BER (indefinite lengths, octet strings in pieces, as `openssl smime -stream` writes) becomes DER.
/// - `rsaEncryption` as the signature algorithm, which OpenSSL and AWS write, becomes the algorithm it stands for together with the
///   digest: RSA PKCS #1 v1.5 with that digest.
/// - The digest algorithm loses its NULL parameter, which RFC 5754 makes optional and OpenSSL writes.
enum CMSMessage {
  static func normal(_ message: [UInt8]) -> [UInt8]? {
    guard let plain = der(message[...], depth: 0) else { return nil }
    return rewritten(plain) ?? plain
  }

  private static func der(_ bytes: ArraySlice<UInt8>, depth: Int) -> [UInt8]? {
    guard depth < 32 else { return nil }
    var reader = BERReader(bytes)
    var out: [UInt8] = []
    while !reader.rest.isEmpty {
      guard let element = reader.next() else { return nil }
      let content: [UInt8]
      var tag = element.tag
      if tag == 0x24 {
        guard let octets = BERReader.octets(element) else { return nil }
        content = octets
        tag = 0x04
      } else if element.isConstructed {
        guard let inner = der(element.content, depth: depth + 1) else { return nil }
        content = inner
      } else {
        content = Array(element.content)
      }
      out.append(tag)
      out += length(content.count)
      out += content
    }
    return out
  }

  private static func length(_ count: Int) -> [UInt8] {
    if count < 0x80 { return [UInt8(count)] }
    var digits: [UInt8] = []
    var rest = count
    while rest > 0 {
      digits.insert(UInt8(rest & 0xff), at: 0)
      rest >>= 8
    }
    return [0x80 | UInt8(digits.count)] + digits
  }

  private static let rsaEncryption: [UInt8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01]
  private static let sha2: [UInt8] = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02]

  private static func elements(_ bytes: ArraySlice<UInt8>) -> [BERReader.Element] {
    var reader = BERReader(bytes)
    var out: [BERReader.Element] = []
    while let element = reader.next() { out.append(element) }
    return out
  }
  private static func encoded(_ tag: UInt8, _ content: some Collection<UInt8>) -> [UInt8] { [tag] + length(content.count) + content }
  private static func encoded(_ element: BERReader.Element) -> [UInt8] { encoded(element.tag, element.content) }

  /// Nil when the message does not have the shape of a SignedData; then it stays as it is and is refused later.
  private static func rewritten(_ message: [UInt8]) -> [UInt8]? {
    guard let info = elements(message[...]).first else { return nil }
    let outer = elements(info.content)
    guard outer.count == 2, let signed = elements(outer[1].content).first else { return nil }
    var parts = elements(signed.content)
    guard parts.count >= 4, parts[1].tag == 0x31, let last = parts.last, last.tag == 0x31 else { return nil }
    parts[1].content = elements(parts[1].content).flatMap(bareDigest)[...]
    parts[parts.count - 1].content = elements(last.content).flatMap(signer)[...]
    let body = encoded(signed.tag, parts.flatMap { encoded($0) })
    return encoded(info.tag, encoded(outer[0]) + encoded(outer[1].tag, body))
  }

  /// One SignerInfo: version, signer, digest algorithm, signed attributes (perhaps), signature algorithm, signature.
  private static func signer(_ element: BERReader.Element) -> [UInt8] {
    var fields = elements(element.content)
    let at = fields.count > 3 && fields[3].tag == 0xa0 ? 4 : 3
    guard fields.count > at, let digest = identifier(fields[2]) else { return encoded(element) }
    if let name = identifier(fields[at]), Array(name) == rsaEncryption, digest.count == 9, Array(digest.prefix(8)) == sha2,
      let kind = digest.last, (1...3).contains(kind)
    {
      fields[at].content = (encoded(0x06, rsaEncryption.dropLast() + [0x0a + kind]) + [0x05, 0x00])[...]
    }
    fields[2].content = elements(bareDigest(fields[2])[...]).first?.content ?? fields[2].content
    return encoded(element.tag, fields.flatMap { encoded($0) })
  }

  private static func bareDigest(_ element: BERReader.Element) -> [UInt8] {
    guard let name = identifier(element), element.content.suffix(2) == [0x05, 0x00], element.content.count == name.count + 4 else {
      return encoded(element)
    }
    return encoded(0x30, encoded(0x06, name))
  }

  private static func identifier(_ algorithm: BERReader.Element) -> ArraySlice<UInt8>? {
    guard algorithm.tag == 0x30, let name = elements(algorithm.content).first, name.tag == 0x06 else { return nil }
    return name.content
  }
}
