import FoundationEssentials
import Glibc
import RegionKit
import XCTest

@testable import DeployAgent

final class ScriptTests: XCTestCase {
  private let directory = TestDirectory()

  private func run(
    _ scripts: [(name: String, text: String?)], entry: String = "", mode: mode_t = 0o755, environment: [String: String] = [:],
    grace: Double = 0.5
  ) async throws -> Diagnostics {
    var hooks = ""
    for (name, text) in scripts {
      if let text { try directory.write("rev/scripts/\(name)", text, mode: mode) }
      hooks += "    - location: scripts/\(name)\n\(entry)"
    }
    try directory.write("rev/appspec.yml", "version: 0.0\nos: linux\nhooks:\n  BeforeInstall:\n\(hooks)")
    let spec = specification("d-ABC", location: directory("rev"))
    let agent = LocalRun(
      rootDir: directory("root"), environment: environment, killGrace: grace, clock: SystemClock(), logger: silent)
    let downloaded = await agent.run("DownloadBundle", specification: spec)
    XCTAssertEqual(downloaded, .succeeded, downloaded.message)
    return await agent.run("BeforeInstall", specification: spec)
  }

  func testOutputGoesToTheLogsAndTheEnvironmentIsTheDeployments() async throws {
    let result = try await run(
      [("a.sh", "#!/bin/sh\nenv | sort\necho oops >&2\nprintf 'no end'\n")],
      environment: [
        "PATH": "/usr/bin:/bin", "AWS_SECRET_ACCESS_KEY": "s3cr3t", "AWS_ACCESS_KEY": "s3cr3t", "AWS_SESSION_TOKEN": "s3cr3t",
        "AWS_CREDENTIALS_FILE": "s3cr3t", "AWS_REGION": "eu-test-1",
      ])
    XCTAssertEqual(result, .succeeded, result.message)
    let log = try XCTUnwrap(directory.read("root/group-1/d-ABC/logs/scripts.log"))
    for line in [
      "LifecycleEvent - BeforeInstall", "Script - scripts/a.sh", "[stdout]LIFECYCLE_EVENT=BeforeInstall", "[stdout]DEPLOYMENT_ID=d-ABC",
      "[stdout]APPLICATION_NAME=shop", "[stdout]DEPLOYMENT_GROUP_NAME=web", "[stdout]DEPLOYMENT_GROUP_ID=group-1",
      "[stdout]AWS_REGION=eu-test-1", "[stderr]oops", "[stdout]no end",
    ] { XCTAssertTrue(log.contains(" \(line)\n"), "\(line) is missing in\n\(log)") }
    XCTAssertFalse(log.contains("s3cr3t"))
    XCTAssertNotNil(log.prefixMatch(of: /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d LifecycleEvent - BeforeInstall\n/))
    let all = try XCTUnwrap(directory.read("root/deployment-logs/codedeploy-agent-deployments.log"))
    XCTAssertNotNil(
      all.prefixMatch(of: /\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\] \[d-ABC\]LifecycleEvent - BeforeInstall\n/), all)
  }

  func testExitCodeLogTailAndThatTheFirstFailureStops() async throws {
    let result = try await run([
      ("a.sh", "#!/bin/sh\necho one\necho two >&2\nexit 42\n"), ("b.sh", "#!/bin/sh\ntouch \(directory("ran"))\n"),
    ])
    XCTAssertEqual(result.code, .scriptFailed)
    XCTAssertEqual(result.scriptName, "scripts/a.sh")
    XCTAssertEqual(result.message, "Script at specified location: scripts/a.sh failed with exit code 42")
    XCTAssertTrue(result.log.hasPrefix("LifecycleEvent - BeforeInstall\nScript - scripts/a.sh\n"), result.log)
    XCTAssertTrue(result.log.contains("[stdout]one\n") && result.log.contains("[stderr]two\n"), result.log)
    XCTAssertFalse(Disk.exists(directory("ran")))
  }

  func testKilledBySignalLeavesTheNumberEmpty() async throws {
    let result = try await run([("a.sh", "#!/bin/sh\nkill -9 $$\n")])
    XCTAssertEqual(result.code, .scriptFailed)
    XCTAssertEqual(result.message, "Script at specified location: scripts/a.sh failed with exit code ")
  }

  func testTimeoutEndsTheWholeGroup() async throws {
    let result = try await run(
      [
        (
          "a.sh",
          "#!/bin/sh\ntrap '' TERM\n(trap '' TERM; sleep 30; touch \(directory("late"))) &\necho $! > \(directory("pid"))\nwait\nsleep 30\n"
        )
      ],
      entry: "      timeout: 1\n", grace: 0.3)
    XCTAssertEqual(result.code, .scriptTimedOut)
    XCTAssertEqual(result.message, "Script at specified location: scripts/a.sh failed to complete in 1 seconds")
    let child = try XCTUnwrap(directory.read("pid").flatMap { pid_t(trimmed($0)) })
    // The group was killed; its member may be a zombie of init for a moment, but it runs no more.
    let state = (try? Disk.read("/proc/\(child)/stat", limit: 4096)).map { String(decoding: $0, as: UTF8.self) } ?? ") Z"
    XCTAssertTrue(state.contains(") Z") || state.contains(") X"), state)
  }

  func testADaemonHoldingAnOutputIsCode6AndLivesOn() async throws {
    let result = try await run(
      [("a.sh", "#!/bin/sh\nsleep 20 >/dev/null &\necho $! > \(directory("pid"))\nexit 0\n")], entry: "      timeout: 1\n")
    XCTAssertEqual(result.code, .outputsLeftOpen)
    XCTAssertEqual(result.message, "Script at specified location: scripts/a.sh failed to close STDERR")
    let daemon = try XCTUnwrap(directory.read("pid").flatMap { pid_t(trimmed($0)) })
    XCTAssertEqual(kill(daemon, 0), 0)
    kill(daemon, SIGKILL)
    let second = try await run(
      [("a.sh", "#!/bin/sh\nsleep 20 &\necho $! > \(directory("pid"))\n")], entry: "      timeout: 1\n")
    XCTAssertEqual(second.message, "Script at specified location: scripts/a.sh failed to close STDOUT")
    if let daemon = directory.read("pid").flatMap({ pid_t(trimmed($0)) }) { kill(daemon, SIGKILL) }
  }

  func testMissingNotExecutableNoShebangAndOddNames() async throws {
    let missing = try await run([("gone.sh", nil)])
    XCTAssertEqual(missing.code, .scriptMissing)
    XCTAssertEqual(
      missing.message,
      "Script does not exist at specified location: \(directory("root/group-1/d-ABC/deployment-archive/scripts/gone.sh"))")
    let plain = try await run([("p.sh", "#!/bin/sh\nexit 0\n")], mode: 0o644)
    XCTAssertEqual(plain, .succeeded, plain.message)
    let bare = try await run([("n.sh", "echo from $0\n")])
    XCTAssertEqual(bare, .succeeded, bare.message)
    let odd = try await run([("a b;touch x$(id).sh", "#!/bin/sh\nexit 3\n")])
    XCTAssertEqual(odd.message, "Script at specified location: scripts/a b;touch x$(id).sh failed with exit code 3")
    let badInterpreter = try await run([("i.sh", "#!/no/such/interpreter\n")])
    XCTAssertEqual(badInterpreter.code, .scriptFailed)
    XCTAssertTrue(badInterpreter.message.contains("failed with error Errno::ENOENT with message"), badInterpreter.message)
  }

  func testRunasSetsUserGroupsAndHome() async throws {
    guard geteuid() == 0 else { throw XCTSkip("runas needs root") }
    chmod(directory.path, 0o755)
    let result = try await run(
      [("u.sh", "#!/bin/sh\nid -un; id -Gn; echo $HOME $USER $LIFECYCLE_EVENT; exit 1\n")], entry: "      runas: nobody\n",
      environment: ["PATH": "/usr/bin:/bin", "HOME": "/root"])
    XCTAssertEqual(result.message, "Script at specified location: scripts/u.sh run as user nobody failed with exit code 1")
    XCTAssertTrue(result.log.contains("[stdout]nobody\n[stdout]nogroup\n[stdout]/nonexistent nobody BeforeInstall\n"), result.log)
    let unknown = try await run([("u.sh", "#!/bin/sh\n")], entry: "      runas: no-such-user\n")
    XCTAssertEqual(unknown.code, .scriptFailed)
    XCTAssertTrue(unknown.message.contains("can't find user for no-such-user"), unknown.message)
  }

  func testMuchOutputBadUTF8AndClosedInput() async throws {
    let start = residentMemory()
    let result = try await run(
      [
        (
          "m.sh",
          "#!/bin/sh\ncat\nhead -c 60000000 /dev/zero | tr '\\0' 'x'\n"
            + "head -c 200000 /dev/zero | tr '\\0' '\\n'\nprintf '\\377\\376bad\\n'\nexit 5\n"
        )
      ],
      environment: ["PATH": "/usr/bin:/bin"])
    XCTAssertEqual(result.code, .scriptFailed)
    XCTAssertTrue(result.log.hasSuffix("[stdout]\u{fffd}\u{fffd}bad\n"), String(result.log.suffix(40)))
    XCTAssertLessThan(result.log.unicodeScalars.count, 2048)
    XCTAssertLessThan(residentMemory() - start, 40 << 20)
  }

  private func residentMemory() -> Int {
    let text = (try? Disk.read("/proc/self/statm", limit: 4096)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    return (text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 4096
  }

  func testManyAtOnceLoseNothingAndLeaveNoDescriptors() async throws {
    try directory.write("count.sh", "#!/bin/sh\necho out $1\necho err $1 >&2\nexit $1\n", mode: 0o755)
    func descriptors() throws -> Int { try Disk.names("/proc/self/fd").count }
    let before = try descriptors()
    let path = directory("count.sh")
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<120 {
        group.addTask {
          try await blocking {
            let child = ChildProcess(path: path, arguments: [path, "\(number)"], environment: [:], timeout: 60)
            var texts: [ChildProcess.Stream: [UInt8]] = [:]
            let ending = try child.run { texts[$0, default: []] += $1 }.ending
            XCTAssertEqual(ending, .exited(number))
            XCTAssertEqual(String(decoding: texts[.stdout] ?? [], as: UTF8.self), "out \(number)\n")
            XCTAssertEqual(String(decoding: texts[.stderr] ?? [], as: UTF8.self), "err \(number)\n")
          }
        }
      }
      try await group.waitForAll()
    }
    XCTAssertLessThanOrEqual(try descriptors(), before + 4)
  }

  func testTheTailRule() {
    var tail = LogTail()
    for number in 0..<10_000 { tail.append("[stdout]line \(number)\n") }
    XCTAssertLessThan(tail.text.unicodeScalars.count, 2048)
    XCTAssertTrue(tail.text.hasSuffix("[stdout]line 9999\n"))
    XCTAssertGreaterThan(tail.text.unicodeScalars.count, 2048 - 20)
    tail.append(String(repeating: "x", count: 2047))
    XCTAssertEqual(tail.text.count, 2047)
    tail.append(String(repeating: "y", count: 2048))
    XCTAssertEqual(tail.text, "")
    tail.append("z")
    XCTAssertEqual(tail.text, "z")
  }

  func testDiagnosticsAreAlwaysJSON() throws {
    struct Payload: Decodable, Equatable {
      var error_code: Int
      var script_name, message, log: String
    }
    let odd = Diagnostics(code: .scriptFailed, scriptName: "a\"b", message: "x\n\u{1}", log: "é\u{fffd}")
    XCTAssertEqual(
      try JSONDecoder().decode(Payload.self, from: Data(odd.json.utf8)),
      Payload(error_code: 4, script_name: "a\"b", message: "x\n\u{1}", log: "é\u{fffd}"))
    XCTAssertEqual(Diagnostics.succeeded.json, #"{"error_code":0,"script_name":"","message":"Succeeded: ","log":""}"#)
  }
}
