/// The files that a base image does not take from the host: accounts, and what says which machine this is.
enum BaseImageFiles {
  struct Entry: Sendable {
    let path: String
    let text: String
    let mode: UInt32
  }

  /// System accounts that packages of the copy may refer to: every host account with an id below 1000 whose home and shell are a
  /// service's. Passwords are locked; people's accounts do not come along.
  static func accounts(passwd: String, group: String) -> [Entry] {
    var users: [String] = []
    var shadow: [String] = []
    for line in passwd.split(separator: "\n") {
      let fields = line.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
      guard fields.count == 7, let id = Int(fields[2]), id < 1000 || id == 65534 else { continue }
      let home = fields[0] == "root" ? "/root" : (fields[5].hasPrefix("/home") ? "/nonexistent" : fields[5])
      let shell = fields[0] == "root" ? "/bin/bash" : (fields[6].hasSuffix("sync") ? fields[6] : "/usr/sbin/nologin")
      // The fifth field may hold a person's name.
      users.append("\(fields[0]):x:\(fields[2]):\(fields[3]):\(fields[0]):\(home):\(shell)")
      shadow.append("\(fields[0]):*:19000:0:99999:7:::")
    }
    var groups: [String] = []
    for line in group.split(separator: "\n") {
      let fields = line.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
      guard fields.count == 4, let id = Int(fields[2]), id < 1000 || id == 65534 else { continue }
      groups.append("\(fields[0]):x:\(fields[2]):")
    }
    return [
      Entry(path: "/etc/passwd", text: lines(users), mode: 0o644), Entry(path: "/etc/group", text: lines(groups), mode: 0o644),
      Entry(path: "/etc/shadow", text: lines(shadow), mode: 0o640),
      Entry(path: "/etc/gshadow", text: lines(groups.map { "\($0.split(separator: ":")[0]):*::" }), mode: 0o640),
    ]
  }

  static let fixed: [Entry] = [
    Entry(path: "/etc/subuid", text: "", mode: 0o644), Entry(path: "/etc/subgid", text: "", mode: 0o644),
    Entry(path: "/etc/machine-id", text: "", mode: 0o444), Entry(path: "/etc/fstab", text: "", mode: 0o644),
    Entry(path: "/etc/environment", text: "", mode: 0o644),
    Entry(path: "/etc/hostname", text: "localhost\n", mode: 0o644),
    Entry(path: "/etc/hosts", text: "127.0.0.1 localhost\n::1 localhost\n", mode: 0o644),
    Entry(path: "/etc/resolv.conf", text: "", mode: 0o644),
    Entry(path: "/etc/sudoers", text: "Defaults env_reset\nroot ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL:ALL) ALL\n", mode: 0o440),
    // Packages installed inside must not try to talk to a service manager that is not there.
    Entry(path: "/usr/sbin/policy-rc.d", text: "#!/bin/sh\nexit 101\n", mode: 0o755),
  ]

  /// Directories of the skeleton, in the order they are made, with their modes.
  static let directories: [(path: String, mode: UInt32)] = [
    ("/root", 0o700), ("/home", 0o755), ("/opt", 0o755), ("/srv", 0o755), ("/mnt", 0o755), ("/media", 0o755), ("/tmp", 0o1777),
    ("/run", 0o755), ("/proc", 0o555), ("/sys", 0o555), ("/dev", 0o755), ("/boot", 0o755), ("/etc", 0o755), ("/etc/profile.d", 0o755),
    ("/etc/sudoers.d", 0o750), ("/etc/cron.d", 0o755), ("/etc/ssl", 0o755), ("/etc/ssl/private", 0o700),
    ("/usr", 0o755), ("/usr/local", 0o755), ("/usr/local/bin", 0o755), ("/usr/local/sbin", 0o755), ("/usr/local/lib", 0o755),
    ("/usr/local/etc", 0o755), ("/usr/local/share", 0o755), ("/usr/share", 0o755), ("/usr/share/doc", 0o755),
    ("/usr/share/man", 0o755), ("/var", 0o755), ("/var/cache", 0o755), ("/var/cache/apt", 0o755),
    ("/var/cache/apt/archives", 0o755), ("/var/cache/apt/archives/partial", 0o700), ("/var/backups", 0o755), ("/var/lib", 0o755),
    ("/var/lib/apt", 0o755), ("/var/lib/apt/lists", 0o755), ("/var/lib/apt/lists/partial", 0o700), ("/var/lib/cloud", 0o755),
    ("/var/lib/dpkg", 0o755), ("/var/lib/dpkg/updates", 0o755), ("/var/lib/misc", 0o755), ("/var/local", 0o755),
    ("/var/log", 0o755), ("/var/log/apt", 0o755), ("/var/mail", 0o755), ("/var/opt", 0o755), ("/var/spool", 0o755),
    ("/var/spool/cron", 0o755), ("/var/tmp", 0o1777), ("/var/www", 0o755),
  ]

  static let links: [(path: String, target: String)] = [
    ("/var/run", "/run"), ("/var/lock", "/run/lock"), ("/etc/mtab", "/proc/self/mounts"),
  ]

  private static func lines(_ items: [String]) -> String { items.map { $0 + "\n" }.joined() }
}
