import Crypto
import FoundationEssentials
import RegionKit

/// SSE-S3: bytes at rest are AES-256-GCM under a key of their own, which lies at the head of the file, wrapped by the region's key.
///
/// A file is 68 bytes of head (magic, nonce, wrapped key, tag) and frames of 64 KiB with a tag of 16 bytes each, so that a range
/// needs only its frames. A frame's nonce is its number, and its number and whether it is the last are authenticated: frames cannot
/// be swapped, dropped or cut off unseen.
struct Sealing: Sendable {
  private let regionKey: SymmetricKey
  private let random: any Randomness
  static let frameSize: Int64 = 65_536
  static let tagSize: Int64 = 16
  private static let magic = Array("RSSEAL1\n".utf8)
  static let headSize = Int64(8 + 12 + 32 + 16)

  /// `key` is 32 bytes.
  init(key: [UInt8], random: any Randomness) {
    regionKey = SymmetricKey(data: key)
    self.random = random
  }

  private func freshNonce() throws -> AES.GCM.Nonce { try AES.GCM.Nonce(data: random.bytes(12)) }

  // MARK: Small objects

  /// Seals bytes that lie in a row; `id` binds them to it.
  func seal(_ bytes: [UInt8], id: String) throws -> [UInt8] {
    guard let combined = try AES.GCM.seal(bytes, using: regionKey, nonce: freshNonce(), authenticating: Array(id.utf8)).combined else {
      throw AWSError.internalFailure("The bytes of an object could not be encrypted.")
    }
    return Array(combined)
  }

  func open(_ sealed: [UInt8], id: String) throws -> [UInt8] {
    do {
      return Array(try AES.GCM.open(try AES.GCM.SealedBox(combined: sealed), using: regionKey, authenticating: Array(id.utf8)))
    } catch { throw Self.damaged(error) }
  }

  // MARK: Files

  /// The sealed form of a stream.
  func sealing(_ body: ByteStream) throws -> ByteStream {
    let key = SymmetricKey(data: random.bytes(32))
    let wrapped = try AES.GCM.seal(key.withUnsafeBytes { Array($0) }, using: regionKey, nonce: freshNonce(), authenticating: Self.magic)
    guard let combined = wrapped.combined else { throw AWSError.internalFailure("The key of an object could not be encrypted.") }
    let source = SealingSource(body, key: key, head: Self.magic + Array(combined))
    let length = body.length.map { Self.sealedSize($0) }
    return ByteStream(length: length) { try await source.next() }
  }

  /// The size of the file that holds `size` bytes. An empty content has one empty frame.
  static func sealedSize(_ size: Int64) -> Int64 { headSize + size + tagSize * frames(size) }
  static func frames(_ size: Int64) -> Int64 { max(1, (size + frameSize - 1) / frameSize) }

  /// The bytes `range` of a sealed file that holds `size` bytes. `read` opens a range of the file.
  func opening(
    size: Int64, range: Range<Int64>, _ read: @Sendable (Range<Int64>) async throws -> ByteStream
  ) async throws -> ByteStream {
    let key = try contentKey(try await read(0..<Self.headSize).collect(limit: Int(Self.headSize)))
    let first = range.lowerBound / Self.frameSize
    let last = max(first, (range.upperBound - 1) / Self.frameSize)
    let step = Self.frameSize + Self.tagSize
    let end = min(Self.sealedSize(size), Self.headSize + (last + 1) * step)
    let source = OpeningSource(
      try await read((Self.headSize + first * step)..<end), key: key, frame: first, lastFrame: Self.frames(size) - 1,
      skip: Int(range.lowerBound - first * Self.frameSize), count: range.upperBound - range.lowerBound)
    return ByteStream(length: range.upperBound - range.lowerBound) { try await source.next() }
  }

  private func contentKey(_ head: [UInt8]) throws -> SymmetricKey {
    do {
      guard head.count == Int(Self.headSize), head.starts(with: Self.magic) else { throw CryptoKitError.incorrectParameterSize }
      let box = try AES.GCM.SealedBox(combined: Array(head.dropFirst(Self.magic.count)))
      return SymmetricKey(data: try AES.GCM.open(box, using: regionKey, authenticating: Self.magic))
    } catch { throw Self.damaged(error) }
  }

  fileprivate static func nonce(_ frame: Int64) throws -> AES.GCM.Nonce {
    try AES.GCM.Nonce(data: [0, 0, 0, 0] + ChecksumState.bigEndian(UInt64(frame), 8))
  }
  fileprivate static func associated(_ frame: Int64, isLast: Bool) -> [UInt8] {
    ChecksumState.bigEndian(UInt64(frame), 8) + [isLast ? 1 : 0]
  }
  fileprivate static func damaged(_ error: any Error) -> AWSError {
    .internalFailure("Stored bytes are damaged or were encrypted by another region; `roadstead doctor --scrub` names them.", cause: error)
  }
}

/// Cuts a stream into frames and seals them. Read by one task at a time.
private final class SealingSource: @unchecked Sendable {
  private var iterator: ByteStream.AsyncIterator
  private let key: SymmetricKey
  private var head: [UInt8]?
  private var held: [UInt8] = []
  private var frame: Int64 = 0
  private var ended = false

  init(_ body: ByteStream, key: SymmetricKey, head: [UInt8]) {
    iterator = body.makeAsyncIterator()
    self.key = key
    self.head = head
  }

  func next() async throws -> [UInt8]? {
    if let head {
      self.head = nil
      return head
    }
    if ended { return nil }
    let size = Int(Sealing.frameSize)
    // A full frame is sealed only once more has come: until then it may be the last.
    while held.count <= size {
      guard let piece = try await iterator.next() else {
        ended = true
        break
      }
      held += piece
    }
    var out: [UInt8] = []
    var start = 0
    while held.count - start > size {
      try seal(Array(held[start..<(start + size)]), isLast: false, &out)
      start += size
    }
    if ended {
      try seal(Array(held[start...]), isLast: true, &out)
      held = []
    } else {
      held = Array(held[start...])
    }
    return out
  }

  private func seal(_ bytes: [UInt8], isLast: Bool, _ out: inout [UInt8]) throws {
    let box = try AES.GCM.seal(
      bytes, using: key, nonce: try Sealing.nonce(frame), authenticating: Sealing.associated(frame, isLast: isLast))
    out += box.ciphertext
    out += box.tag
    frame += 1
  }
}

/// Opens frames and hands out the bytes asked for. Read by one task at a time.
private final class OpeningSource: @unchecked Sendable {
  private var iterator: ByteStream.AsyncIterator
  private let key: SymmetricKey
  private var frame: Int64
  private let lastFrame: Int64
  private var skip: Int
  private var left: Int64
  private var held: [UInt8] = []
  private var ended = false

  init(_ sealed: ByteStream, key: SymmetricKey, frame: Int64, lastFrame: Int64, skip: Int, count: Int64) {
    iterator = sealed.makeAsyncIterator()
    self.key = key
    self.frame = frame
    self.lastFrame = lastFrame
    self.skip = skip
    left = count
  }

  func next() async throws -> [UInt8]? {
    guard left > 0 else { return nil }
    let step = Int(Sealing.frameSize + Sealing.tagSize)
    while held.count < step, !ended {
      guard let piece = try await iterator.next() else {
        ended = true
        break
      }
      held += piece
    }
    var out: [UInt8] = []
    var start = 0
    while held.count - start >= step || (ended && held.count > start) {
      let end = min(held.count, start + step)
      out += try open(held[start..<end])
      start = end
    }
    held = Array(held[start...])
    guard !out.isEmpty else { throw Sealing.damaged(CryptoKitError.incorrectParameterSize) }
    let from = min(skip, out.count)
    skip -= from
    let wanted = Array(out[from..<min(out.count, from + Int(min(left, Int64(out.count))))])
    left -= Int64(wanted.count)
    return wanted
  }

  private func open(_ sealed: ArraySlice<UInt8>) throws -> Data {
    do {
      guard sealed.count >= Int(Sealing.tagSize) else { throw CryptoKitError.incorrectParameterSize }
      let box = try AES.GCM.SealedBox(
        nonce: try Sealing.nonce(frame), ciphertext: sealed.dropLast(Int(Sealing.tagSize)), tag: sealed.suffix(Int(Sealing.tagSize)))
      let bytes = try AES.GCM.open(box, using: key, authenticating: Sealing.associated(frame, isLast: frame == lastFrame))
      frame += 1
      return bytes
    } catch { throw Sealing.damaged(error) }
  }
}
