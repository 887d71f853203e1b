import FoundationEssentials
import Glibc
import RegionKit
import XCTest

@testable import DeployAgent

final class InstallTests: XCTestCase {
  private let directory = TestDirectory()
  private func run() -> LocalRun { LocalRun(rootDir: directory("root"), clock: SystemClock(), logger: silent) }

  /// Path to kind, mode and content of everything below a directory.
  private func snapshot(_ root: String) throws -> [String: String] {
    var out: [String: String] = [:]
    func walk(_ path: String) throws {
      for name in try Disk.names(path) {
        let here = RelativePath.join(path, name)
        let mode = String(Disk.permissions(here) ?? 0, radix: 8)
        switch Disk.kind(here) {
        case .directory:
          out[here] = "directory \(mode)"
          try walk(here)
        case .symlink: out[here] = "link \(try Disk.readLink(here))"
        default: out[here] = "file \(mode) " + String(decoding: try Disk.read(here, limit: 1 << 20), as: UTF8.self)
        }
      }
    }
    try walk(root)
    return out
  }

  private func deploy(_ id: String, _ behavior: String = "") async -> Diagnostics {
    let extra = behavior.isEmpty ? "" : #""AgentActionOverrides":{"AgentOverrides":{"FileExistsBehavior":"\#(behavior)"}},"#
    let spec = specification(id, location: directory("rev-\(id)"), extra: extra)
    let downloaded = await run().run("DownloadBundle", specification: spec)
    guard downloaded.code == .success else { return downloaded }
    return await run().run("Install", specification: spec)
  }

  private func revision(_ id: String, _ files: [String: String], appspec: String) throws {
    for (name, text) in files { try directory.write("rev-\(id)/\(name)", text) }
    try directory.write("rev-\(id)/appspec.yml", "version: 0.0\nos: linux\n" + appspec)
  }

  func testInstallPointersInstructionsAndTheNextInstallRemovesTheFirst() async throws {
    try directory.write("srv/own.txt", "mine")
    let spec = "files:\n  - {source: app, destination: \(directory("srv/app"))}"
    try revision("d-1", ["app/a": "1", "app/sub/b": "1"], appspec: spec)
    try revision("d-2", ["app/a": "2"], appspec: spec)
    let first = await deploy("d-1")
    XCTAssertEqual(first, .succeeded, first.message)
    XCTAssertEqual(directory.read("srv/app/sub/b"), "1")
    XCTAssertEqual(directory.read("root/deployment-instructions/group-1_last_successful_install"), directory("root/group-1/d-1"))
    XCTAssertEqual(directory.read("root/deployment-instructions/group-1_most_recent_install"), directory("root/group-1/d-1"))
    XCTAssertEqual(
      directory.read("root/deployment-instructions/group-1-cleanup"),
      ["srv/app", "srv/app/a", "srv/app/sub", "srv/app/sub/b"].map { directory($0) + "\n" }.joined())
    XCTAssertTrue(directory.read("root/deployment-instructions/group-1-install.json")?.hasPrefix(#"{"instructions":[{"#) ?? false)
    try directory.write("srv/app/users-own", "keep")
    let second = await deploy("d-2")
    XCTAssertEqual(second, .succeeded, second.message)
    XCTAssertEqual(directory.read("srv/app/a"), "2")
    XCTAssertEqual(try Disk.names(directory("srv/app")), ["a", "users-own"])
    XCTAssertEqual(directory.read("srv/own.txt"), "mine")
  }

  func testAConflictIsReportedAndOverwriteAndRetainWork() async throws {
    try directory.write("srv/a", "old")
    try revision("d-1", ["a": "new"], appspec: "files:\n  - {source: a, destination: \(directory("srv"))}")
    let refused = await deploy("d-1")
    XCTAssertEqual(refused.code, .unknown)
    XCTAssertEqual(
      refused.message, "The deployment failed because a specified file already exists at this location: \(directory("srv/a"))")
    let retained = await deploy("d-1", "retain")
    XCTAssertEqual(retained, .succeeded, retained.message)
    XCTAssertEqual(directory.read("srv/a"), "old")
    let overwritten = await deploy("d-1", "OVERWRITE")
    XCTAssertEqual(overwritten, .succeeded, overwritten.message)
    XCTAssertEqual(directory.read("srv/a"), "new")
  }

  func testOverwriteReplacesALinkAndNotWhatItPointsTo() async throws {
    let outside = try directory.write("outside/precious", "precious")
    try Disk.makeDirectories(directory("srv"))
    XCTAssertEqual(symlink(outside, directory("srv/a")), 0)
    try revision("d-1", ["a": "new"], appspec: "files:\n  - {source: a, destination: \(directory("srv"))}")
    let done = await deploy("d-1", "OVERWRITE")
    XCTAssertEqual(done, .succeeded, done.message)
    XCTAssertEqual(directory.read("outside/precious"), "precious")
    XCTAssertEqual(directory.read("srv/a"), "new")
  }

  func testMissingSourceUnknownOwnerAndMissingProgram() async throws {
    try revision("d-1", [:], appspec: "files:\n  - {source: nope, destination: \(directory("srv"))}")
    let missing = await deploy("d-1")
    XCTAssertTrue(missing.message.hasPrefix("No such file or directory"), missing.message)
    let object = "\npermissions:\n  - {object: \(directory("srv/a")), "
    let files = "files:\n  - {source: a, destination: \(directory("srv"))}"
    try revision("d-2", ["a": "1"], appspec: files + object + "owner: nobody-of-that-name}")
    let owner = await deploy("d-2")
    XCTAssertEqual(owner.message, "can't find user for nobody-of-that-name")
    try revision("d-3", ["a": "1"], appspec: files + object + "acls: ['u:root:rw']}")
    let spec = specification("d-3", location: directory("rev-d-3"))
    let bare = LocalRun(
      rootDir: directory("root"), tools: SystemTools(searchPath: [directory("no-bin")]), clock: SystemClock(), logger: silent)
    _ = await bare.run("DownloadBundle", specification: spec)
    let acl = await bare.run("Install", specification: spec)
    XCTAssertTrue(acl.message.contains("setfacl, which this host does not have"), acl.message)
  }

  func testAccessControlListsAndContextsGoThroughTheHostsPrograms() async throws {
    for program in ["setfacl", "semanage", "restorecon"] {
      try directory.write("bin/\(program)", "#!/bin/sh\necho \(program) \"$@\" >> \(directory("calls"))\n", mode: 0o755)
    }
    let agent = LocalRun(
      rootDir: directory("root"), tools: SystemTools(searchPath: [directory("bin")]), clock: SystemClock(), logger: silent)
    try revision(
      "d-1", ["a.b": "1"],
      appspec: """
        files:
          - {source: a.b, destination: \(directory("srv"))}
        permissions:
          - {object: \(directory("srv/a.b")), mode: "640", acls: ["u:bob:rw"], context: {name: u_u, type: t_t, range: s0}}
        """)
    let spec = specification("d-1", location: directory("rev-d-1"))
    for command in ["DownloadBundle", "Install", "Install"] {
      let result = await agent.run(command, specification: spec)
      XCTAssertEqual(result, .succeeded, result.message)
    }
    let file = directory("srv/a.b")
    let install = """
      setfacl --set u:bob:rw-,u::rw-,g::r--,o::---,m::r-- -- \(file)
      semanage fcontext -a -s u_u -t t_t -r s0 \(file.replacing(".", with: "\\."))
      restorecon -v \(file)

      """
    XCTAssertEqual(
      directory.read("calls"), install + "semanage fcontext -d \(file.replacing(".", with: "\\."))\n" + install)
  }

  func testModesAndLinksAreKept() async throws {
    try revision("d-1", ["app/x": "1"], appspec: "files:\n  - {source: app, destination: \(directory("srv"))}")
    chmod(directory("rev-d-1/app/x"), 0o751)
    symlink("x", directory("rev-d-1/app/l"))
    symlink("nowhere", directory("rev-d-1/app/dangling"))
    let done = await deploy("d-1")
    XCTAssertEqual(done, .succeeded, done.message)
    XCTAssertEqual(Disk.permissions(directory("srv/x")), 0o751)
    XCTAssertEqual(try Disk.readLink(directory("srv/l")), "x")
    XCTAssertEqual(try Disk.readLink(directory("srv/dangling")), "nowhere")
  }

  /// Random trees over random existing files: what an Install made, the cleanup takes away, and nothing else ever changes.
  func testInstallThenCleanupRestores() throws {
    for seed in 0..<60 {
      let random = SeededRandomness(seed: UInt64(seed))
      let box = TestDirectory()
      func path() -> String { (0...random.below(3)).map { _ in String("abcd".randomElement(random)) }.joined(separator: "/") }
      for root in ["archive/src", "dest/in", "elsewhere"] {
        try Disk.makeDirectories(box(root))
        for _ in 0..<random.below(8) { _ = try? box.write("\(root)/\(path())", "\(root) \(random.below(1000))") }
      }
      let before = try snapshot(box.path)
      var spec = AppSpec()
      spec.files = [AppSpec.File(source: "src", destination: box("dest/in"))]
      let plan: InstallPlan
      do {
        plan = try InstallPlanner(
          archive: box("archive"), files: LocalFiles(), fileExistsBehavior: random.below(2) == 0 ? "DISALLOW" : "RETAIN"
        ).plan(spec)
      } catch {
        XCTAssertTrue("\(error)".contains("exists"), "\(error)")
        XCTAssertEqual(try snapshot(box.path), before, "seed \(seed): planning changed something")
        continue
      }
      try InstallExecutor(tools: SystemTools()).execute(plan, cleanupFile: box("archive/cleanup"))
      let after = try snapshot(box.path)
      for (path, what) in before { XCTAssertEqual(after[path], what, "seed \(seed)") }
      for path in after.keys where before[path] == nil && path != box("archive/cleanup") {
        XCTAssertTrue(path.hasPrefix(box("dest/in") + "/"), "seed \(seed): \(path) is outside of the destination")
      }
      try CleanupFile.run(box("archive/cleanup"), tools: SystemTools())
      XCTAssertEqual(try snapshot(box.path), before, "seed \(seed)")
    }
  }

  /// A crash may come after any byte of the cleanup file; the next Install still removes what is listed completely.
  func testAnUnfinishedCleanupFileIsTakenAsFarAsItGoes() throws {
    XCTAssertEqual(CleanupFile.lines(Array("/a\n/b\n/c".utf8)), [.path("/a"), .path("/b")])
    XCTAssertEqual(CleanupFile.lines(Array("/a".utf8)), [])
    XCTAssertEqual(CleanupFile.lines(Array("semanage\0/x\nrelative\n\n/y\n".utf8)), [.semanage("/x"), .path("/y")])
    try directory.write("d/full/own", "keep")
    try directory.write("d/gone", "x")
    let file = try directory.write(
      "cleanup", "\(directory("d/full"))\n\(directory("d/gone"))\n\(directory("d/never"))\n\(directory("d/full/o"))")
    try CleanupFile.run(file, tools: SystemTools())
    XCTAssertEqual(try Disk.names(directory("d")), ["full"])
    XCTAssertEqual(directory.read("d/full/own"), "keep")
    XCTAssertFalse(Disk.exists(file))
  }

  func testRetentionKeepsTheLastSuccessfulAndTheNewest() {
    let entries = (1...7).map { Retention.Entry(name: "d-\($0)", seconds: $0, nanoseconds: 0) }
    XCTAssertEqual(Retention.surplus(entries, current: "d-8", kept: [], maxRevisions: 5), ["d-1", "d-2", "d-3"])
    XCTAssertEqual(Retention.surplus(entries, current: "d-8", kept: ["d-1"], maxRevisions: 5), ["d-2", "d-3", "d-4"])
    XCTAssertEqual(Retention.surplus(entries, current: "d-7", kept: [], maxRevisions: 7), [])
    XCTAssertEqual(Retention.surplus(entries, current: "d-7", kept: ["d-6"], maxRevisions: 1).count, 5)
  }

  func testOldRevisionsGoAtDownload() async throws {
    let agent = LocalRun(rootDir: directory("root"), maxRevisions: 2, clock: SystemClock(), logger: silent)
    for number in 1...5 {
      try revision("d-\(number)", ["a": "\(number)"], appspec: "files:\n  - {source: a, destination: \(directory("srv"))}")
      let spec = specification("d-\(number)", location: directory("rev-d-\(number)"))
      let downloaded = await agent.run("DownloadBundle", specification: spec)
      XCTAssertEqual(downloaded, .succeeded)
      if number == 1 {
        let installed = await agent.run("Install", specification: spec)
        XCTAssertEqual(installed, .succeeded)
      }
      let times = [timespec(tv_sec: 1000 * number, tv_nsec: 0), timespec(tv_sec: 1000 * number, tv_nsec: 0)]
      utimensat(AT_FDCWD, directory("root/group-1/d-\(number)"), times, 0)
    }
    XCTAssertEqual(try Disk.names(directory("root/group-1")), ["d-1", "d-5"])
  }
}

extension String {
  func randomElement(_ random: SeededRandomness) -> Character { Array(self)[random.below(count)] }
}
