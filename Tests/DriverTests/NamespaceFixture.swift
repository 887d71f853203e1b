import Foundation
import NamespaceDriver
import Ports
import RegionKit
import XCTest

/// A home of its own for one test, and everything it takes to look into instances.
final class NamespaceFixture: DriverFixture, @unchecked Sendable {
  static let prefix = "roadstead-driver-tests-"
  let home: String
  let namespace: NamespaceDriver
  var driver: any InstanceDriver { namespace }

  /// Skips the test where instances cannot run.
  init(_ test: XCTestCase, userNamespaces: Bool = true) async throws {
    let problem = Doctor.probes(home: "/tmp").first { $0.required && !$0.ok }
    if let problem { throw XCTSkip("\(problem.name): \(problem.detail). \(problem.fix ?? "")") }
    let launcher = try Self.launcher.get()
    home = NSTemporaryDirectory() + "/\(Self.prefix)\(getpid())-\(UInt32.random(in: 0 ... .max))"
    namespace = try NamespaceDriver(
      home: home, launcherPath: launcher, agentBinary: launcher, imageCache: "/tmp/roadstead-image-cache",
      userNamespaces: userNamespaces)
    let (namespace, home) = (namespace, home)
    test.addTeardownBlock {
      for id in try await namespace.list() { try await namespace.destroy(instanceId: id) }
      try await namespace.teardown()
      try FileManager.default.removeItem(atPath: home)
    }
  }

  func reopened() async throws -> any InstanceDriver { try reopen() }
  func reopen(userNamespaces: Bool = true) throws -> NamespaceDriver {
    try NamespaceDriver(
      home: home, launcherPath: try Self.launcher.get(), agentBinary: nil, imageCache: "/tmp/roadstead-image-cache",
      userNamespaces: userNamespaces)
  }

  func crash(_ handle: InstanceHandle) async throws {
    guard let pid = handle.facts["pid"].flatMap({ pid_t($0) }), pid > 1 else { return XCTFail("no pid in the handle") }
    kill(pid, SIGKILL)
  }

  /// The writable layer, seen from the host.
  func text(_ path: String, in instanceId: String) -> String? {
    try? String(contentsOfFile: "\(home)/instances/\(instanceId)/upper\(path)", encoding: .utf8)
  }

  /// Waits until the file is there and holds `marker`; what it holds then.
  func waitFor(_ path: String, in instanceId: String, toHold marker: String = "", seconds: Double = 30) async throws -> String {
    let end = Date().addingTimeInterval(seconds)
    while Date() < end {
      if let text = text(path, in: instanceId), marker.isEmpty || text.contains(marker) { return text }
      try await Task.sleep(for: .milliseconds(10))
    }
    let console = String(decoding: try await driver.consoleOutput(instanceId: instanceId), as: UTF8.self)
    XCTFail("\(path) did not come; the console:\n\(console)")
    return ""
  }

  /// Runs a program of the host and answers what it printed.
  static func run(_ path: String, _ arguments: [String]) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: output, as: UTF8.self))
  }

  /// The launcher as a program of its own, since the test's executable cannot be it. Homes that killed runs left are removed too.
  static let launcher: Result<String, any Error> = Result {
    removeLeftHomes()
    let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Sources/C/CInstance")
    let directory = NSTemporaryDirectory() + "/roadstead-test-launcher-\(getpid())"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    atexit { try? FileManager.default.removeItem(atPath: NSTemporaryDirectory() + "/roadstead-test-launcher-\(getpid())") }
    let main = directory + "/main.c"
    try "#include \"CInstance.h\"\nint main(int c, char **v) { return rs_instance_main(c, v); }\n"
      .write(toFile: main, atomically: true, encoding: .utf8)
    let files = try FileManager.default.contentsOfDirectory(atPath: sources.path).filter { $0.hasSuffix(".c") }
    let built = try run(
      "/usr/bin/cc",
      ["-O1", "-Wall", "-Werror", "-I", sources.path + "/include", "-o", directory + "/launcher", main]
        + files.map { sources.path + "/" + $0 })
    if built.status != 0 { throw AWSError("InternalError", built.output) }
    return directory + "/launcher"
  }

  private static func removeLeftHomes() {
    let temporary = NSTemporaryDirectory()
    for name in (try? FileManager.default.contentsOfDirectory(atPath: temporary)) ?? [] where name.hasPrefix(prefix) {
      let pid = name.dropFirst(prefix.count).split(separator: "-").first.flatMap { pid_t($0) } ?? 0
      if pid > 0, kill(pid, 0) == 0 { continue }
      let path = temporary + "/" + name
      let done = DispatchSemaphore(value: 0)
      Task.detached {
        try? await NamespaceDriver.teardown(home: path, grace: 0)
        try? FileManager.default.removeItem(atPath: path)
        done.signal()
      }
      done.wait()
    }
  }
}
