/// The environment of a hook: the agent's own without anything that is a key to the region, and what the deployment adds. The official
/// agent hands its credentials on to every script; this one does not.
enum HookEnvironment {
  /// Names that never reach a script, besides every name that begins with one of `secretPrefixes`.
  static let secretNames: Set<String> = [
    "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_FILE", "AWS_CREDENTIALS_FILE", "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_BEARER_TOKEN",
  ]
  static let secretPrefixes = ["AWS_ACCESS_KEY", "AWS_SECRET", "AWS_CONTAINER_", "ROADSTEAD_SECRET", "ROADSTEAD_TOKEN"]

  static func make(agent: [String: String], event: String, specification: DeploymentSpecification) -> [String: String] {
    var out = agent.filter { name, _ in !secretNames.contains(name) && !secretPrefixes.contains { name.hasPrefix($0) } }
    out["LIFECYCLE_EVENT"] = event
    out.merge(specification.environment) { _, new in new }
    return out.filter { !$0.key.isEmpty && !$0.key.contains("=") && !$0.key.utf8.contains(0) && !$0.value.utf8.contains(0) }
  }
}
