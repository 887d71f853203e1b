import ArgumentParser
import FoundationEssentials
import Glibc
import Region
import RegionKit

struct Env: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Print the shell lines that point AWS clients at the region.",
    discussion: "eval \"$(roadstead env)\"\n\nWith --profile NAME it writes an AWS CLI profile instead and prints its name.")

  @OptionGroup var home: HomeOption
  @Option(help: ArgumentHelp("Write the profile NAME to the AWS configuration and credentials files.", valueName: "name"))
  var profile: String?

  func run() throws {
    let access: RegionHome.Access
    do { access = try RegionHome(home.path).access() } catch {
      complain("roadstead: \(explain(error))")
      throw ExitCode(1)
    }
    if let profile {
      do { try AWSProfile.write(profile, access) } catch {
        complain("roadstead: \(explain(error))")
        throw ExitCode(1)
      }
      say("export AWS_PROFILE='\(profile)'")
      return
    }
    var lines = [
      ("AWS_ENDPOINT_URL", access.endpoint), ("AWS_ACCESS_KEY_ID", access.accessKeyId),
      ("AWS_SECRET_ACCESS_KEY", access.secretAccessKey), ("AWS_DEFAULT_REGION", access.region),
    ]
    if let bundle = access.caBundle { lines.append(("AWS_CA_BUNDLE", bundle)) }
    // A profile or session token of the shell would win over the keys.
    say("unset AWS_PROFILE AWS_SESSION_TOKEN")
    for (name, value) in lines { say("export \(name)=\(value.shellQuoted)") }
  }
}

/// A profile in the AWS CLI's own files; other sections stay as they are.
enum AWSProfile {
  static func write(_ name: String, _ access: RegionHome.Access) throws {
    guard !name.isEmpty,
      name.utf8.allSatisfy({
        $0 == 0x2d || $0 == 0x5f || $0 == 0x2e || (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0)
      })
    else { throw AWSError("InvalidProfile", "A profile's name has letters, digits, '.', '_' and '-' only, not '\(name)'.") }
    let folder = (environment("HOME") ?? "/root") + "/.aws"
    mkdir(folder, 0o700)
    let config = environment("AWS_CONFIG_FILE") ?? folder + "/config"
    let credentials = environment("AWS_SHARED_CREDENTIALS_FILE") ?? folder + "/credentials"
    var settings = ["endpoint_url = \(access.endpoint)", "region = \(access.region)"]
    if let bundle = access.caBundle { settings.append("ca_bundle = \(bundle)") }
    try replace(section: name == "default" ? "default" : "profile \(name)", in: config, with: settings)
    try replace(
      section: name, in: credentials,
      with: ["aws_access_key_id = \(access.accessKeyId)", "aws_secret_access_key = \(access.secretAccessKey)"])
  }

  private static func replace(section: String, in path: String, with lines: [String]) throws {
    let old = (try? String(contentsOf: URL(filePath: path), encoding: .utf8)) ?? ""
    var kept: [Substring] = []
    var inside = false
    for line in old.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("[") { inside = line == "[\(section)]" }
      if !inside { kept.append(line) }
    }
    while kept.last?.isEmpty == true { kept.removeLast() }
    let text = (kept.isEmpty ? "" : kept.joined(separator: "\n") + "\n\n") + "[\(section)]\n" + lines.joined(separator: "\n") + "\n"
    try text.write(to: URL(filePath: path), atomically: true, encoding: .utf8)
    chmod(path, 0o600)
  }
}

struct AWS: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "aws",
    abstract: "Run the aws CLI against the region.",
    discussion: """
      roadstead aws s3 ls

      Sets endpoint, keys and region, and passes --endpoint-url too: CLI 1.x ignores AWS_ENDPOINT_URL for some services.
      """)

  @Option(help: ArgumentHelp("The directory that holds the region.", valueName: "dir"))
  var home: String?
  @Argument(parsing: .captureForPassthrough, help: "The aws CLI's own arguments.")
  var arguments: [String] = []

  func run() throws {
    var rest = arguments
    var folder = home
    if rest.first == "--help" { throw CleanExit.helpRequest(self) }
    if rest.first == "--home", rest.count >= 2 {
      folder = rest[1]
      rest.removeFirst(2)
    }
    let access: RegionHome.Access
    do { access = try RegionHome(folder ?? HomeOption.defaultHome).access() } catch {
      complain("roadstead: \(explain(error))")
      throw ExitCode(1)
    }
    setenv("AWS_ENDPOINT_URL", access.endpoint, 1)
    setenv("AWS_ACCESS_KEY_ID", access.accessKeyId, 1)
    setenv("AWS_SECRET_ACCESS_KEY", access.secretAccessKey, 1)
    setenv("AWS_DEFAULT_REGION", access.region, 1)
    if let bundle = access.caBundle { setenv("AWS_CA_BUNDLE", bundle, 1) }
    unsetenv("AWS_PROFILE")
    unsetenv("AWS_SESSION_TOKEN")
    let words = ["aws", "--endpoint-url", access.endpoint] + rest
    var argv: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    execvp("aws", &argv)
    complain("roadstead: the aws CLI cannot be started (\(String(cString: strerror(errno)))). Install it with `pip install awscli`.")
    throw ExitCode(127)
  }
}
