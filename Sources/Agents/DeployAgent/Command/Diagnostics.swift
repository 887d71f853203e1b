import FoundationEssentials

/// What a completed command reports.
public struct Diagnostics: Sendable, Equatable {
  public enum Code: Int, Sendable {
    case success = 0
    case scriptMissing = 1
    case scriptNotExecutable = 2
    case scriptTimedOut = 3
    case scriptFailed = 4
    case unknown = 5
    case outputsLeftOpen = 6
    case failedAfterRestart = 7
  }
  public var code: Code
  public var scriptName = ""
  public var message: String
  public var log = ""

  /// The official agents' text, with the space at its end.
  static let succeeded = Diagnostics(code: .success, message: "Succeeded: ")
  static let completedNoop = Diagnostics(code: .success, message: "Succeeded: CompletedNoopCommand")
  static let afterRestart = Diagnostics(
    code: .failedAfterRestart, message: "Failed: Failing in-progress lifecycle event after an agent restart.")

  init(code: Code, scriptName: String = "", message: String, log: String = "") {
    self.code = code
    self.scriptName = scriptName
    self.message = message
    self.log = log
  }
  init(_ failure: ScriptFailure) {
    self.init(code: failure.code, scriptName: failure.scriptName, message: failure.message, log: failure.log)
  }

  /// The payload's JSON text. Swift strings are always encodable, so the official agent's "minimal diagnostics" never happens.
  var json: String {
    func quoted(_ text: String) -> String {
      let encoder = JSONEncoder()
      encoder.outputFormatting = .withoutEscapingSlashes
      return (try? encoder.encode(text)).map { String(decoding: $0, as: UTF8.self) } ?? "\"\""
    }
    return #"{"error_code":\#(code.rawValue),"script_name":\#(quoted(scriptName)),"message":\#(quoted(message)),"log":\#(quoted(log))}"#
  }
}
