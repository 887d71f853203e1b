import FoundationEssentials
import RegionKit
import WireModel

/// One delivery of one command, as the text that an agent hands back: base64 of a JSON array of a class name and the facts, the shape
/// AWS gives it. `delivery` differs each time the command is handed out, so that only one of several can be acknowledged.
struct CommandIdentifier: Hashable, Sendable {
  var executionId: ExecutionIdentifier
  /// The agent's own host identifier.
  var hostIdentifier: String
  var command: String
  /// 1-based, as AWS counts.
  var position: Int
  var delivery: String

  private static let className = "com.amazonaws.codedeploy.HostCommandIdentifier"

  var text: String {
    let facts: [JSONMember] = [
      JSONMember("deploymentId", .string(executionId.text)), JSONMember("hostId", .string(hostIdentifier)),
      JSONMember("commandName", .string(command)), JSONMember("commandPosition", .int(Int64(position))),
      JSONMember("commandAttempt", .string(delivery)),
    ]
    return Data(JSONWriter.write(.array([.string(Self.className), .object(facts)]))).base64EncodedString()
  }

  init(executionId: ExecutionIdentifier, hostIdentifier: String, command: String, position: Int, delivery: String) {
    self.executionId = executionId
    self.hostIdentifier = hostIdentifier
    self.command = command
    self.position = position
    self.delivery = delivery
  }

  /// Nil when the text is none of ours.
  init?(_ text: String) {
    guard text.utf8.count <= 8192, let bytes = Data(base64Encoded: text), let json = try? JSONReader.read(Array(bytes)),
      let parts = json.asArray, parts.count == 2,
      let deployment = parts[1]["deploymentId"]?.asString, let executionId = ExecutionIdentifier(deployment),
      let host = parts[1]["hostId"]?.asString, let command = parts[1]["commandName"]?.asString,
      let position = parts[1]["commandPosition"]?.asInt, (1...100).contains(position),
      let delivery = parts[1]["commandAttempt"]?.asString
    else { return nil }
    self.init(executionId: executionId, hostIdentifier: host, command: command, position: Int(position), delivery: delivery)
  }
}

/// `CodeDeploy/<region>/Prod/arn:aws:sds:<region>:<account>:deployment/<id>`.
struct ExecutionIdentifier: Hashable, Sendable {
  var deploymentId: String
  var scope: Scope

  var text: String {
    "CodeDeploy/\(scope.region)/Prod/" + ARN(service: "sds", scope: scope, resource: "deployment/" + deploymentId).description
  }

  init(deploymentId: String, scope: Scope) {
    self.deploymentId = deploymentId
    self.scope = scope
  }

  init?(_ text: String) {
    let parts = text.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count == 4, parts[0] == "CodeDeploy", let arn = ARN(String(parts[3])), arn.region == parts[1],
      arn.resource.hasPrefix("deployment/")
    else { return nil }
    let id = String(arn.resource.dropFirst("deployment/".count))
    guard DeploymentID.isWellFormed(id) else { return nil }
    self.init(deploymentId: id, scope: Scope(account: AccountID(arn.account), region: RegionName(arn.region)))
  }
}

enum DeploymentID {
  /// `d-` and nine of `[A-Z0-9]`.
  static func isWellFormed(_ text: String) -> Bool {
    text.utf8.count == 11 && text.hasPrefix("d-")
      && text.utf8.dropFirst(2).allSatisfy { (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) }
  }
}
