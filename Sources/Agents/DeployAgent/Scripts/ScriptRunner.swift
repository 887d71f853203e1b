import Glibc

/// A script that did not do its work: what goes into the diagnostics.
struct ScriptFailure: Error, Sendable, Equatable {
  var code: Diagnostics.Code
  var scriptName: String
  var message: String
  var log: String
}

/// Runs the scripts of one lifecycle event in order; the first failure ends it. Blocks its thread.
struct ScriptRunner {
  var archive: String
  /// The whole environment of the scripts.
  var environment: [String: String]
  let log: ScriptLog
  let tools: SystemTools
  /// Seconds from SIGTERM to SIGKILL.
  var grace: Double = 5

  func run(_ script: AppSpec.Script) throws(ScriptFailure) {
    log.script(script.location)
    let path = RelativePath.join(archive, RelativePath.clean(script.location) ?? "")
    guard Disk.exists(path) else {
      throw failure(.scriptMissing, script, "Script does not exist at specified location: \(path)")
    }
    if access(path, X_OK) != 0 || !isExecutable(path) {
      guard let info = Disk.stat(path), chmod(path, info.st_mode & 0o7777 | 0o111) == 0 else {
        throw failure(.scriptNotExecutable, script, "Unable to set script at specified location: \(script.location) as executable")
      }
    }
    let place = "Script at specified location: \(script.location)" + (script.runas.map { " run as user \($0)" } ?? "")
    let ending: ChildProcess.Ending
    do throws(AgentError) {
      let child = try process(script, path)
      let log = log
      ending = try child.run { log.output($0, $1) }.ending
    } catch {
      log.flush()
      throw failure(.scriptFailed, script, "\(place) failed with error AgentError with message \(error.message)")
    }
    log.flush()
    switch ending {
    case .exited(0): return
    case .exited(let code): throw failure(.scriptFailed, script, "\(place) failed with exit code \(code)")
    // The official agent leaves the number empty.
    case .signalled: throw failure(.scriptFailed, script, "\(place) failed with exit code ")
    case .timedOut:
      throw failure(
        .scriptTimedOut, script,
        "Script at specified location: \(script.location) failed to complete in \(script.timeout) seconds")
    case .outputsOpen(let out, _, _):
      throw failure(
        .outputsLeftOpen, script,
        "Script at specified location: \(script.location) failed to close \(out ? "STDOUT" : "STDERR")")
    case .notStarted(let code, let step):
      throw failure(
        .scriptFailed, script,
        "\(place) failed with error \(ErrnoName.of(code)) with message \(String(cString: strerror(code))) - \(step) \(path)")
    }
  }

  /// Root may execute anything with one x bit; `access` alone would say yes to what execve then refuses.
  private func isExecutable(_ path: String) -> Bool { Disk.stat(path).map { $0.st_mode & 0o111 != 0 } ?? false }

  private func process(_ script: AppSpec.Script, _ path: String) throws(AgentError) -> ChildProcess {
    var child = ChildProcess(
      path: path, arguments: [path], environment: environment, timeout: Double(script.timeout), grace: grace)
    let isRoot = geteuid() == 0
    let wanted = try script.runas.map { name throws(AgentError) in try Accounts.user(name.isEmpty ? "root" : name) }
    if isRoot {
      // Already root: sudo would add nothing but the loss of the variables.
      guard let wanted else { return child }
      child.user = wanted
      child.environment["HOME"] = wanted.home
      child.environment["SHELL"] = wanted.shell.isEmpty ? "/bin/sh" : wanted.shell
      if wanted.uid != 0 {
        child.environment["USER"] = wanted.name
        child.environment["LOGNAME"] = wanted.name
      }
      return child
    }
    if !script.sudo {
      guard let wanted, wanted.uid != geteuid() else { return child }
      throw AgentError("The agent does not run as root, so it cannot run a script as \(wanted.name). Run it as root or set sudo: true.")
    }
    guard let sudo = tools.find("sudo") else {
      throw AgentError("The script asks for sudo, the agent does not run as root, and this host has no sudo.")
    }
    child.path = sudo
    child.arguments = ["sudo", "-n"] + (wanted.map { ["-u", $0.name] } ?? []) + ["--", path]
    return child
  }

  private func failure(_ code: Diagnostics.Code, _ script: AppSpec.Script, _ message: String) -> ScriptFailure {
    ScriptFailure(code: code, scriptName: script.location, message: message, log: log.tailText)
  }
}

/// Errors as the official agent names them.
enum ErrnoName {
  static func of(_ code: Int32) -> String {
    switch code {
    case EACCES: "Errno::EACCES"
    case ENOENT: "Errno::ENOENT"
    case ENOEXEC: "Errno::ENOEXEC"
    case EPERM: "Errno::EPERM"
    case ENOTDIR: "Errno::ENOTDIR"
    case EISDIR: "Errno::EISDIR"
    case E2BIG: "Errno::E2BIG"
    case EAGAIN: "Errno::EAGAIN"
    case ENOMEM: "Errno::ENOMEM"
    case ETXTBSY: "Errno::ETXTBSY"
    default: "Errno::\(code)"
    }
  }
}
