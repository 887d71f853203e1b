/// Why an aws-chunked body is not accepted.
public enum AWSChunkedProblem: Error, Sendable, Equatable {
  /// The framing is wrong; the text says what.
  case malformed(String)
  /// The body ended before its last chunk or trailer.
  case incomplete
  /// A chunk's or the trailer's signature is wrong.
  case signatureMismatch
  /// The data are not as long as `x-amz-decoded-content-length` says.
  case lengthMismatch(expected: Int64, got: Int64)
  /// The trailer lacks a field that `x-amz-trailer` announced.
  case missingTrailer(String)
}

/// Takes the aws-chunked framing off a body, piece by piece, and verifies what the framing carries. Data are handed out before the
/// signature of their chunk is known to be right, so the receiver must not make them visible until `finish()` has returned.
public struct AWSChunkedDecoder: Sendable {
  private enum State {
    case chunkHeader
    case data(left: Int)
    /// The line break after a chunk's data.
    case dataEnd(seen: Int)
    case trailer
    case done
  }

  private var state = State.chunkHeader
  private var line: [UInt8] = []
  private var signing: ChunkSigning?
  private var hash = StreamingSHA256()
  private var claimed: String?
  private let expectsTrailer: Bool
  private let announced: [String]
  private let decodedLength: Int64?
  private var produced: Int64 = 0
  private var trailerSignature: String?
  /// The trailing fields, names in lower case; complete after `finish()`.
  public private(set) var trailers: [(name: String, value: String)] = []

  /// A chunk header or trailer line beyond this many bytes is refused.
  public static let maximumLine = 2048
  public static let maximumTrailers = 32

  /// `signing`: nil for unsigned chunks. `announced`: the field names of `x-amz-trailer`. `decodedLength`: of `x-amz-decoded-content-length`.
  public init(signing: ChunkSigning?, expectsTrailer: Bool, announced: [String] = [], decodedLength: Int64? = nil) {
    self.signing = signing
    self.expectsTrailer = expectsTrailer
    self.announced = announced.map { asciiLowercased($0) }
    self.decodedLength = decodedLength
  }

  /// Takes the next bytes of the body and hands out the data among them.
  public mutating func consume(_ input: [UInt8], into emit: (ArraySlice<UInt8>) -> Void) throws(AWSChunkedProblem) {
    var i = 0
    while i < input.count {
      switch state {
      case .chunkHeader:
        i = try takeLine(input, from: i) { (decoder, line) throws(AWSChunkedProblem) in try decoder.beginChunk(line) }
      case .data(let left):
        let count = min(left, input.count - i)
        let slice = input[i..<i + count]
        if signing != nil { hash.update(slice) }
        produced += Int64(count)
        if let decodedLength, produced > decodedLength { throw .lengthMismatch(expected: decodedLength, got: produced) }
        emit(slice)
        i += count
        if count == left {
          try checkChunk()
          state = .dataEnd(seen: 0)
        } else {
          state = .data(left: left - count)
        }
      case .dataEnd(let seen):
        guard input[i] == (seen == 0 ? 0x0d : 0x0a) else { throw .malformed("a chunk's data are not followed by CRLF") }
        state = seen == 0 ? .dataEnd(seen: 1) : .chunkHeader
        i += 1
      case .trailer:
        i = try takeLine(input, from: i) { (decoder, line) throws(AWSChunkedProblem) in try decoder.takeTrailer(line) }
      case .done:
        // Some clients end the trailer with more than one empty line.
        guard input[i] == 0x0d || input[i] == 0x0a else { throw .malformed("bytes after the end of the body") }
        i += 1
      }
    }
  }

  /// The body has ended: throws unless it was whole and all signatures, lengths and announced trailers are right.
  public mutating func finish() throws(AWSChunkedProblem) {
    switch state {
    case .done: break
    case .trailer:
      // The empty line at the end may be missing.
      if !line.isEmpty { try takeTrailer(Self.withoutCR(line)) }
      line = []
      state = .done
    default: throw .incomplete
    }
    if let decodedLength, produced != decodedLength { throw .lengthMismatch(expected: decodedLength, got: produced) }
    for name in announced where !trailers.contains(where: { $0.name == name }) { throw .missingTrailer(name) }
    if signing != nil, expectsTrailer {
      guard let computed = signing?.trailer(trailers), let trailerSignature, constantTimeEqual(computed, trailerSignature) else {
        throw .signatureMismatch
      }
    }
  }

  // MARK: lines

  private mutating func takeLine(
    _ input: [UInt8], from start: Int,
    _ use: (inout AWSChunkedDecoder, [UInt8]) throws(AWSChunkedProblem) -> Void
  ) throws(AWSChunkedProblem) -> Int {
    var i = start
    while i < input.count && input[i] != 0x0a { i += 1 }
    guard line.count + i - start <= Self.maximumLine else { throw .malformed("a chunk header or trailer line is too long") }
    line += input[start..<i]
    guard i < input.count else { return i }
    let whole = Self.withoutCR(line)
    line = []
    try use(&self, whole)
    return i + 1
  }

  private static func withoutCR(_ line: [UInt8]) -> [UInt8] { line.last == 0x0d ? Array(line.dropLast()) : line }

  /// `hex-size[;chunk-signature=64 hex digits]`.
  private mutating func beginChunk(_ line: [UInt8]) throws(AWSChunkedProblem) {
    let parts = line.split(separator: 0x3b, omittingEmptySubsequences: false)
    var size = 0
    guard let digits = parts.first, (1...8).contains(digits.count) else { throw .malformed("a chunk's size is missing or too long") }
    for byte in digits {
      guard let value = Self.hexValue(byte) else { throw .malformed("a chunk's size is not hexadecimal") }
      size = size << 4 | value
    }
    claimed = nil
    for part in parts.dropFirst() {
      let text = String(decoding: part, as: UTF8.self)
      if text.hasPrefix("chunk-signature=") { claimed = String(text.dropFirst("chunk-signature=".count)) }
    }
    if signing != nil && claimed == nil { throw .malformed("a chunk has no chunk-signature") }
    hash = StreamingSHA256()
    if size > 0 {
      state = .data(left: size)
    } else {
      try checkChunk()
      state = .trailer
    }
  }

  private static func hexValue(_ byte: UInt8) -> Int? {
    switch byte {
    case 0x30...0x39: Int(byte) - 0x30
    case 0x41...0x46: Int(byte) - 0x37
    case 0x61...0x66: Int(byte) - 0x57
    default: nil
    }
  }

  private mutating func checkChunk() throws(AWSChunkedProblem) {
    guard signing != nil else { return }
    guard let computed = signing?.next(dataHash: hash.hexDigest), let claimed, constantTimeEqual(computed, claimed) else {
      throw .signatureMismatch
    }
  }

  private mutating func takeTrailer(_ line: [UInt8]) throws(AWSChunkedProblem) {
    if line.isEmpty {
      // With a trailer, an empty line may stand between the fields and their signature.
      if !expectsTrailer || (signing == nil ? true : trailerSignature != nil) { state = .done }
      return
    }
    guard expectsTrailer else { throw .malformed("a trailer nobody announced") }
    guard let colon = line.firstIndex(of: 0x3a), colon > 0 else { throw .malformed("a trailer line is not 'name:value'") }
    let name = asciiLowercased(String(decoding: line[..<colon], as: UTF8.self))
    var value = line[(colon + 1)...]
    while value.first == 0x20 || value.first == 0x09 { value = value.dropFirst() }
    while value.last == 0x20 || value.last == 0x09 { value = value.dropLast() }
    if name == "x-amz-trailer-signature" {
      trailerSignature = String(decoding: value, as: UTF8.self)
      return
    }
    guard trailerSignature == nil else { throw .malformed("a trailer after the trailer's signature") }
    guard trailers.count < Self.maximumTrailers else { throw .malformed("too many trailers") }
    trailers.append((name, String(decoding: value, as: UTF8.self)))
  }
}
