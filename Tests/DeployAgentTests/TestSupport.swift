import FoundationEssentials
import Glibc
import Logging
import RegionKit
import Synchronization
import XCTest

@testable import DeployAgent

/// A directory of its own for a test, removed at the end.
final class TestDirectory {
  let path: String
  init() {
    var template = Array("/tmp/deploy-agent-XXXXXX".utf8CString)
    let made = mkdtemp(&template)
    path = made.map { Disk.realPath(String(cString: $0)) ?? String(cString: $0) } ?? "/nonexistent"
  }
  deinit { try? Disk.removeTree(path) }

  func callAsFunction(_ relative: String) -> String { RelativePath.join(path, relative) }

  @discardableResult
  func write(_ relative: String, _ text: String, mode: mode_t = 0o644) throws -> String {
    let target = self(relative)
    try Disk.makeDirectories(RelativePath.parent(target))
    try Disk.replace(target, text)
    chmod(target, mode)
    return target
  }
  func read(_ relative: String) -> String? {
    (try? Disk.read(self(relative), limit: 1 << 26)).map { String(decoding: $0, as: UTF8.self) }
  }
}

/// SplitMix64: the same numbers for the same seed everywhere.
final class SeededRandomness: Randomness, Sendable {
  private let state: Mutex<UInt64>
  init(seed: UInt64) { state = Mutex(seed) }
  func next() -> UInt64 {
    state.withLock { s in
      s &+= 0x9e37_79b9_7f4a_7c15
      var z = s
      z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
      z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
      return z ^ (z >> 31)
    }
  }
  func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }
  func below(_ n: Int) -> Int { Int(next() % UInt64(max(1, n))) }
}

/// Wall time that a test moves; sleeps are real but short.
final class ManualClock: RegionClock, Sendable {
  private let time: Mutex<Date>
  init(_ seconds: Double = 1_700_000_000) { time = Mutex(Date(timeIntervalSince1970: seconds)) }
  func now() -> Date { time.withLock { $0 } }
  func advance(_ seconds: Double) { time.withLock { $0.addTimeInterval(seconds) } }
  func sleepReal(_ seconds: Double) async throws { advance(seconds) }
  func scaled(_ seconds: Double) -> Double { seconds }
}

let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Flips, inserts, removes and doubles bytes.
func mutated(_ bytes: [UInt8], _ random: SeededRandomness) -> [UInt8] {
  var out = bytes
  for _ in 0...random.below(6) {
    guard !out.isEmpty else { return out }
    let at = random.below(out.count)
    switch random.below(6) {
    case 0: out[at] ^= UInt8(1 << random.below(8))
    case 1: out[at] = UInt8(random.below(256))
    case 2: out.insert(UInt8(random.below(256)), at: at)
    case 3: out.removeSubrange(at..<min(out.count, at + 1 + random.below(8)))
    case 4:
      let piece = out[at..<min(out.count, at + 1 + random.below(24))]
      out.insert(contentsOf: piece, at: random.below(out.count))
    default: out = Array(out.prefix(at))
    }
  }
  return out
}

/// The JSON of a deployment specification, with a local directory or file as its revision.
func specification(
  _ deployment: String, group: String = "group-1", location: String, type: String = "directory", extra: String = ""
) -> [UInt8] {
  let kind = type == "directory" ? "Local Directory" : "Local File"
  return Array(
    """
    {"DeploymentId":"\(deployment)","DeploymentGroupId":"\(group)","DeploymentGroupName":"web","ApplicationName":"shop",\(extra)
     "Revision":{"RevisionType":"\(kind)","LocalRevision":{"Location":"\(location)","BundleType":"\(type)"}}}
    """.utf8)
}

extension Result {
  var failure: Failure? { if case .failure(let error) = self { error } else { nil } }
  var value: Success? { try? get() }
}
