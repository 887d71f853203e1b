/// The on-premises file: which identity this host has, and its keys.
public struct OnPremisesConfiguration: Sendable, Equatable {
  public enum Identity: Sendable, Equatable {
    case user(arn: String, AgentCredentials)
    /// The keys are in an AWS credentials file (INI, section `default`) that the host's own job rotates.
    case session(arn: String, credentialsFile: String)
  }
  public var region: String
  public var identity: Identity

  /// The ARN that is the host identifier.
  public var hostIdentifier: String {
    switch identity {
    case .user(let arn, _), .session(let arn, _): arn
    }
  }

  /// Nil when the file names no identity: the host is an EC2 instance then.
  public static func parse(_ bytes: [UInt8], path: String) throws(AgentError) -> OnPremisesConfiguration? {
    let map: YAMLMap
    switch YAMLReader.read(bytes) {
    case .success(nil), .success(.null?): return nil
    case .success(.map(let read)?): map = read
    case .success, .failure: throw AgentError("The on-premises configuration file is invalid: \(path)")
    }
    func text(_ key: String) -> String? { map.setting(key)?.text.flatMap { $0.isEmpty ? nil : $0 } }
    func required(_ key: String, for arn: String) throws(AgentError) -> String {
      guard let value = text(key) else { throw AgentError("'\(key)' key is required when '\(arn)' is provided.") }
      return value
    }
    switch (text("iam_user_arn"), text("iam_session_arn")) {
    case (nil, nil): return nil
    case (_?, _?): throw AgentError("On Premises config cannot contain both 'iam_user_arn' and 'iam_session_arn' keys.")
    case (let arn?, nil):
      let keys = AgentCredentials(
        accessKeyId: try required("aws_access_key_id", for: "iam_user_arn"),
        secretAccessKey: try required("aws_secret_access_key", for: "iam_user_arn"))
      return OnPremisesConfiguration(region: try required("region", for: "iam_user_arn"), identity: .user(arn: arn, keys))
    case (nil, let arn?):
      let file = try required("aws_credentials_file", for: "iam_session_arn")
      return OnPremisesConfiguration(
        region: try required("region", for: "iam_session_arn"), identity: .session(arn: arn, credentialsFile: file))
    }
  }

  /// The section `default` of an AWS credentials file.
  static func credentials(ini bytes: [UInt8], path: String) throws(AgentError) -> AgentCredentials {
    var section = ""
    var values: [String: String] = [:]
    for raw in String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline) {
      let line = trimmed(String(raw))
      if line.isEmpty || line.hasPrefix("#") || line.hasPrefix(";") { continue }
      if line.hasPrefix("["), line.hasSuffix("]") {
        section = trimmed(String(line.dropFirst().dropLast()))
      } else if section == "default", let equals = line.firstIndex(of: "=") {
        values[trimmed(String(line[..<equals])).lowercased()] = trimmed(String(line[line.index(after: equals)...]))
      }
    }
    guard let id = values["aws_access_key_id"], let secret = values["aws_secret_access_key"], !id.isEmpty, !secret.isEmpty else {
      throw AgentError("The credentials file \(path) has no aws_access_key_id and aws_secret_access_key in its section [default].")
    }
    return AgentCredentials(accessKeyId: id, secretAccessKey: secret, sessionToken: values["aws_session_token"])
  }
}
