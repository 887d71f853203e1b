import ArgumentParser
import CInstance
import Dispatch
import FoundationEssentials
import Glibc

/// The one binary. An instance's launcher and init are this program too and run before anything of Swift's runtime is started, because
/// they must have a single thread.
@main
enum Main {
  static func main() {
    if rs_instance_wants(CommandLine.argc, CommandLine.unsafeArgv) != 0 {
      exit(rs_instance_main(CommandLine.argc, CommandLine.unsafeArgv))
    }
    signal(SIGPIPE, SIG_IGN)
    Task {
      await Roadstead.main()
      exit(0)
    }
    dispatchMain()
  }
}

struct Roadstead: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "roadstead",
    abstract: "Your own AWS-compatible DevOps region, on machines you own.",
    discussion: """
      Start a region, point the AWS CLI at it, and what you ask for happens for real:

        roadstead up                       # starts the region and says where it listens
        eval "$(roadstead env)"            # in another shell: endpoint and keys
        aws s3 mb s3://releases

      `roadstead doctor` says what this machine can do and how to mend what it cannot.
      """,
    subcommands: [
      Up.self, Down.self, Env.self, AWS.self, Account.self, DoctorCommand.self, Agent.self, Plane.self, Version.self,
    ])
}

/// Flags that several commands share.
struct HomeOption: ParsableArguments {
  @Option(help: ArgumentHelp("The directory that holds the region.", valueName: "dir"))
  var home: String = HomeOption.defaultHome

  static var defaultHome: String {
    if let given = environment("ROADSTEAD_HOME") { return given }
    if let data = environment("XDG_DATA_HOME") { return data + "/roadstead" }
    return (environment("HOME") ?? "/var/lib") + "/.local/share/roadstead"
  }

  func validate() throws {
    // An empty variable in somebody's script must not make the working directory a region's home.
    guard !home.isEmpty else { throw ValidationError("--home takes a directory, not an empty text.") }
  }

  /// Absolute, without `.` and `..`.
  var path: String { URL(filePath: home).standardizedFileURL.path(percentEncoded: false).trimmingTrailingSlash }
}

func environment(_ name: String) -> String? {
  guard let value = getenv(name), value.pointee != 0 else { return nil }
  return String(cString: value)
}

extension String {
  fileprivate var trimmingTrailingSlash: String { count > 1 && hasSuffix("/") ? String(dropLast()) : self }
}

extension String {
  /// In single quotes for a shell, whatever it contains.
  var shellQuoted: String { "'" + split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'" }

  /// As one word of a shell: quoted where it must be.
  var shellWord: String {
    let plain =
      !isEmpty
      && utf8.allSatisfy { byte in
        (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte) || "/._-+:,@%=".utf8.contains(byte)
      }
    return plain ? self : shellQuoted
  }
}

/// This program's own file.
var executablePath: String {
  var buffer = [CChar](repeating: 0, count: 4096)
  let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
  return count > 0 ? String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) : CommandLine.arguments[0]
}

/// Writes a line to standard output at once, even into a pipe.
func say(_ text: String) { put(text, on: STDOUT_FILENO) }

/// Writes a line to standard error.
func complain(_ text: String) { put(text, on: STDERR_FILENO) }

private func put(_ text: String, on descriptor: Int32) {
  var bytes = Array((text + "\n").utf8)[...]
  while !bytes.isEmpty {
    let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    guard count > 0 else { return }
    bytes = bytes.dropFirst(count)
  }
}
