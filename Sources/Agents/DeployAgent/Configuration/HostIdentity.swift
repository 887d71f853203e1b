import RegionKit

/// Who this host is to the region, and how it signs.
struct HostIdentity: Sendable {
  /// An instance's ARN, or the ARN of the IAM user or session of an on-premises host.
  var hostIdentifier: String
  var region: String
  /// e.g. `amazonaws.com`.
  var domain: String
  var credentials: any CredentialSource
  var isOnPremises: Bool

  /// Reads the on-premises file, else asks the metadata service.
  static func find(
    configuration: AgentConfiguration, environment: [String: String], metadata: MetadataClient, clock: any RegionClock
  ) async throws -> HostIdentity {
    if Disk.exists(configuration.onPremisesConfigFile) {
      let bytes = try Disk.read(configuration.onPremisesConfigFile, limit: 1 << 16)
      if let file = try OnPremisesConfiguration.parse(bytes, path: configuration.onPremisesConfigFile) {
        let source: any CredentialSource =
          switch file.identity {
          case .user(_, let keys): FixedCredentials(keys: keys)
          case .session(_, let path): FileCredentials(path: path)
          }
        return HostIdentity(
          hostIdentifier: file.hostIdentifier, region: file.region, domain: domain(of: file.region), credentials: source,
          isOnPremises: true)
      }
    }
    let document = try await metadata.identityDocument()
    let partition = try await metadata.partition()
    let region = environment["AWS_REGION"].flatMap { $0.isEmpty ? nil : $0 } ?? document.region
    let domain = try? await metadata.domain()
    return HostIdentity(
      hostIdentifier: "arn:\(partition):ec2:\(document.region):\(document.accountId):instance/\(document.instanceId)",
      region: region, domain: domain.flatMap { $0.isEmpty ? nil : $0 } ?? Self.domain(of: region),
      credentials: InstanceCredentials(metadata: metadata, clock: clock), isOnPremises: false)
  }

  private static func domain(of region: String) -> String {
    if region.hasPrefix("cn-") { return "amazonaws.com.cn" }
    return region.hasPrefix("eusc-") ? "amazonaws.eu" : "amazonaws.com"
  }
}
