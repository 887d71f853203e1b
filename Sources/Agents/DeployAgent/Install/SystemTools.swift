import Glibc

/// The programs of the host that Install needs for access control lists and SELinux contexts. A missing one is an error that says so.
public struct SystemTools: Sendable {
  /// Where programs are looked for.
  public var searchPath: [String]
  public init(searchPath: [String] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]) { self.searchPath = searchPath }

  func setACL(_ entries: [String], _ file: String) throws(AgentError) {
    try run("setfacl", ["--set", entries.joined(separator: ","), "--", file], package: "acl")
  }
  func setContext(_ context: SecurityContext, _ file: String) throws(AgentError) {
    var arguments = ["fcontext", "-a"]
    if let user = context.user { arguments += ["-s", user] }
    arguments += ["-t", context.type]
    if let range = context.range { arguments += ["-r", range] }
    try run("semanage", arguments + [Self.pattern(file)], package: "policycoreutils-python-utils")
    try run("restorecon", ["-v", file], package: "policycoreutils")
  }
  func removeContext(_ file: String) throws(AgentError) {
    try run("semanage", ["fcontext", "-d", Self.pattern(file)], package: "policycoreutils-python-utils")
  }

  /// semanage takes a regular expression.
  private static func pattern(_ file: String) -> String {
    String(file.flatMap { ".^$*+?()[]{}|\\".contains($0) ? ["\\", $0] : [$0] })
  }

  func find(_ program: String) -> String? {
    searchPath.map { RelativePath.join($0, program) }.first { access($0, X_OK) == 0 }
  }

  private func run(_ program: String, _ arguments: [String], package: String) throws(AgentError) {
    guard let path = find(program) else {
      throw AgentError(
        "The AppSpec file asks for permissions that need the program \(program), which this host does not have. Install the package "
          + "\(package) or remove the setting.")
    }
    var output = ""
    let run = ChildProcess(
      path: path, arguments: [program] + arguments, environment: ["PATH": searchPath.joined(separator: ":"), "LC_ALL": "C"],
      timeout: 120)
    let result = try run.run { _, bytes in if output.utf8.count < 4096 { output += String(decoding: bytes, as: UTF8.self) } }
    guard result.ending == .exited(0) else {
      throw AgentError("\(program) \(arguments.joined(separator: " ")) failed (\(result.ending)): \(trimmed(output))")
    }
  }
}
