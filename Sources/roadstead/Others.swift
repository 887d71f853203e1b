import ArgumentParser
import DeployAgent
import Glibc
import NamespaceDriver
import Region
import RegionKit

struct Account: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Accounts of a region.", subcommands: [Create.self, List.self])

  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Make an account and print its id and root key.")
    @OptionGroup var home: HomeOption
    @Argument(help: "The account's name.")
    var name: String

    func run() async throws {
      do {
        let made = try await RunningRegion.createAccount(named: name, home: home.path)
        say("account \(made.account)")
        say("aws_access_key_id \(made.accessKeyId)")
        say("aws_secret_access_key \(made.secretAccessKey)")
      } catch {
        complain("roadstead: \(explain(error))")
        throw ExitCode(1)
      }
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the accounts.")
    @OptionGroup var home: HomeOption

    func run() async throws {
      do {
        for account in try await RunningRegion.accounts(home: home.path) { say("\(account.id)  \(account.name)") }
      } catch {
        complain("roadstead: \(explain(error))")
        throw ExitCode(1)
      }
    }
  }
}

struct DoctorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "Say what this machine can do and how to mend what it cannot.")
  @OptionGroup var home: HomeOption

  func run() async throws {
    let probes = Doctor.probes(home: home.path) + EndpointDoctor.probes(home: home.path)
    let width = probes.map(\.name.count).max() ?? 0
    for probe in probes {
      let mark = probe.ok ? "✓" : probe.required ? "✗" : "–"
      say("\(mark) \(probe.name.padded(to: width))  \(probe.detail)")
      if let fix = probe.fix { say("  \("".padded(to: width))  fix: \(fix)") }
    }
    if probes.contains(where: { !$0.ok && $0.required }) { throw ExitCode(1) }
  }
}

extension String {
  fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}

struct Agent: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run the deploy agent on this host.",
    discussion: "Speaks the CodeDeploy command protocol and reads the official agent's configuration file.")
  @Option(help: ArgumentHelp("The agent's configuration.", valueName: "file"))
  var config: String = "/etc/codedeploy-agent/conf/codedeployagent.yml"
  @Flag(help: "End when a poll finds no command.")
  var once = false

  func run() async throws {
    do { try await DeployAgentMain.run(configPath: config, once: once, version: "ROADSTEAD_\(RegionVersion.text)") } catch {
      complain("roadstead agent: \(explain(error))")
      throw ExitCode(1)
    }
  }
}

struct Version: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Print the version.")
  func run() { say("roadstead \(RegionVersion.text)") }
}
