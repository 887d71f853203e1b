import ContentStore
import Foundation
import RegionKit
import RoadsteadTesting
import XCTest

private func bytes(_ count: Int, seed: UInt64) -> [UInt8] {
  var generator = SeededGenerator(seed: seed)
  let words = (0..<(count / 8 + 1)).map { _ in generator.next() }
  return words.withUnsafeBytes { Array($0.prefix(count)) }
}

/// Content as it may arrive: in pieces of any size, empty ones too.
private func stream(_ content: [UInt8], seed: UInt64, largest: Int = 200_000, failingAt: Int? = nil) -> ByteStream {
  let box = Box(content, SeededGenerator(seed: seed))
  return ByteStream(length: Int64(content.count)) {
    if let failingAt, box.offset >= failingAt { throw Broken() }
    return box.next(largest)
  }
}
private struct Broken: Error {}
private final class Box: @unchecked Sendable {
  let content: [UInt8]
  var generator: SeededGenerator
  var offset = 0
  init(_ content: [UInt8], _ generator: SeededGenerator) { (self.content, self.generator) = (content, generator) }
  func next(_ largest: Int) -> [UInt8]? {
    if offset >= content.count { return nil }
    let count = min(generator.below(largest + 1), content.count - offset)
    defer { offset += count }
    return Array(content[offset..<(offset + count)])
  }
}

final class ContentStoreTests: XCTestCase {
  private func store(_ folder: TemporaryFolder) throws -> ContentStore {
    try ContentStore(directory: folder.path + "/content", randomness: SystemRandomness())
  }
  private func read(_ store: ContentStore, _ id: ContentID, _ range: Range<Int64>? = nil) async throws -> [UInt8] {
    try await store.open(id, range: range).collect(limit: .max)
  }

  func testWhatIsWrittenIsReadWithItsDigests() async throws {
    let folder = try TemporaryFolder()
    let store = try store(folder)
    for (number, size) in [0, 1, 4_096, 524_287, 524_288, 524_289, 1_300_000].enumerated() {
      let content = bytes(size, seed: UInt64(number))
      let written = try await store.write(
        stream(content, seed: UInt64(number)), hashers: ["m": DigestHasher.md5, "s": DigestHasher.sha256, "1": DigestHasher.sha1])
      XCTAssertEqual(written.length, Int64(size))
      XCTAssertEqual(written.digests.mapValues(\.count), ["m": 16, "s": 32, "1": 20])
      let read = try await read(store, written.id)
      XCTAssertTrue(read == content, "\(size) bytes")
      var generator = SeededGenerator(seed: 9)
      for _ in 0..<20 where size > 0 {
        let low = generator.below(size)
        let high = low + generator.below(size - low + 1)
        let part = try await self.read(store, written.id, Int64(low)..<Int64(high))
        XCTAssertTrue(part == Array(content[low..<high]), "\(low)..<\(high) of \(size)")
      }
    }
    let known = try await store.write(ByteStream(Array("abc".utf8)), hashers: ["m": DigestHasher.md5])
    XCTAssertEqual(
      known.digests["m"]?.map { String($0, radix: 16) }.joined(), "90150983cd24fb0d6963f7d28e17f72", "MD5 of abc, RFC 1321")
  }

  func testABrokenStreamOrARefusalLeavesNothing() async throws {
    let folder = try TemporaryFolder()
    let store = try store(folder)
    for failingAt in [0, 100_000, 1_200_000] {
      do {
        _ = try await store.write(stream(bytes(1_300_000, seed: 1), seed: 2, failingAt: failingAt))
        XCTFail("a broken stream was stored")
      } catch is Broken {}
    }
    do {
      _ = try await store.write(ByteStream([1, 2, 3])) { written in
        XCTAssertEqual(written.length, 3)
        throw Broken()
      }
      XCTFail("a refused content was stored")
    } catch is Broken {}
    let left = try FileManager.default.subpathsOfDirectory(atPath: folder.path + "/content").filter { $0.count > 3 }
    XCTAssertEqual(left, [])
  }

  func testDeletingListingAndMissing() async throws {
    let folder = try TemporaryFolder()
    let store = try store(folder)
    var ids: Set<ContentID> = []
    for number in 0..<40 { ids.insert(try await store.write(ByteStream(bytes(number, seed: 3))).id) }
    var found: [ContentEntry] = []
    for shard in 0..<256 { found += try await store.list(shard: shard) }
    XCTAssertEqual(Set(found.map(\.id)), ids)
    XCTAssertEqual(found.map(\.length).sorted(), (0..<40).map(Int64.init))
    let gone = try XCTUnwrap(ids.first)
    let large = try await store.write(ByteStream(bytes(2_000_000, seed: 4))).id
    let reading = try await store.open(large)
    try await store.delete([gone, gone, large])
    let content = try await reading.collect(limit: .max)
    XCTAssertEqual(content.count, 2_000_000, "an open content is read to its end")
    do {
      _ = try await store.open(gone)
      XCTFail("a deleted content was opened")
    } catch let missing as ContentMissing { XCTAssertEqual(missing.id, gone) }
    do {
      let some = try XCTUnwrap(ids.subtracting([gone]).first)
      _ = try await store.open(some, range: 0..<1_000)
      XCTFail("a range outside was read")
    } catch is ContentRangeError {}
  }

  func testPartsReadAndJoinAsOne() async throws {
    let folder = try TemporaryFolder()
    let store = try store(folder)
    let contents = (0..<45).map { bytes([0, 1, 700_000, 5_000, 40_000][$0 % 5], seed: UInt64($0)) }
    var parts: [ContentPart] = []
    for content in contents {
      parts.append(ContentPart(id: try await store.write(ByteStream(content)).id, length: Int64(content.count)))
    }
    let whole = Array(contents.joined())
    let joined = try await store.concatenate(parts.map(\.id))
    XCTAssertEqual(joined.length, Int64(whole.count))
    let read = try await read(store, joined.id)
    XCTAssertTrue(read == whole)
    let asOne = try await store.open(parts).collect(limit: .max)
    XCTAssertTrue(asOne == whole)
    var generator = SeededGenerator(seed: 5)
    for _ in 0..<50 {
      let low = generator.below(whole.count)
      let high = low + generator.below(whole.count - low + 1)
      let part = try await store.open(parts, range: Int64(low)..<Int64(high))
      XCTAssertEqual(part.length, Int64(high - low))
      let bytes = try await part.collect(limit: .max)
      XCTAssertTrue(bytes == Array(whole[low..<high]), "\(low)..<\(high)")
    }
  }

  func testIdsCannotLeaveTheDirectory() {
    for text in ["", "../../../../etc/passwd", String(repeating: "A", count: 32), String(repeating: "a", count: 31) + "/"] {
      XCTAssertNil(ContentID(rawValue: text), text)
    }
  }
}

/// The order of write, sync, rename and directory sync, proven by taking the power away at every single call.
final class ContentDurabilityTests: XCTestCase {
  private func story(_ store: ContentStore, _ kept: inout [ContentID: [UInt8]]) async throws {
    for number in 0..<4 {
      let content = bytes([0, 300, 4_096, 540_000][number], seed: UInt64(number + 1))
      // As a row would be: only once `write` has returned.
      kept[try await store.write(ByteStream(content)).id] = content
    }
    let ids = kept.sorted { $0.value.count < $1.value.count }.map(\.key)
    let joined = try await store.concatenate(ids)
    kept[joined.id] = ids.flatMap { kept[$0] ?? [] }
  }

  /// Contents that were answered and are lost or changed after the power was cut after the given call.
  private func losses(cutAfter calls: Int, seed: UInt64, _ change: (LossyFileLayer) -> Void = { _ in }) async throws -> [String] {
    let layer = LossyFileLayer(seed: seed)
    change(layer)
    var kept: [ContentID: [UInt8]] = [:]
    layer.powerFailsAfter = calls
    do {
      try await story(try ContentStore(directory: "/c", randomness: SeededRandomness(seed: 1), layer: layer), &kept)
    } catch is FileError {}
    layer.crash()
    let store = try ContentStore(directory: "/c", randomness: SeededRandomness(seed: 2), layer: layer)
    var losses = layer.temporaryFiles
    for (id, content) in kept {
      let read = try? await store.open(id).collect(limit: .max)
      if read != content { losses.append("\(id) of \(content.count) bytes, cut after call \(calls), seed \(seed)") }
    }
    return losses
  }
  private func calls() async throws -> ClosedRange<Int> {
    let layer = LossyFileLayer(seed: 0)
    let store = try ContentStore(directory: "/c", randomness: SeededRandomness(seed: 1), layer: layer)
    let opened = layer.callCount
    var nothing: [ContentID: [UInt8]] = [:]
    try await story(store, &nothing)
    return (opened - 3)...layer.callCount
  }

  func testWhatWasAnsweredSurvivesAPowerCutAtEveryCall() async throws {
    for calls in try await calls() {
      for seed in 1...3 as ClosedRange<UInt64> {
        let losses = try await losses(cutAfter: calls, seed: seed)
        XCTAssertEqual(losses, [])
      }
    }
  }

  /// The proof above has teeth: a disk that does not do one of the two syncs is found out.
  func testALeftOutSyncWouldBeNoticed() async throws {
    let calls = try await calls()
    var (withoutFile, withoutDirectory) = (0, 0)
    for seed in 1...8 as ClosedRange<UInt64> {
      withoutFile += try await losses(cutAfter: calls.upperBound, seed: seed) { $0.ignoresFileSync = true }.count
      withoutDirectory += try await losses(cutAfter: calls.upperBound, seed: seed) { $0.ignoresDirectorySync = true }.count
    }
    XCTAssertGreaterThan(withoutFile, 0)
    XCTAssertGreaterThan(withoutDirectory, 0)
  }

  func testAFullDiskFailsOneWriteAndLeavesNothing() async throws {
    let dry = LossyFileLayer(seed: 0)
    let content = bytes(900_000, seed: 1)
    let before = try ContentStore(directory: "/c", randomness: SeededRandomness(seed: 1), layer: dry)
    let start = dry.callCount
    _ = try await before.write(ByteStream(content))
    for call in (start + 1)...(dry.callCount) {
      let layer = LossyFileLayer(seed: 1)
      let store = try ContentStore(directory: "/c", randomness: SeededRandomness(seed: 1), layer: layer)
      layer.fullAt = call
      do {
        _ = try await store.write(ByteStream(content))
        XCTFail("call \(call) failed and the write did not")
      } catch let error as FileError { XCTAssertEqual(error.code, 28) }
      XCTAssertEqual(layer.temporaryFiles, [])
      let again = try await store.write(ByteStream(content))
      let read = try await store.open(again.id).collect(limit: .max)
      XCTAssertTrue(read == content)
    }
  }
}
