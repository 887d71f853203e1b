/// The canonical request of Signature Version 4, built from the raw request.
struct CanonicalRequest {
  /// Whether the path follows S3's rules: decoded and encoded once per segment, and never normalised.
  let isS3: Bool

  init(service: String) { isS3 = service == "s3" || service == "s3-object-lambda" || service == "s3express" }

  /// `signedHeaders` in the order they were claimed. `leavingOut`: the query key that holds the signature itself.
  func text(
    _ request: SignableRequest, signedHeaders: [String], payloadHash: String, leavingOut: String? = nil
  ) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(512)
    out += request.method.utf8
    out.append(0x0a)
    appendPath(request.path, to: &out)
    out.append(0x0a)
    appendQuery(request.query, leavingOut: leavingOut, to: &out)
    out.append(0x0a)
    for name in signedHeaders { appendHeader(name, request, to: &out) }
    out.append(0x0a)
    for (i, name) in signedHeaders.enumerated() {
      if i > 0 { out.append(0x3b) }
      out += name.utf8
    }
    out.append(0x0a)
    out += payloadHash.utf8
    return out
  }

  func appendPath(_ path: Substring, to out: inout [UInt8]) {
    if path.isEmpty { return out.append(0x2f) }
    if path.utf8.allSatisfy({ $0 == 0x2f || ($0 != 0x2e && URICoding.isUnreserved($0)) }), isS3 || !path.utf8.contains(doubleSlash: ()) {
      out += path.utf8  // nothing to decode, encode or normalise
      return
    }
    if isS3 {
      for (i, segment) in path.utf8.split(separator: 0x2f, omittingEmptySubsequences: false).enumerated() {
        if i > 0 { out.append(0x2f) }
        for byte in URICoding.decode(segment) { URICoding.append(byte, to: &out) }
      }
      return
    }
    let segments = Self.normalized(path)
    for segment in segments.parts {
      out.append(0x2f)
      for byte in segment.utf8 { URICoding.append(byte, to: &out) }
    }
    if segments.parts.isEmpty || segments.endsWithSlash { out.append(0x2f) }
  }

  /// RFC 3986 §5.2.4 without empty segments.
  private static func normalized(_ path: Substring) -> (parts: [Substring], endsWithSlash: Bool) {
    var parts: [Substring] = []
    let all = path.split(separator: "/", omittingEmptySubsequences: false)
    for segment in all where !segment.isEmpty && segment != "." {
      if segment == ".." { _ = parts.popLast() } else { parts.append(segment) }
    }
    let last = all.last ?? ""
    return (parts, last.isEmpty || last == "." || last == "..")
  }

  func appendQuery(_ query: Substring, leavingOut: String?, to out: inout [UInt8]) {
    guard !query.isEmpty else { return }
    var pairs: [(key: [UInt8], value: [UInt8])] = []
    for part in query.utf8.split(separator: 0x26) {
      let split = part.split(separator: 0x3d, maxSplits: 1, omittingEmptySubsequences: false)
      let key = Self.recoded(split[0])
      if let leavingOut, key.elementsEqual(leavingOut.utf8) { continue }
      pairs.append((key, split.count > 1 ? Self.recoded(split[1]) : []))
    }
    pairs.sort { a, b in
      a.key == b.key ? a.value.lexicographicallyPrecedes(b.value) : a.key.lexicographicallyPrecedes(b.key)
    }
    for (i, pair) in pairs.enumerated() {
      if i > 0 { out.append(0x26) }
      out += pair.key
      out.append(0x3d)
      out += pair.value
    }
  }

  private static func recoded(_ text: some Sequence<UInt8>) -> [UInt8] {
    var out: [UInt8] = []
    for byte in URICoding.decode(text) { URICoding.append(byte, to: &out) }
    return out
  }

  private func appendHeader(_ name: String, _ request: SignableRequest, to out: inout [UInt8]) {
    out += name.utf8
    out.append(0x3a)
    var first = true
    for header in request.headers where sameIgnoringCase(header.name, name) {
      if !first { out.append(0x2c) }
      first = false
      Self.appendTrimmed(header.value, to: &out)
    }
    out.append(0x0a)
  }

  /// Without white space at the ends; runs inside become one space.
  private static func appendTrimmed(_ value: String, to out: inout [UInt8]) {
    var pendingSpace = false
    var any = false
    for byte in value.utf8 {
      if byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d {
        pendingSpace = any
        continue
      }
      if pendingSpace { out.append(0x20) }
      pendingSpace = false
      any = true
      out.append(byte)
    }
  }
}

extension Substring.UTF8View {
  fileprivate func contains(doubleSlash: Void) -> Bool {
    var previous: UInt8 = 0
    for byte in self {
      if byte == 0x2f && previous == 0x2f { return true }
      previous = byte
    }
    return false
  }
}
