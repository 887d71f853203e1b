import Glibc
import XCTest

@testable import DeployAgent

final class ExtractionTests: XCTestCase {
  private let directory = TestDirectory()
  private typealias Entry = Archives.Entry

  /// Unpacks and answers the error's text, or nil.
  private func extract(
    _ bytes: [UInt8], _ type: DeploymentSpecification.BundleType = .tar, limits: ArchiveLimits = ArchiveLimits()
  ) throws -> String? {
    let bundle = directory("box/bundle.tar")
    try Disk.makeDirectories(directory("box"))
    unlink(bundle)
    let fd = open(bundle, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    defer { close(fd) }
    try Disk.writeAll(fd, bytes, bundle)
    do {
      try BundleExtractor(limits: limits).extract(bundle, type: type, to: directory("box/out"))
      return nil
    } catch { return "\(error)" }
  }

  /// Nothing of a refused bundle may be left, inside or outside.
  private func assertRefused(
    _ bytes: [UInt8], _ type: DeploymentSpecification.BundleType = .tar, says: String, limits: ArchiveLimits = ArchiveLimits(),
    file: StaticString = #filePath, line: UInt = #line
  ) throws {
    let error = try extract(bytes, type, limits: limits)
    XCTAssertTrue(error?.contains(says) ?? false, "\(error ?? "accepted")", file: file, line: line)
    XCTAssertEqual(try Disk.names(directory("box")), ["bundle.tar"], file: file, line: line)
    XCTAssertEqual(try Disk.names(directory.path), ["box"], file: file, line: line)
  }

  private let ordinary = [
    Entry("appspec.yml", "version: 0.0\nos: linux\n"), Entry("scripts/", type: "5", mode: 0o755),
    Entry("scripts/a.sh", "#!/bin/sh\n", mode: 0o755), Entry("deep/er/file", "x"), Entry("link", type: "2", link: "deep/er/file"),
    Entry("dangling", type: "2", link: "not/there"),
  ]

  func testTarTgzAndZipUnpackAlike() throws {
    let cases: [([UInt8], DeploymentSpecification.BundleType)] = [
      (Archives.tar(ordinary), .tar), (Archives.gzip(Archives.tar(ordinary)), .tgz), (Archives.zip(ordinary), .zip),
      (Archives.gzip(Archives.tar(ordinary)), .tar),
    ]
    for (bytes, type) in cases {
      XCTAssertNil(try extract(bytes, type), "\(type)")
      XCTAssertEqual(directory.read("box/out/deep/er/file"), "x")
      XCTAssertEqual(directory.read("box/out/link"), "x")
      XCTAssertEqual(try Disk.readLink(directory("box/out/dangling")), "not/there")
      XCTAssertEqual(Disk.permissions(directory("box/out/scripts/a.sh")), 0o755, "\(type)")
    }
  }

  func testASingleWrappingDirectoryIsStripped() throws {
    XCTAssertNil(try extract(Archives.tar([Entry("shop-1.0/AppSpec.yml", "v"), Entry("shop-1.0/x", "1")])))
    XCTAssertEqual(try Disk.names(directory("box/out")), ["AppSpec.yml", "x"])
    XCTAssertNil(try extract(Archives.tar([Entry("shop/x", "1")])))
    XCTAssertEqual(try Disk.names(directory("box/out")), ["shop"])
    XCTAssertNil(try extract(Archives.tar([Entry("shop/appspec.yml", "1"), Entry("other", "1")])))
    XCTAssertEqual(try Disk.names(directory("box/out")), ["other", "shop"])
    // A link that stays inside the archive but not inside what is left of it.
    try assertRefused(
      Archives.tar([Entry("shop/appspec.yml", "1"), Entry("shop/up", type: "2", link: "../shop/appspec.yml")]), says: "outside")
  }

  func testNothingLeavesTheDirectory() throws {
    for (entries, says) in [
      ([Entry("../evil", "x")], "leads outside"), ([Entry("a/../../evil", "x")], "leads outside"),
      ([Entry("/etc/evil", "x")], "leads outside"), ([Entry("a/../b", "x")], "leads outside"),
      ([Entry("out", type: "2", link: "/etc/passwd")], "points outside"),
      ([Entry("out", type: "2", link: "../bundle.tar")], "points outside"),
      ([Entry("d/out", type: "2", link: "../../bundle.tar")], "points outside"),
      // The second link looks harmless by its letters: d/.. is the archive's parent only because d is a link to the top.
      ([Entry("d", type: "2", link: "."), Entry("out", type: "2", link: "d/../bundle.tar")], "points outside"),
      ([Entry("s/t/x", "1"), Entry("d", type: "2", link: "s/t"), Entry("e", type: "2", link: "d/../../../bundle.tar")], "points outside"),
      ([Entry("loop", type: "2", link: "loop")], "points outside"),
    ] {
      try assertRefused(Archives.tar(entries), says: says)
      try assertRefused(Archives.zip(entries), .zip, says: says)
    }
    try assertRefused(Archives.tar([Entry("h", type: "1", link: "../bundle.tar")]), says: "leads outside")
    try assertRefused(Archives.tar([Entry("h", type: "1", link: "missing")]), says: "names no file of the bundle")
    try assertRefused(Archives.tar([Entry("dev", type: "3")]), says: "device, pipe or socket")
    try assertRefused(Archives.tar([Entry("pipe", type: "6")]), says: "device, pipe or socket")
  }

  func testWritingThroughALinkIsImpossible() throws {
    // A link first, then a file "inside" it.
    try assertRefused(
      Archives.tar([Entry("d", type: "2", link: "/tmp"), Entry("d/evil-\(getpid())", "x")]), says: "cannot be made")
    XCTAssertFalse(Disk.exists("/tmp/evil-\(getpid())"))
    try assertRefused(
      Archives.tar([Entry("f", type: "2", link: "../bundle.tar"), Entry("h", type: "1", link: "f")]), says: "names no file")
  }

  func testTheLaterOfTwoEqualNamesCounts() throws {
    XCTAssertNil(try extract(Archives.tar([Entry("a", "1"), Entry("a", "22"), Entry("h", type: "1", link: "a")])))
    XCTAssertEqual(directory.read("box/out/a"), "22")
    XCTAssertEqual(directory.read("box/out/h"), "22")
    try assertRefused(Archives.tar([Entry("a", "1"), Entry("a/b", "2")]), says: "both a file and a directory")
  }

  func testLimits() throws {
    let big = Archives.tar([Entry("a", String(repeating: "x", count: 5000)), Entry("b", "y")])
    try assertRefused(big, says: "more than 4999 bytes", limits: ArchiveLimits(totalBytes: 4999))
    try assertRefused(big, says: "more than 1 entries", limits: ArchiveLimits(entries: 1))
    try assertRefused(Archives.tar([Entry("a/b/c", "y")]), says: "too deeply", limits: ArchiveLimits(depth: 2))
  }

  func testDamagedArchivesAreRefusedWhole() throws {
    let tar = Archives.tar(ordinary)
    try assertRefused(Array("this is no archive".utf8), .zip, says: "not an intact zip archive")
    try assertRefused(Array(repeating: 0x41, count: 2000), says: "not an intact tar archive")
    try assertRefused(Array(tar.prefix(1300)), says: "not an intact tar archive")
    try assertRefused(Array(Archives.gzip(tar).prefix(900)), .tgz, says: "not an intact tar archive")
    try assertRefused([], .zip, says: "not an intact zip archive")
    var zip = Archives.zip([Entry("a", "hello")])
    zip[31 + 2] ^= 0xff
    try assertRefused(zip, .zip, says: "not an intact zip archive")
  }

  func testMutatedArchivesNeverLeaveTheDirectory() throws {
    let random = SeededRandomness(seed: 11)
    let hostile = ordinary + [Entry("x", type: "1", link: "appspec.yml")]
    let seeds: [([UInt8], DeploymentSpecification.BundleType)] = [
      (Archives.tar(hostile), .tar), (Archives.zip(hostile), .zip), (Archives.gzip(Archives.tar(ordinary)), .tgz),
    ]
    var unpacked = 0
    for round in 0..<1500 {
      let (bytes, type) = seeds[round % seeds.count]
      if try extract(mutated(bytes, random), type, limits: ArchiveLimits(totalBytes: 1 << 20, entries: 1000)) == nil {
        unpacked += 1
        XCTAssertNoThrow(try LinkCheck(root: directory("box/out")).check(), "round \(round)")
        try Disk.removeTree(directory("box/out"))
      }
      XCTAssertEqual(try Disk.names(directory("box")), ["bundle.tar"], "round \(round)")
      XCTAssertEqual(try Disk.names(directory.path), ["box"], "round \(round)")
    }
    XCTAssertGreaterThan(unpacked, 20)
  }
}
