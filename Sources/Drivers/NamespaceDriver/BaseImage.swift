/// Which of the host's files make the built-in image, and which never do. Pure rules; see `BaseImageBuilder` for the copying.
enum BaseImage {
  /// Part of the layer's id: another number makes every region build its base image anew.
  static let rulesVersion = 5

  /// The same host release and rules give the same id.
  static func layerId() -> String {
    let release = (Posix.text("/etc/os-release") ?? "") + (Posix.text("/etc/debian_version") ?? "")
    return "base-" + HomeLayout.tag(of: "\(rulesVersion)\n\(release)")
  }

  static func systemName() -> String {
    let line = (Posix.text("/etc/os-release") ?? "").split(separator: "\n").first { $0.hasPrefix("PRETTY_NAME=") }
    return line.map { $0.dropFirst("PRETTY_NAME=".count).filter { $0 != "\"" } } ?? "Linux"
  }

  /// The trees that are copied. Everything else of the host stays where it is; /root, /home, /opt, /srv and /var begin empty.
  static let roots = ["/usr", "/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/var/lib/dpkg", "/var/lib/pam"]

  /// Directories and files left out, with everything below.
  static let skipped: Set<String> = [
    // bulk that no server needs
    "/usr/share/doc", "/usr/share/man", "/usr/share/info", "/usr/share/locale", "/usr/share/icons", "/usr/share/fonts",
    "/usr/share/help", "/usr/share/gtk-doc", "/usr/share/vim", "/usr/share/X11", "/usr/share/java", "/usr/share/maven-repo",
    "/usr/share/tcltk", "/usr/share/alsa", "/usr/share/sounds", "/usr/share/backgrounds", "/usr/share/package-lists",
    "/usr/share/google-cloud-sdk", "/usr/share/lintian", "/usr/share/bug", "/usr/share/gdb", "/usr/share/i18n/locales",
    "/usr/include", "/usr/src", "/usr/games", "/usr/lib/debug", "/usr/lib/gcc", "/usr/lib/jvm", "/usr/lib/node_modules",
    "/usr/lib/google-cloud-sdk", "/usr/lib/rustlib", "/usr/lib/go", "/usr/lib/dotnet", "/usr/lib/swift", "/usr/lib/modules",
    "/usr/lib/firmware", "/usr/lib/postgresql", "/usr/lib/libreoffice", "/usr/lib/perf-core", "/usr/libexec/gcc",
    "/usr/lib/snapd", "/usr/lib/docker", "/usr/libexec/docker", "/usr/lib/podman", "/snap",
    // not the distribution's, so not known to be free of secrets
    "/usr/local", "/usr/etc",
    // accounts and keys: the image has its own (see BaseImageFiles)
    "/etc/passwd", "/etc/passwd-", "/etc/shadow", "/etc/shadow-", "/etc/group", "/etc/group-", "/etc/gshadow", "/etc/gshadow-",
    "/etc/subuid", "/etc/subuid-", "/etc/subgid", "/etc/subgid-", "/etc/sudoers.d", "/etc/sudoers", "/etc/ssl/private",
    "/etc/letsencrypt", "/etc/krb5.keytab", "/etc/security/opasswd", "/etc/.pwd.lock",
    // what names this host, its networks and its services
    "/etc/machine-id", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/etc/mtab", "/etc/fstab", "/etc/crypttab",
    "/etc/environment", "/etc/network/interfaces", "/etc/network/interfaces.d", "/etc/netplan", "/etc/NetworkManager",
    "/etc/wpa_supplicant", "/etc/wireguard", "/etc/openvpn", "/etc/ipsec.d", "/etc/ppp", "/etc/docker", "/etc/containerd",
    "/etc/containers", "/etc/kubernetes", "/etc/rancher", "/etc/cloud", "/etc/cron.d", "/etc/crontab", "/etc/aws", "/etc/boto.cfg",
    "/etc/gitconfig", "/etc/npmrc", "/etc/pip.conf", "/etc/apt/auth.conf", "/etc/apt/auth.conf.d", "/etc/postgresql",
    "/etc/mysql", "/etc/redis", "/etc/rc.local", "/etc/profile.d", "/etc/ld.so.preload", "/etc/exports", "/etc/samba",
    // the package database without its bulk
    "/var/lib/dpkg/lock", "/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/updates",
  ]

  /// Directory names left out below /usr/lib, wherever they are.
  static let skippedNames: Set<String> = [
    "__pycache__.old", "node_modules", "cmake", "pkgconfig", "valgrind", "dri", "ldscripts", "gprofng", "girepository-1.0",
    "gtk-2.0", "gtk-3.0", "gstreamer-1.0", "idlelib", "tkinter", "pydoc_data", "ensurepip",
  ]

  static let skippedPrefixes = [
    "/usr/lib/llvm", "/usr/lib/python3/dist-packages/pip", "/usr/share/python-wheels", "/etc/ssh/ssh_host_",
  ]

  /// Libraries of compilers, sanitizers, desktops and video, and programs of the tool chain, by the beginning of their names.
  static let skippedLibraries = [
    "libLLVM", "libclang", "libz3.", "libasan", "libtsan", "liblsan", "libubsan", "libhwasan", "libisl", "libgprofng", "libpfm",
    "librsvg", "libgtk-", "libgdk-", "libQt", "libwebkit", "libjavascriptcore", "libgallium", "libx264", "libx265", "libSvtAv1",
    "libaom", "librav1e", "libdav1d", "libavcodec", "libMagick", "libtk8", "libgstreamer",
  ]
  static let skippedPrograms = [
    "gdb", "perf", "gcc", "g++", "cpp", "clang", "lldb", "swift", "rustc", "cargo", "ctags", "optscript", "cscope",
  ]

  /// Larger single files are engines and interpreters of other languages; the largest library of a server, ICU's data, has 31 MiB.
  static let largestFile: Int64 = 40 << 20

  enum Kind: Sendable { case directory, file, link }

  /// Whether this path of the host becomes part of the image. For a directory, no means nothing below either.
  static func includes(_ path: String, kind: Kind, size: Int64 = 0, mode: UInt32 = 0o755) -> Bool {
    if skipped.contains(path) || skippedPrefixes.contains(where: path.hasPrefix) { return false }
    let name = path.split(separator: "/").last.map(String.init) ?? ""
    switch kind {
    case .link: return !isSecretName(name, in: path)
    case .directory:
      if path.hasPrefix("/usr/lib"), skippedNames.contains(name) { return false }
      // Python's own test suite, not a package that happens to be called test.
      if name == "test" || name == "tests", path.hasPrefix("/usr/lib/python3") { return false }
      return !isSecretName(name, in: path)
    case .file:
      if size > largestFile { return false }
      if path.hasPrefix("/usr/lib/"), skippedLibraries.contains(where: name.hasPrefix) { return false }
      if path.hasPrefix("/usr/bin/"), isToolChain(name) { return false }
      if name.hasSuffix(".a") || name.hasSuffix(".o") || name.hasSuffix(".md5sums") { return false }
      // What not everybody on the host may read is a secret, whatever it is called.
      if mode & 0o004 == 0, mode & 0o001 == 0 { return false }
      return !isSecretName(name, in: path)
    }
  }

  /// Whether a configuration file's text holds what only this host shall know: a private key, a URL with a password, a variable named
  /// for a secret that is set to something.
  static func holdsCredentials(_ text: String) -> Bool {
    if text.contains("PRIVATE KEY-----") { return true }
    return text.split(whereSeparator: \.isNewline).contains { line in
      guard !line.trimmed.hasPrefix("#") else { return false }
      return hasUserInfo(line) || setsSecret(line)
    }
  }

  /// `https://user:password@host/`.
  private static func hasUserInfo(_ line: Substring) -> Bool {
    var rest = line
    while let scheme = rest.firstRange(of: "://") {
      rest = rest[scheme.upperBound...]
      let authority = rest.prefix { !"/ \t\"'?#".contains($0) }
      if let at = authority.lastIndex(of: "@"), authority[..<at].contains(":") { return true }
    }
    return false
  }

  /// `export API_TOKEN=abc`.
  private static func setsSecret(_ line: Substring) -> Bool {
    guard let equals = line.firstIndex(of: "="), line.index(after: equals) != line.endIndex else { return false }
    let name = line[..<equals].split(whereSeparator: { $0 == " " || $0 == "\t" }).last ?? ""
    guard name.allSatisfy({ $0.isUppercase || $0 == "_" || $0.isNumber }) else { return false }
    return ["SECRET", "TOKEN", "PASSWORD", "PASSWD", "API_KEY", "ACCESS_KEY"].contains(where: name.contains)
  }

  /// `gdb`, `gcc-12`, `x86_64-linux-gnu-ld.gold`.
  private static func isToolChain(_ name: String) -> Bool {
    if name.contains("-linux-gnu-") { return true }
    return skippedPrograms.contains { name == $0 || name.hasPrefix($0 + "-") }
  }

  /// Names that speak of keys and credentials, outside the trees that packages own.
  private static func isSecretName(_ name: String, in path: String) -> Bool {
    guard path.hasPrefix("/etc/") else { return false }
    if path.hasPrefix("/etc/ssl/certs/") || path.hasPrefix("/etc/pam.d/") { return false }
    let lower = name.lowercased()
    if [".key", ".pfx", ".p12", ".jks", ".keytab", ".kdbx"].contains(where: lower.hasSuffix) { return true }
    return ["secret", "credential", "netrc", "token", "htpasswd", "authorized_keys", "id_rsa", "id_ed25519"].contains {
      lower.contains($0)
    }
  }
}
