import ArgumentParser
import Dispatch
import FoundationEssentials
import Glibc
import Logging
import Region
import RegionKit

struct Up: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Start the region and run it until SIGTERM or Ctrl-C.",
    discussion: """
      The first start makes the home, a root key and the region's CA. Instances that ran when the region was stopped start again;
      those that outlived a crash are found again. SIGTERM stops everything cleanly.
      """)

  @OptionGroup var home: HomeOption
  @Option(help: "The port for people and tools; 0 lets the system choose.")
  var port: Int = 4566
  @Option(help: ArgumentHelp("The address to listen on. Anything but loopback is served over TLS.", valueName: "address"))
  var bind: String = "127.0.0.1"
  @Option(help: "The region that `env` prints. Calls may name any other.")
  var region: String = "us-east-1"
  @Option(help: "The first account's id, 12 digits.")
  var account: String = "123456789012"
  @Option(help: "How many times faster the region's own waits pass (bakes, cooldowns, periods). Never silent: it is logged.")
  var timeScale: Double = 1
  @Option(help: ArgumentHelp("Where base images are kept so that several homes share them.", valueName: "dir"))
  var imageCache: String?
  @Option(help: "debug, info, notice, warning or error.")
  var logLevel: String = "notice"

  func validate() throws {
    guard AccountID(account).isWellFormed else { throw ValidationError("--account takes 12 digits, not '\(account)'.") }
    if let bad = home.path.first(where: { ":,\\\"\n".contains($0) }) {
      throw ValidationError("--home must not contain '\(bad)': the overlay mounts of instances cannot take it.")
    }
    guard (0...65535).contains(port) else { throw ValidationError("--port takes 0 to 65535, not \(port).") }
    guard timeScale >= 1, timeScale.isFinite else { throw ValidationError("--time-scale takes a number of at least 1.") }
    guard Logger.Level(rawValue: logLevel) != nil else { throw ValidationError("--log-level '\(logLevel)' is not a level.") }
    guard !region.isEmpty, region.utf8.count <= 64,
      region.utf8.allSatisfy({ $0 == 0x2d || (0x30...0x39).contains($0) || (0x61...0x7a).contains($0) })
    else { throw ValidationError("--region takes lower-case letters, digits and hyphens, not '\(region)'.") }
  }

  func run() async throws {
    let level = Logger.Level(rawValue: logLevel) ?? .notice
    LoggingSystem.bootstrap { label in
      var handler = StreamLogHandler.standardError(label: label)
      handler.logLevel = level
      return handler
    }
    let options = RegionOptions(
      home: home.path, bind: bind, port: port, region: RegionName(region), account: AccountID(account), timeScale: timeScale,
      imageCache: imageCache ?? environment("ROADSTEAD_IMAGE_CACHE"), executable: executablePath)
    let signals = Signals([SIGTERM, SIGINT])
    let running: RunningRegion
    do {
      running = try await RunningRegion.start(options) { line in complain("roadstead: \(line)") }
    } catch {
      complain("roadstead: \(explain(error))")
      throw ExitCode(1)
    }
    say("Roadstead region \(region), account \(account)" + (timeScale > 1 ? ", time runs \(timeScale) times faster" : ""))
    say("listening on \(running.endpoint)")
    say("use it:  eval \"$(roadstead env --home \(home.path.shellWord))\"")
    await signals.first()
    complain("roadstead: stopping")
    await running.stop()
    complain("roadstead: stopped")
  }
}

/// The message of an error for people: an AWSError's own message, else its description.
func explain(_ error: any Error) -> String { (error as? AWSError)?.message ?? String(describing: error) }

/// Waits for the first of some signals.
struct Signals {
  private let stream: AsyncStream<Int32>
  private let sources: [any DispatchSourceSignal]

  init(_ numbers: [Int32]) {
    let (stream, continuation) = AsyncStream.makeStream(of: Int32.self)
    self.stream = stream
    sources = numbers.map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { continuation.yield(number) }
      source.resume()
      return source
    }
  }

  func first() async {
    var iterator = stream.makeAsyncIterator()
    _ = await iterator.next()
  }
}
