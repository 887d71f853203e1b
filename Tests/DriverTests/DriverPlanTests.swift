import Foundation
import Ports
import RegionKit
import XCTest

@testable import NamespaceDriver

/// The pure parts: other machines than this one, as recorded.
final class DriverPlanTests: XCTestCase {
  /// Debian 12 with systemd: control groups version 2 only.
  private static let debian12 = """
    24 30 0:22 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
    29 24 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
    30 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
    """
  /// An older machine: both versions, `cpu` and `cpuacct` on one mount.
  private static let hybrid = """
    30 25 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate
    31 25 0:28 / /sys/fs/cgroup/systemd rw,nosuid shared:10 - cgroup cgroup rw,xattr,name=systemd
    34 25 0:31 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:14 - cgroup cgroup rw,cpu,cpuacct
    35 25 0:32 / /sys/fs/cgroup/memory rw,nosuid shared:15 - cgroup cgroup rw,memory
    36 25 0:33 / /sys/fs/cgroup/pids rw,nosuid shared:16 - cgroup cgroup rw,pids
    37 25 0:34 / /sys/fs/cgroup/devices rw,nosuid shared:17 - cgroup cgroup rw,devices
    """

  private func plan(_ tree: CgroupTree) -> CgroupPlan {
    CgroupPlan(tree: tree, group: "roadstead-x", instanceId: "i-1", memoryBytes: 1 << 30, cpuMillis: 500, maxProcesses: 100)
  }

  func testControlGroupsVersion2() {
    let tree = CgroupTree(mountinfo: Self.debian12) { path in
      path == "/sys/fs/cgroup/cgroup.controllers" ? "cpuset cpu io memory hugetlb pids rdma misc\n" : nil
    }
    XCTAssertEqual(tree.v1, [:])
    let plan = plan(tree)
    let own = "/sys/fs/cgroup/roadstead-x/i-1"
    XCTAssertEqual(
      plan.preparation,
      [
        .write("/sys/fs/cgroup/cgroup.subtree_control", "+cpu +memory +pids"), .directory("/sys/fs/cgroup/roadstead-x"),
        .write("/sys/fs/cgroup/roadstead-x/cgroup.subtree_control", "+cpu +memory +pids"),
      ])
    XCTAssertEqual(
      plan.launch,
      [
        .directory(own), .write(own + "/memory.max", "1073741824"), .writeIfPresent(own + "/memory.swap.max", "0"),
        .write(own + "/cpu.max", "50000 100000"), .write(own + "/pids.max", "100"),
      ])
    XCTAssertEqual(plan.unified, own)
    XCTAssertEqual(plan.cpuUsage, .statistics(own + "/cpu.stat"))
    XCTAssertEqual(plan.memoryUsage, own + "/memory.current")
    XCTAssertEqual(plan.directories, [own])
  }

  func testControlGroupsOfBothVersions() {
    let plan = plan(CgroupTree(mountinfo: Self.hybrid) { _ in "" })
    let cpu = "/sys/fs/cgroup/cpu,cpuacct/roadstead-x/i-1"
    XCTAssertEqual(plan.launch.filter { $0 == .directory(cpu) }.count, 1, "one directory for two controllers on one mount")
    XCTAssertTrue(plan.launch.contains(.write(cpu + "/cpu.cfs_quota_us", "50000")))
    XCTAssertTrue(plan.launch.contains(.join(cpu + "/tasks")))
    XCTAssertEqual(plan.cpuUsage, .nanoseconds(cpu + "/cpuacct.usage"))
    XCTAssertEqual(plan.unified, "/sys/fs/cgroup/unified/roadstead-x/i-1")
    XCTAssertEqual(plan.directories.count, 5)
    // Every directory is made before it is written to or joined.
    for (index, step) in plan.launch.enumerated() {
      guard case .join(let path) = step else { continue }
      XCTAssertTrue(plan.launch[..<index].contains(.directory(String(path.dropLast("/tasks".count)))), path)
    }
  }

  func testAMachineWithoutMemoryControlSaysSo() {
    var machine = Machine.observe()
    machine.isRoot = true
    machine.capabilitySet = ~0
    machine.cgroups = CgroupTree()
    let capabilities = machine.capabilities
    XCTAssertFalse(capabilities.available.contains(.memoryLimit))
    XCTAssertTrue(capabilities.missing[.memoryLimit]?.contains("memory") ?? false)
    machine.isRoot = false
    XCTAssertTrue(machine.capabilities.missing[.ownRoot]?.contains("root") ?? false)
    XCTAssertTrue(machine.capabilities.available.isEmpty)
  }

  func testAContainersMaskedProcRulesUserNamespacesOut() {
    let masked = """
      30 1 0:5 / /proc rw - proc proc rw
      31 30 0:6 / /proc/kcore rw - tmpfs tmpfs rw
      32 30 0:7 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw
      33 1 0:8 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
      """
    XCTAssertEqual(Machine.hiddenPaths(mountinfo: masked), ["/proc/kcore"])
    var machine = Machine.observe()
    machine.hiddenKernelPaths = ["/proc/kcore"]
    machine.kernel = 6001
    machine.namespaces = ["user"]
    XCTAssertTrue(machine.userNamespaceProblem?.contains("/proc/kcore") ?? false)
  }

  func testSubnetIsTheFirstThatNoRouteLeadsInto() {
    let table = """
      Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
      eth0\t00000000\t0102000A\t0003\t0\t0\t0\t00000000\t0\t0\t0
      docker0\t00001FAC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
      vpn0\t00001EAC\t00000000\t0001\t0\t0\t0\t0000FEFF\t0\t0\t0
      """
    let routes = HostRoute.parse(table)
    XCTAssertEqual(routes.map(\.network.description), ["172.31.0.0/16", "172.30.0.0/15"])
    XCTAssertEqual(SubnetPlanner.pick(routes: routes)?.description, "172.29.0.0/16")
    XCTAssertEqual(SubnetPlanner.pick(routes: [])?.description, "172.31.0.0/16")
    let all = HostRoute(network: IPv4Network("172.16.0.0/12")!, interface: "x")
    XCTAssertEqual(SubnetPlanner.pick(routes: [all])?.description, "10.255.0.0/16")
    XCTAssertNil(SubnetPlanner.pick(routes: [all, HostRoute(network: IPv4Network("10.0.0.0/8")!, interface: "y")]))
  }

  func testOverlapIsSymmetricAndMatchesMembership() {
    var generator = SeededGenerator(state: 42)
    for _ in 0..<5000 {
      let a = IPv4Network(
        address: UInt32.random(in: 0...0xffff, using: &generator) << 16, prefix: Int.random(in: 0...32, using: &generator))
      let b = IPv4Network(
        address: UInt32.random(in: 0...0xffff, using: &generator) << 16, prefix: Int.random(in: 0...32, using: &generator))
      XCTAssertEqual(a.overlaps(b), b.overlaps(a))
      XCTAssertEqual(a.overlaps(b), a.contains(b.address) || b.contains(a.address), "\(a) \(b)")
      XCTAssertEqual(IPv4Network(a.description), a)
    }
  }

  func testInitIsTheSameProcessOnlyWithTheSameStartTime() {
    let stat = "4242 (a) b (init) S 1 4242 4242 0 -1 4194560 30 0 0 0 0 0 0 0 20 0 1 0 987654 2490368 100 18446744073709551615"
    XCTAssertEqual(InitProcess(pid: 4242, stat: stat), InitProcess(note: "4242 987654\n"))
    XCTAssertNil(InitProcess(pid: 4242, stat: stat.replacingOccurrences(of: ") S ", with: ") Z ")))
    for broken in ["", "4242", "1 5", "-3 7", "a b", "4242 987654 1"] { XCTAssertNil(InitProcess(note: broken), broken) }
    XCTAssertNil(InitProcess(pid: 1, stat: ""))
  }

  func testBaseImageLeavesSecretsAndBulkOut() {
    for path in [
      "/etc/shadow", "/etc/passwd", "/etc/ssh/ssh_host_rsa_key", "/etc/ssl/private", "/etc/app/server.key", "/etc/db-credentials",
      "/etc/letsencrypt", "/etc/kubernetes", "/usr/local", "/etc/machine-id", "/usr/lib/jvm", "/usr/share/doc",
    ] {
      XCTAssertFalse(BaseImage.includes(path, kind: .file) && BaseImage.includes(path, kind: .directory), path)
    }
    XCTAssertFalse(BaseImage.includes("/etc/myapp.conf", kind: .file, mode: 0o640), "not everybody may read it on the host")
    XCTAssertFalse(BaseImage.includes("/usr/bin/node", kind: .file, size: 98 << 20))
    XCTAssertFalse(BaseImage.includes("/usr/bin/gcc-12", kind: .file))
    for path in [
      "/usr/bin/python3.11", "/bin/sh", "/usr/lib/x86_64-linux-gnu/libicudata.so.72.1", "/etc/ssl/certs/ca-certificates.crt",
      "/etc/pam.d/common-password", "/usr/share/perl/5.36.0/Tie/Hash.pm",
    ] {
      XCTAssertTrue(BaseImage.includes(path, kind: .file, size: 31 << 20, mode: 0o644), path)
    }
  }

  func testConfigurationWithCredentialsStaysOut() {
    for secret in [
      "deb https://me:hunter2@repo.example/debian stable main", "x\n-----BEGIN OPENSSH PRIVATE KEY-----\n", "export NPM_TOKEN=abc",
      "AWS_SECRET_ACCESS_KEY=abc", "  DB_PASSWORD='x'", "a http://x b https://u:p@h",
    ] { XCTAssertTrue(BaseImage.holdsCredentials(secret), secret) }
    for plain in [
      "deb https://deb.debian.org/debian stable main", "# export TOKEN=abc", "TOKEN=", "PASS_MAX_DAYS 99999", "mail me@example.org",
      "http://host:80/@x", "-----BEGIN CERTIFICATE-----", "password = no", "",
    ] { XCTAssertFalse(BaseImage.holdsCredentials(plain), plain) }
  }

  func testAccountsOfPeopleStayOutAndNobodyHasAPassword() {
    let entries = BaseImageFiles.accounts(
      passwd: "root:x:0:0:Some One:/root:/bin/zsh\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\nann:x:1000:1000:Ann:/home/ann:/bin/bash\n",
      group: "root:x:0:ann\nsudo:x:27:ann\nann:x:1000:\n")
    let text = Dictionary(uniqueKeysWithValues: entries.map { ($0.path, $0.text) })
    XCTAssertEqual(text["/etc/passwd"], "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n")
    XCTAssertEqual(text["/etc/group"], "root:x:0:\nsudo:x:27:\n")
    XCTAssertEqual(text["/etc/shadow"], "root:*:19000:0:99999:7:::\nwww-data:*:19000:0:99999:7:::\n")
  }

  func testSpecificationsThatBreakARule() throws {
    let network = try XCTUnwrap(IPv4Network("172.31.0.0/16"))
    let good = InstanceSpec(
      instanceId: "i-1", scope: Scope(account: AccountID("123456789012"), region: RegionName("us-east-1")), hostname: "h",
      layers: ["base-1"], memoryBytes: 64 << 20, cpuMillis: 100, maxProcesses: 64, privateIP: "172.31.0.9", userData: [], files: [],
      agentCommand: [])
    XCTAssertNil(SpecRules.violation(good, network: network))
    let breaks: [(String, (inout InstanceSpec) -> Void)] = [
      ("instance id", { $0.instanceId = "../x" }), ("host name", { $0.hostname = "a b" }), ("not in", { $0.privateIP = "10.0.0.1" }),
      ("reserved", { $0.privateIP = "172.31.0.1" }), ("reserved", { $0.privateIP = "172.31.255.255" }),
      ("memory", { $0.memoryBytes = 1 }), ("processes", { $0.maxProcesses = 1 }), ("layers", { $0.layers = [] }),
      ("absolute", { $0.files = [InstanceFile(path: "/a/../b", content: [])] }),
      ("absolute", { $0.files = [InstanceFile(path: "etc/x", content: [])] }), ("absolute", { $0.agentCommand = ["sh"] }),
    ]
    for (word, change) in breaks {
      var spec = good
      change(&spec)
      XCTAssertTrue(SpecRules.violation(spec, network: network)?.contains(word) ?? false, word)
    }
  }
}

/// A small seeded generator (SplitMix64), so that a failure can be repeated.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
