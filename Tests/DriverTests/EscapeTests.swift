import Foundation
import NamespaceDriver
import Ports
import RegionKit
import XCTest

/// Code run as root inside an instance tries to reach the host. Each line of the script prints `NAME refused` or `NAME done`.
final class EscapeTests: XCTestCase {
  private static let attempts: [(name: String, command: String)] = [
    ("mknod-block", "mknod /root/disk b 254 0"),
    ("mknod-char", "mknod /root/mem c 1 1"),
    ("mknod-in-dev", "mknod /dev/kmsg c 1 11"),
    ("raw-disk", "dd if=/root/planted-disk of=/dev/null bs=512 count=1"),
    ("mount-tmpfs", "mount -t tmpfs none /mnt"),
    ("mount-proc", "mount -t proc none /mnt"),
    ("mount-cgroup", "mount -t cgroup -o memory none /mnt"),
    ("mount-devtmpfs", "mount -t devtmpfs none /mnt"),
    ("remount-proc", "mount -o remount,rw /proc/sys"),
    ("umount-mask", "umount /proc/kallsyms"),
    ("user-namespace", "unshare -Ur true"),
    (
      "user-namespace-clone",
      "python3 -c 'import ctypes,os; L=ctypes.CDLL(None); r=L.syscall(56,0x10000011,0,0,0,0); os._exit(1 if r<0 else 0)'"
    ),
    ("mount-namespace", "unshare -m true"),
    ("nsenter", "nsenter -t 1 -m true"),
    ("release-agent", "sh -c 'find / -name release_agent 2>/dev/null | grep . && exit 0; exit 1'"),
    ("init-root", "ls /proc/1/root/"),
    ("init-exe", "cat /proc/1/exe > /dev/null"),
    ("init-memory", "head -c1 /proc/1/mem"),
    ("init-descriptors", "readlink /proc/1/fd/16"),
    ("ptrace-init", "python3 -c 'import ctypes,sys; sys.exit(0 if ctypes.CDLL(None).ptrace(16,1,0,0)==0 else 1)'"),
    ("sees-host-processes", "sh -c '[ $(ls /proc | grep -c \"^[0-9]\") -gt 12 ]'"),
    ("kill-host", "kill -0 REGION_PID"),
    ("agent-binary", "sh -c 'echo x >> /opt/roadstead/bin/roadstead'"),
    ("agent-binary-mode", "chmod 777 /opt/roadstead/bin/roadstead"),
    ("kcore", "head -c1 /proc/kcore"),
    ("sysrq", "sh -c 'echo h > /proc/sysrq-trigger'"),
    ("core-pattern", "sh -c 'echo \"|/root/x\" > /proc/sys/kernel/core_pattern'"),
    ("modprobe-path", "sh -c 'echo /root/x > /proc/sys/kernel/modprobe'"),
    ("uevent-helper", "sh -c 'echo /root/x > /sys/kernel/uevent_helper'"),
    ("dmesg", "dmesg"),
    ("clock", "date -s @0"),
    ("bpf", "python3 -c 'import ctypes,sys; sys.exit(0 if ctypes.CDLL(None).syscall(321,0,0,0)>=0 else 1)'"),
    ("keyctl", "python3 -c 'import ctypes,sys; sys.exit(0 if ctypes.CDLL(None).syscall(250,0,0,0)>=0 else 1)'"),
    (
      "handle",
      "python3 -c 'import ctypes,sys; L=ctypes.CDLL(None,use_errno=True); L.syscall(304,-100,0,0); sys.exit(1 if ctypes.get_errno()==1 else 0)'"
    ),
    (
      "module",
      "python3 -c 'import ctypes,sys; L=ctypes.CDLL(None,use_errno=True); L.syscall(313,-1,0,0); sys.exit(1 if ctypes.get_errno()==1 else 0)'"
    ),
    (
      "kexec",
      "python3 -c 'import ctypes,sys; L=ctypes.CDLL(None,use_errno=True); L.syscall(246,0,0,0,0); sys.exit(1 if ctypes.get_errno()==1 else 0)'"
    ),
    ("chroot-out", "chroot /proc/1/root true"),
    ("network-admin", "ip link set eth0 down"),
    ("metadata-address", "ip addr del 169.254.169.254/32 dev lo"),
    (
      "metadata-port",
      "timeout 2 python3 -c 'import socket; s=socket.socket(); s.setsockopt(1,2,1); s.bind((\"169.254.169.254\",1)); s.listen()'"
    ),
    ("region-home", "sh -c 'find / -xdev -name network.json -o -xdev -name metadata.key | grep .'"),
    ("region-home-path", "ls REGION_HOME"),
    ("host-secrets", "sh -c 'ls -A /home | grep .; test -e /etc/ssh/ssh_host_rsa_key || grep -v \":\\*:\" /etc/shadow'"),
    ("oom-score", "sh -c 'echo -1000 > /proc/self/oom_score_adj'"),
    ("nice", "nice -n -20 true 2>&1 | grep -v -i permission"),
  ]

  /// Attempts that name system calls by their numbers on x86-64.
  private static let numbered: Set = ["user-namespace-clone", "bpf", "keyctl", "handle", "module", "kexec"]

  private static var possible: [(name: String, command: String)] {
    #if arch(x86_64)
      attempts
    #else
      attempts.filter { !numbered.contains($0.name) }
    #endif
  }

  func testEveryAttemptFails() async throws { try await attempt(userNamespaces: true) }
  func testEveryAttemptFailsWithoutAUserNamespace() async throws { try await attempt(userNamespaces: false) }

  private func attempt(userNamespaces: Bool) async throws {
    let fixture = try await NamespaceFixture(self, userNamespaces: userNamespaces)
    var script = "#!/bin/sh\ncd /root\nexec 2> /root/errors\n"
    for (name, command) in Self.possible {
      let filled = command.replacingOccurrences(of: "REGION_PID", with: String(getpid()))
        .replacingOccurrences(of: "REGION_HOME", with: fixture.home)
      script +=
        "echo '== \(name)' >&2\nif \(filled) > /dev/null; then echo '\(name) done'; else echo '\(name) refused'; fi >> /root/results\n"
    }
    script +=
      "capsh --print > /root/caps 2>&1; grep Cap /proc/self/status > /root/capset; mount > /root/mounts; echo end >> /root/results\n"
    let spec = try await DriverContract(fixture: fixture).spec(1, userData: script)
    let handle = try await fixture.driver.launch(spec, fresh: false)
    // A device node that came into the layer from outside must be of no use.
    mknod("\(fixture.home)/instances/\(spec.instanceId)/upper/root/planted-disk", S_IFBLK | 0o666, dev_t(254 << 8))
    let results = try await fixture.waitFor("/root/results", in: spec.instanceId, toHold: "\nend")
    let errors = fixture.text("/root/errors", in: spec.instanceId) ?? ""
    for (name, _) in Self.possible {
      XCTAssertTrue(
        results.contains("\(name) refused\n"),
        "\(name) was not refused\n\(errors.components(separatedBy: "== \(name)\n").last?.prefix(300) ?? "")")
    }
    XCTAssertFalse(errors.contains("not found"), "an attempt did not run: \(errors)")
    let capset = fixture.text("/root/capset", in: spec.instanceId) ?? ""
    XCTAssertTrue(capset.contains("CapBnd:\t00000000a00425fb"), capset)
    let status = try String(contentsOfFile: "/proc/\(try XCTUnwrap(handle.facts["pid"]))/status", encoding: .utf8)
    let capabilities = await fixture.driver.capabilities()
    if capabilities.available.contains(.userNamespace) {
      XCTAssertFalse(status.contains("Uid:\t0\t"), "init runs as the host's root")
    } else {
      XCTAssertTrue(status.contains("Uid:\t0\t"), status)
      XCTAssertNotNil(capabilities.missing[.userNamespace])
    }
    // Still alive, and the host too.
    let inspection = try await fixture.driver.inspect(handle)
    XCTAssertEqual(inspection.condition, .running)
  }

  /// What an instance leaves in its layer is not followed by the next start, which works as root.
  func testALayerFullOfLinksDoesNotLeadOut() async throws {
    let fixture = try await NamespaceFixture(self)
    let outside = fixture.home + "/outside"
    try "untouched".write(toFile: outside, atomically: true, encoding: .utf8)
    var spec = try await DriverContract(fixture: fixture).spec(
      1,
      userData: "#!/bin/sh\nln -sf \(outside) /etc/agent.conf\nln -s \(fixture.home) /out\nrm -rf /srv; ln -s / /srv\necho x > /root/done\n"
    )
    let handle = try await fixture.driver.launch(spec, fresh: true)
    _ = try await fixture.waitFor("/root/done", in: spec.instanceId, toHold: "x")
    try await fixture.driver.stop(handle, grace: 5)
    spec.files = [
      InstanceFile(path: "/etc/agent.conf", content: Array("new".utf8)), InstanceFile(path: "/srv/etc/other.conf", content: [1]),
    ]
    _ = try await fixture.driver.launch(spec, fresh: false)
    XCTAssertEqual(try String(contentsOfFile: outside, encoding: .utf8), "untouched")
    XCTAssertEqual(fixture.text("/etc/agent.conf", in: spec.instanceId), "new")
    XCTAssertFalse(FileManager.default.fileExists(atPath: "/etc/other.conf"))
    try await fixture.driver.destroy(instanceId: spec.instanceId)
    XCTAssertEqual(try String(contentsOfFile: outside, encoding: .utf8), "untouched")
  }

  /// A mount point that was replaced by a link stops the launch, with the step's name, before anything runs.
  func testALinkInPlaceOfAMountPointIsRefused() async throws {
    let fixture = try await NamespaceFixture(self)
    let contract = DriverContract(fixture: fixture)
    let spec = try await contract.spec(1)
    let handle = try await fixture.driver.launch(spec, fresh: true)
    try await fixture.driver.stop(handle, grace: 5)
    let upper = "\(fixture.home)/instances/\(spec.instanceId)/upper"
    symlink("/etc", upper + "/proc")
    do {
      _ = try await fixture.driver.launch(spec, fresh: false)
      XCTFail("launched")
    } catch let error as AWSError {
      XCTAssertTrue(error.message.contains("mount on proc"), error.message)
    }
    let found = try NamespaceFixture.run("/usr/bin/find", ["/sys/fs/cgroup", "-path", "*\(try XCTUnwrap(handle.facts["cgroup"]))*"])
    XCTAssertEqual(found.output, "")
    // Its writable layer is still there.
    XCTAssertTrue(FileManager.default.fileExists(atPath: upper))
  }

  /// An instance that sends from another address or hardware address than its own gets no answer.
  func testAddressesCannotBeBorrowed() async throws {
    let fixture = try await NamespaceFixture(self)
    let contract = DriverContract(fixture: fixture)
    let victim = try await contract.spec(2)
    let script = """
      #!/usr/bin/python3
      import socket, struct
      raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
      raw.bind(("eth0", 0))
      own = open("/sys/class/net/eth0/address").read().strip()
      mac = bytes(int(x, 16) for x in own.split(":"))
      # Claim the victim's address: a gratuitous ARP answer.
      victim = socket.inet_aton("\(victim.privateIP)")
      arp = b"\\xff" * 6 + mac + b"\\x08\\x06" + struct.pack("!HHBBH", 1, 0x800, 6, 4, 2) + mac + victim + b"\\xff" * 6 + victim
      for _ in range(3): raw.send(arp)
      open("/root/sent", "w").write("x")
      """
    let spec = try await contract.spec(1, userData: script)
    _ = try await fixture.driver.launch(victim, fresh: true)
    let handle = try await fixture.driver.launch(spec, fresh: true)
    _ = try await fixture.waitFor("/root/sent", in: spec.instanceId, toHold: "x")
    let bridge = try XCTUnwrap(handle.facts["bridge"])
    let table = try String(contentsOfFile: "/proc/net/arp", encoding: .utf8)
    let line = table.split(separator: "\n").first { $0.hasPrefix(victim.privateIP + " ") && $0.hasSuffix(bridge) }
    XCTAssertTrue(line?.contains(InstanceAddressing.hardwareAddress(privateIP: victim.privateIP) ?? "?") ?? false, table)
  }
}
