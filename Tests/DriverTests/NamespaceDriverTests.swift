import Foundation
import NamespaceDriver
import Ports
import RegionKit
import XCTest

final class NamespaceDriverTests: XCTestCase {
  // MARK: - The contract

  private func contract() async throws -> DriverContract { DriverContract(fixture: try await NamespaceFixture(self)) }
  func testLaunchAndInspect() async throws { try await contract().launchAndInspect() }
  func testRefusals() async throws { try await contract().refusals() }
  func testStopAndStart() async throws { try await contract().stopAndStart() }
  func testDestroy() async throws { try await contract().destroy() }
  func testRecover() async throws { try await contract().recover() }

  // MARK: - What a real machine does besides

  func testUserDataRunsOnceAndServersAnswerTheHost() async throws {
    let fixture = try await NamespaceFixture(self)
    let contract = DriverContract(fixture: fixture)
    let spec = try await contract.spec(
      1, agent: ["/bin/sh", "-c", "cd /srv && exec python3 -m http.server 80"],
      userData: "#!/bin/sh\necho once >> /srv/index.html\nhostname > /root/name\necho on the console > /dev/console\n",
      files: [InstanceFile(path: "/etc/roadstead/agent.key", content: Array("secret".utf8), mode: 0o600)])
    let handle = try await fixture.driver.launch(spec, fresh: true)
    let name = try await fixture.waitFor("/root/name", in: spec.instanceId, toHold: "\n")
    XCTAssertEqual(name, spec.hostname + "\n")
    XCTAssertEqual(try fetch(spec.privateIP), "once\n")
    XCTAssertEqual(fixture.text("/etc/roadstead/agent.key", in: spec.instanceId), "secret")
    try await fixture.driver.stop(handle, grace: 10)
    _ = try await fixture.driver.launch(spec, fresh: false)
    XCTAssertEqual(try fetch(spec.privateIP), "once\n", "user data ran again, or the writable layer was lost")
    let console = String(decoding: try await fixture.driver.consoleOutput(instanceId: spec.instanceId), as: UTF8.self)
    XCTAssertTrue(console.contains("on the console"), console)
    XCTAssertTrue(console.contains("user data ended with status 0"), console)
  }

  private func fetch(_ address: String) throws -> String {
    let answer = try NamespaceFixture.run(
      "/usr/bin/curl",
      [
        "-s", "--noproxy", "*", "--retry", "60", "--retry-connrefused", "--retry-delay", "1", "--retry-max-time", "60", "-m", "5",
        "http://\(address)/",
      ])
    XCTAssertEqual(answer.status, 0, answer.output)
    return answer.output
  }

  func testTheAgentIsKeptRunningUntilTheStop() async throws {
    let fixture = try await NamespaceFixture(self)
    let contract = DriverContract(fixture: fixture)
    let spec = try await contract.spec(
      1, agent: ["/bin/sh", "-c", "echo run >> /root/runs; [ $(wc -l < /root/runs) -ge 2 ] && exec sleep 1000"])
    let handle = try await fixture.driver.launch(spec, fresh: true)
    _ = try await fixture.waitFor("/root/runs", in: spec.instanceId, toHold: "run\nrun\n")
    let start = ContinuousClock.now
    try await fixture.driver.stop(handle, grace: 20)
    XCTAssertLessThan(ContinuousClock.now - start, .seconds(10))
    XCTAssertEqual(fixture.text("/root/runs", in: spec.instanceId), "run\nrun\n")
  }

  func testAProcessThatIgnoresSIGTERMIsKilledAfterTheGrace() async throws {
    let fixture = try await NamespaceFixture(self)
    let spec = try await DriverContract(fixture: fixture).spec(
      1, agent: ["/bin/sh", "-c", "trap '' TERM; echo up > /root/up; while :; do sleep 1; done"])
    let handle = try await fixture.driver.launch(spec, fresh: true)
    _ = try await fixture.waitFor("/root/up", in: spec.instanceId, toHold: "up")
    try await fixture.driver.stop(handle, grace: 0.5)
    let inspection = try await fixture.driver.inspect(handle)
    XCTAssertEqual(inspection.condition, .stopped)
    XCTAssertNil(inspection.exitStatus)
  }

  func testLimitsBite() async throws {
    let fixture = try await NamespaceFixture(self)
    var spec = try await DriverContract(fixture: fixture).spec(
      1,
      userData: """
        #!/bin/sh
        python3 -c 'x = bytearray(200 << 20); print(len(x))' > /root/memory 2>&1
        echo "status $?" >> /root/memory
        i=0; while [ $i -lt 60 ]; do sleep 20 & i=$((i+1)); done 2> /root/pids
        echo done >> /root/all
        """)
    spec.memoryBytes = 64 << 20
    spec.maxProcesses = 40
    spec.cpuMillis = 200
    let handle = try await fixture.driver.launch(spec, fresh: true)
    let memory = try await fixture.waitFor("/root/memory", in: spec.instanceId, toHold: "status")
    XCTAssertTrue(memory.contains("status 137"), memory)
    let refused = try await fixture.waitFor("/root/pids", in: spec.instanceId, toHold: "fork")
    XCTAssertTrue(refused.lowercased().contains("cannot fork"), refused)
    _ = handle

    // A loop gets a fifth of a CPU.
    var burner = try await DriverContract(fixture: fixture).spec(2, agent: ["/bin/sh", "-c", "while :; do :; done"])
    burner.cpuMillis = 200
    let burning = try await fixture.driver.launch(burner, fresh: true)
    let before = try await fixture.driver.inspect(burning).cpuSeconds ?? 0
    let start = ContinuousClock.now
    try await Task.sleep(for: .seconds(2))
    let used = (try await fixture.driver.inspect(burning).cpuSeconds ?? 0) - before
    let passed = Double((ContinuousClock.now - start).components.seconds) + 0.001
    XCTAssertGreaterThan(used, 0.05)
    XCTAssertLessThan(used / passed, 0.35)
  }

  func testDestroyLeavesNoTrace() async throws {
    let fixture = try await NamespaceFixture(self)
    let spec = try await DriverContract(fixture: fixture).spec(
      1, userData: "#!/bin/sh\npython3 -c \"import os\nfor i in range(300): os.mkdir('d'); os.chdir('d')\"\necho x > /root/done\n",
      files: [InstanceFile(path: "/root/keep", content: [1])])
    let handle = try await fixture.driver.launch(spec, fresh: true)
    _ = try await fixture.waitFor("/root/done", in: spec.instanceId, toHold: "x")
    let link = try XCTUnwrap(handle.facts["link"])
    XCTAssertTrue(FileManager.default.fileExists(atPath: "/sys/class/net/\(link)"))
    try await fixture.driver.destroy(instanceId: spec.instanceId)
    XCTAssertFalse(FileManager.default.fileExists(atPath: "/sys/class/net/\(link)"))
    XCTAssertFalse(FileManager.default.fileExists(atPath: "\(fixture.home)/instances/\(spec.instanceId)"))
    XCTAssertFalse(FileManager.default.fileExists(atPath: "\(fixture.home)/planes/metadata/\(spec.instanceId).attach"))
    let cgroup = try XCTUnwrap(handle.facts["cgroup"])
    let found = try NamespaceFixture.run("/usr/bin/find", ["/sys/fs/cgroup", "-path", "*\(cgroup)*"])
    XCTAssertEqual(found.output, "")
    let neighbours = try String(contentsOfFile: "/proc/net/arp", encoding: .utf8)
    XCTAssertFalse(neighbours.contains(try XCTUnwrap(handle.facts["bridge"])), neighbours)
    let mounts = try String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)
    XCTAssertFalse(mounts.contains(fixture.home))
    try await fixture.namespace.teardown()
    XCTAssertFalse(FileManager.default.fileExists(atPath: "/sys/class/net/\(try XCTUnwrap(handle.facts["bridge"]))"))
  }

  /// What user data, hooks and the agent count on.
  func testTheBaseImageIsAWorkingSystem() async throws {
    let fixture = try await NamespaceFixture(self)
    let script = """
      #!/bin/bash
      for tool in sh bash python3 tar gzip unzip curl sed awk find ps openssl su useradd dpkg; do
        path=$(command -v $tool) || echo "no $tool"
        ldd $path 2>/dev/null | grep 'not found'
      done
      python3 - <<'END'
      import ctypes, http.server, json, sqlite3, ssl, urllib.request
      for name in ("libsqlite3.so.0", "libarchive.so.13", "libexpat.so.1", "libacl.so.1", "libz.so.1", "libstdc++.so.6"):
          ctypes.CDLL(name)
      END
      useradd --create-home ann && su - ann -c 'touch made; stat -c %U made' || echo no accounts
      su - nobody -s /bin/sh -c 'cat /etc/shadow' && echo shadow is open
      [ "$(stat -c %a /tmp)" = 1777 ] || echo bad /tmp
      [ -e /proc/self/status -a -c /dev/null -a -d /dev/pts -a -d /dev/shm -a -w /run ] || echo bad mounts
      echo console > /dev/console || echo no console
      logger -t test message || echo no syslog
      touch /etc/a /usr/bin/b /opt/c /var/lib/d && rm /usr/bin/b || echo cannot write
      echo end
      """
    let spec = try await DriverContract(fixture: fixture).spec(1, userData: script)
    _ = try await fixture.driver.launch(spec, fresh: true)
    let output = try await fixture.waitFor("/var/log/cloud-init-output.log", in: spec.instanceId, toHold: "end\n", seconds: 60)
    XCTAssertEqual(output.split(separator: "\n").filter { !$0.hasPrefix("cat:") && !$0.hasPrefix("su:") }, ["ann", "end"])
  }

  /// Shifted ids are a matter of mounts: the files on disk are the same with and without a user namespace.
  func testAnInstanceMayLoseAndRegainItsUserNamespace() async throws {
    let fixture = try await NamespaceFixture(self)
    let list = "stat -c '%u %n' /root/made /etc/passwd /root/made/by-root > /root/seen.$(cat /root/round)"
    let spec = try await DriverContract(fixture: fixture).spec(
      1,
      agent: [
        "/bin/sh", "-c",
        "echo x >> /root/rounds; wc -l < /root/rounds > /root/round; mkdir -p /root/made; touch /root/made/by-root; \(list); exec sleep 1000",
      ])
    let expected = "0 /root/made\n0 /etc/passwd\n0 /root/made/by-root\n"
    var handle = try await fixture.driver.launch(spec, fresh: true)
    for (round, userNamespaces) in [(1, false), (2, true), (3, true)] {
      let seen = try await fixture.waitFor("/root/seen.\(round)", in: spec.instanceId, toHold: "by-root")
      XCTAssertEqual(seen, expected)
      try await fixture.driver.stop(handle, grace: 5)
      let next = try fixture.reopen(userNamespaces: userNamespaces)
      handle = try await next.launch(spec, fresh: false)
    }
  }

  func testTeardownWithoutARegion() async throws {
    let fixture = try await NamespaceFixture(self)
    let spec = try await DriverContract(fixture: fixture).spec(1)
    let handle = try await fixture.driver.launch(spec, fresh: true)
    try await NamespaceDriver.teardown(home: fixture.home)
    let inspection = try await fixture.driver.inspect(handle)
    XCTAssertEqual(inspection.condition, .stopped)
    XCTAssertFalse(FileManager.default.fileExists(atPath: "/sys/class/net/\(try XCTUnwrap(handle.facts["bridge"]))"))
    // The next region finds its subnet and its instance again.
    let next = try fixture.reopen()
    _ = try await next.launch(spec, fresh: false)
  }

  func testTenAtOnceAndHowLongItTakes() async throws {
    let fixture = try await NamespaceFixture(self)
    let contract = DriverContract(fixture: fixture)
    let first = try await contract.spec(0, agent: ["/bin/date", "+%s.%N"])
    // One after the other: time of the call, and time to the first instruction of the agent.
    var calls: [Double] = []
    var starts: [Double] = []
    for round in 1...9 {
      var spec = try await contract.spec(round, agent: ["/bin/sh", "-c", "date +%s.%N > /root/t; exec sleep 1000"])
      spec.instanceId = "i-timed\(round)"
      let begin = Date().timeIntervalSince1970
      _ = try await fixture.driver.launch(spec, fresh: true)
      calls.append(Date().timeIntervalSince1970 - begin)
      let stamp = try await fixture.waitFor("/root/t", in: spec.instanceId, toHold: "\n")
      starts.append((Double(stamp.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0) - begin)
      try await fixture.driver.destroy(instanceId: spec.instanceId)
    }
    print("launch() median \(ms(calls)), to the agent's first instruction \(ms(starts))")
    XCTAssertLessThan(calls.sorted()[4], 0.3)

    let begin = ContinuousClock.now
    let handles = try await withThrowingTaskGroup(of: InstanceHandle.self) { group in
      for number in 0..<10 {
        var spec = first
        spec.instanceId = "i-many\(number)"
        spec.privateIP = first.privateIP.split(separator: ".").dropLast().joined(separator: ".") + ".\(100 + number)"
        spec.agentCommand = ["/bin/sleep", "1000"]
        let one = spec
        group.addTask { try await fixture.driver.launch(one, fresh: true) }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    print("ten at once: \(ContinuousClock.now - begin)")
    XCTAssertEqual(Set(handles.map { $0.facts["pid"] }).count, 10)
    for handle in handles {
      let inspection = try await fixture.driver.inspect(handle)
      XCTAssertEqual(inspection.condition, .running)
    }
  }

  private func ms(_ seconds: [Double]) -> String { "\(Int(seconds.sorted()[seconds.count / 2] * 1000)) ms" }
}
