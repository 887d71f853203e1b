import CProcess
import Glibc

/// One program run to its end; see CProcess.h for the rules. Blocks its thread.
struct ChildProcess {
  enum Ending: Equatable, Sendable {
    case exited(Int)
    case signalled(Int)
    /// The program had to be ended at the deadline.
    case timedOut
    /// It exited, but something that it left behind holds these outputs.
    case outputsOpen(stdout: Bool, stderr: Bool, exitCode: Int)
    /// It never ran: errno and the step that failed.
    case notStarted(Int32, step: String)
  }
  struct Result: Sendable { var ending: Ending }
  enum Stream: Int32, Sendable { case stdout = 1, stderr = 2 }

  var path: String
  var arguments: [String]
  var environment: [String: String]
  /// Seconds.
  var timeout: Double
  /// Seconds from SIGTERM to SIGKILL.
  var grace: Double = 5
  var directory = "/"
  var user: Accounts.User?

  typealias Output = (Stream, UnsafeBufferPointer<UInt8>) -> Void

  func run(_ output: Output) throws(AgentError) -> Result {
    var result = rs_process_result()
    let code = withoutActuallyEscaping(output) { output in
      let box = OutputBox(output)
      return withExtendedLifetime(box) { start(box, &result) }
    }
    guard code == 0 else { throw AgentError("\(path) cannot be started: \(String(cString: strerror(code)))") }
    return Result(ending: Self.ending(result))
  }

  private func start(_ box: OutputBox, _ result: inout rs_process_result) -> Int32 {
    let context = Unmanaged.passUnretained(box).toOpaque()
    let pairs = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    return withCStrings(arguments) { argv in
      withCStrings(pairs) { envp in
        path.withCString { path in
          directory.withCString { directory in
            (user?.groups ?? []).withUnsafeBufferPointer { groups in
              var spec = rs_process_spec()
              spec.path = path
              spec.argv = argv
              spec.envp = envp
              spec.cwd = directory
              spec.change_user = user == nil ? 0 : 1
              spec.uid = user?.uid ?? 0
              spec.gid = user?.gid ?? 0
              spec.groups = groups.baseAddress
              spec.group_count = groups.count
              spec.timeout_ms = Int64(min(timeout, 1e9) * 1000)
              spec.grace_ms = Int64(grace * 1000)
              return rs_process_run(
                &spec,
                { context, stream, bytes, count in
                  guard let context, let stream = Stream(rawValue: stream) else { return }
                  let box = Unmanaged<OutputBox>.fromOpaque(context).takeUnretainedValue()
                  box.output(stream, UnsafeBufferPointer(start: bytes, count: count))
                }, context, &result)
            }
          }
        }
      }
    }
  }

  private static func ending(_ result: rs_process_result) -> Ending {
    if result.spawn_errno != 0 {
      return .notStarted(result.spawn_errno, step: result.spawn_step.map { String(cString: $0) } ?? "fork")
    }
    if result.timed_out != 0 { return .timedOut }
    if result.stdout_open != 0 || result.stderr_open != 0 {
      return .outputsOpen(stdout: result.stdout_open != 0, stderr: result.stderr_open != 0, exitCode: Int(result.exit_code))
    }
    return result.exit_code >= 0 ? .exited(Int(result.exit_code)) : .signalled(Int(result.signal))
  }
}

private final class OutputBox {
  let output: ChildProcess.Output
  init(_ output: @escaping ChildProcess.Output) { self.output = output }
}

/// A NULL-terminated array of C strings that lives during the call.
private func withCStrings<R>(_ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>?) -> R) -> R {
  let copies = strings.map { strdup($0) }
  defer { for copy in copies { free(copy) } }
  let pointers = copies.map { UnsafePointer($0) } + [nil]
  return pointers.withUnsafeBufferPointer { body($0.baseAddress) }
}
