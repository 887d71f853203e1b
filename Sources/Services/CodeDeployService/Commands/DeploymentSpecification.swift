import WireModel

/// The orders of a deployment as an agent reads them.
enum DeploymentSpecificationJSON {
  static func bytes(_ deployment: DeploymentRecord) -> [UInt8] {
    let overrides = object([("AgentOverrides", object([("FileExistsBehavior", .string(deployment.fileExistsBehavior))]))])
    return JSONWriter.write(
      object([
        ("DeploymentId", .string(deployment.deploymentId)), ("DeploymentGroupId", .string(deployment.groupId)),
        ("DeploymentGroupName", .string(deployment.groupName)), ("ApplicationName", .string(deployment.applicationName)),
        ("DeploymentCreator", .string(deployment.creator)), ("DeploymentType", .string("IN_PLACE")),
        ("AppSpecFilename", .string("appspec.yml")), ("AgentActionOverrides", overrides),
        ("Revision", revision(deployment.revision)),
      ]))
  }

  private static func revision(_ revision: Revision) -> JSONValue {
    switch revision {
    case .s3(let s3):
      var members: [(String, JSONValue)] = [
        ("Bucket", .string(s3.bucket)), ("Key", .string(s3.key)), ("BundleType", .string(s3.bundleType)),
      ]
      if let version = s3.version { members.append(("Version", .string(version))) }
      // Agents compare with the bare ETag of what they downloaded.
      if let eTag = s3.eTag { members.append(("ETag", .string(eTag.filter { $0 != "\"" }))) }
      return object([("RevisionType", .string("S3")), ("S3Revision", object(members))])
    case .gitHub(let hub):
      let parts = hub.repository.split(separator: "/", maxSplits: 1)
      return object([
        ("RevisionType", .string("GitHub")),
        (
          "GitHubRevision",
          object([
            ("Account", .string(parts.first.map(String.init) ?? "")),
            ("Repository", .string(parts.count > 1 ? String(parts[1]) : "")), ("CommitId", .string(hub.commitId)),
          ])
        ),
      ])
    }
  }

  private static func object(_ members: [(String, JSONValue)]) -> JSONValue {
    .object(members.map { JSONMember($0.0, $0.1) })
  }
}

/// What an agent reports of an event, read leniently: the report ends the event whatever its text is.
enum ReportedDiagnostics {
  static func read(_ payload: String?, succeeded: Bool) -> EventDiagnostics {
    let payload = payload ?? ""
    guard let json = try? JSONReader.read(payload), json.asObject != nil else {
      return EventDiagnostics(
        errorCode: succeeded ? "Success" : "UnknownError", scriptName: "", message: String(payload.prefix(2048)), logTail: "")
    }
    func text(_ name: String) -> String { json[name]?.asString ?? "" }
    return EventDiagnostics(
      errorCode: errorCode(json["error_code"]?.asInt, succeeded: succeeded), scriptName: String(text("script_name").prefix(1024)),
      message: String(text("message").prefix(4096)), logTail: String(text("log").suffix(4096)))
  }

  /// The agents' numbers; what AWS has no name for is `UnknownError`.
  private static func errorCode(_ number: Int64?, succeeded: Bool) -> String {
    switch number {
    case 0: succeeded ? "Success" : "UnknownError"
    case 1: "ScriptMissing"
    case 2: "ScriptNotExecutable"
    case 3: "ScriptTimedOut"
    case 4: "ScriptFailed"
    default: succeeded ? "Success" : "UnknownError"
    }
  }
}
