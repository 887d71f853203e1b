import ArgumentParser
import Glibc
import MetadataPlane
import NamespaceDriver
import Region
import RegionKit

struct Down: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Stop a region's instances and planes and release what they hold, also after a crash.",
    discussion: "Keeps the home: the next `up` finds everything again. A region that still runs is asked to stop first.")

  @OptionGroup var home: HomeOption

  func run() async throws {
    guard access(home.path, F_OK) == 0 else {
      complain("roadstead: there is no home at \(home.path), so nothing to stop.")
      throw ExitCode(1)
    }
    do {
      try await RunningRegion.stopHolder(of: home.path)
      try await MetadataPlaneMain.stop(home: home.path)
      try await NamespaceDriver.teardown(home: home.path)
    } catch {
      complain("roadstead: \(explain(error))")
      throw ExitCode(1)
    }
    say("down: \(home.path)")
  }
}

struct Plane: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run one data plane (the region starts these itself).", shouldDisplay: false, subcommands: [Metadata.self])

  struct Metadata: AsyncParsableCommand {
    @OptionGroup var home: HomeOption
    func run() async throws {
      do { try await MetadataPlaneMain.run(home: home.path) } catch {
        complain("roadstead: \(explain(error))")
        throw ExitCode(1)
      }
    }
  }
}
