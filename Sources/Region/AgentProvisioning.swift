import EC2Service
import Ports
import RegionKit

/// Puts the region's deploy agent into every instance: its configuration with the region's address on the instances' bridge, and the
/// region CA that it trusts there.
struct AgentProvisioning: InstanceProvisioning {
  /// `https://172.31.0.1:4567`
  let endpoint: String
  let authorityPEM: String
  static let caPath = "/etc/roadstead/ca.pem"
  static let configPath = "/etc/codedeploy-agent/conf/codedeployagent.yml"
  static let binary = "/opt/roadstead/bin/roadstead"

  func setup(instanceId: String, scope: Scope) async throws -> InstanceSetup {
    let config = """
      ---
      :log_dir: /var/log/aws/codedeploy-agent/
      :pid_dir: /opt/codedeploy-agent/state/.pid/
      :program_name: codedeploy-agent
      :root_dir: /opt/codedeploy-agent/deployment-root
      :on_premises_config_file: /etc/codedeploy-agent/conf/codedeploy.onpremises.yml
      :wait_between_runs: 1
      :max_revisions: 5
      :deploy_control_endpoint: \(endpoint)
      :s3_endpoint_override: \(endpoint)
      :ca_file: \(Self.caPath)

      """
    return InstanceSetup(
      files: [
        InstanceFile(path: Self.caPath, content: Array(authorityPEM.utf8)),
        InstanceFile(path: Self.configPath, content: Array(config.utf8)),
      ],
      agentCommand: [Self.binary, "agent", "--config", Self.configPath])
  }
}
