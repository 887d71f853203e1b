import Glibc

/// Carries out a plan on the local disk. Blocks its thread.
struct InstallExecutor {
  let tools: SystemTools
  private var isRoot: Bool { geteuid() == 0 }

  init(tools: SystemTools) { self.tools = tools }

  func execute(_ plan: InstallPlan, cleanupFile: String) throws(AgentError) {
    let cleanup = try CleanupFile.Writer(cleanupFile)
    defer { cleanup.sync() }
    for instruction in plan.instructions {
      switch instruction {
      case .copy(let source, let destination):
        // Before the copy: a crash in the middle of it must not leave a file that nobody removes.
        try cleanup.add(.path(destination))
        try copy(source, destination)
      case .mkdir(let directory):
        guard mkdir(directory, 0o755) == 0 else { throw Disk.failure("mkdir", directory) }
        chmod(directory, 0o755)
        // After it: the cleanup must not remove somebody else's directory.
        try cleanup.add(.path(directory))
      case .chmod(let mode, let file):
        guard let bits = mode_t(mode, radix: 8), chmod(file, bits) == 0 else { throw Disk.failure("chmod", file) }
      case .setfacl(let acl, let file): try tools.setACL(acl, file)
      case .semanage(let context, let file):
        let target = Disk.realPath(file) ?? file
        try cleanup.add(.semanage(target))
        try tools.setContext(context, target)
      case .chown(let owner, let group, let file):
        let user = try owner.map { name throws(AgentError) in try Accounts.user(name).uid } ?? uid_t.max
        let group = try group.map { name throws(AgentError) in try Accounts.group(name) } ?? gid_t.max
        guard chown(file, user, group) == 0 else { throw Disk.failure("chown", file) }
      }
    }
  }

  /// Keeps mode, owner and time of last change. Whatever was at the destination is replaced, a link itself and not what it points to.
  private func copy(_ source: String, _ destination: String) throws(AgentError) {
    guard let info = Disk.lstat(source) else { throw AgentError("No such file or directory - \(source)") }
    if let existing = Disk.kind(destination) {
      guard existing != .directory else { throw AgentError("Is a directory - \(destination)") }
      guard unlink(destination) == 0 else { throw Disk.failure("unlink", destination) }
    }
    switch Disk.kind(info) {
    case .symlink:
      guard symlink(try Disk.readLink(source), destination) == 0 else { throw Disk.failure("symlink", destination) }
      if isRoot { lchown(destination, info.st_uid, info.st_gid) }
    case .file: try copyContent(source, destination, info)
    case .directory, .other: throw AgentError("Not a regular file - \(source)")
    }
  }

  private func copyContent(_ source: String, _ destination: String, _ info: FileStatus) throws(AgentError) {
    let from = open(source, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard from >= 0 else { throw Disk.failure("open", source) }
    defer { close(from) }
    let to = open(destination, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard to >= 0 else { throw Disk.failure("open", destination) }
    defer { close(to) }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)
    defer { buffer.deallocate() }
    while true {
      let count = read(from, buffer.baseAddress, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw Disk.failure("read", source) }
      if count == 0 { break }
      var done = 0
      while done < count {
        let written = write(to, buffer.baseAddress! + done, count - done)
        if written < 0, errno == EINTR { continue }
        guard written > 0 else { throw Disk.failure("write", destination) }
        done += written
      }
    }
    if isRoot, fchown(to, info.st_uid, info.st_gid) != 0 { throw Disk.failure("chown", destination) }
    guard fchmod(to, info.st_mode & 0o7777) == 0 else { throw Disk.failure("chmod", destination) }
    let times = [info.st_mtim, info.st_mtim]
    futimens(to, times)
  }
}
