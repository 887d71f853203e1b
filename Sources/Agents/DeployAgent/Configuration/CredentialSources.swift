import FoundationEssentials
import RegionKit

/// Keys that never change: an on-premises IAM user's.
struct FixedCredentials: CredentialSource {
  let keys: AgentCredentials
  func credentials() async throws -> AgentCredentials { keys }
  func refused() async {}
}

/// An AWS credentials file that another program rotates; read again whenever it has changed or its keys were refused.
actor FileCredentials: CredentialSource {
  let path: String
  private var cached: (stamp: FileStamp, keys: AgentCredentials)?

  init(path: String) { self.path = path }

  func credentials() async throws -> AgentCredentials {
    let stamp = try Disk.stamp(path)
    if let cached, cached.stamp == stamp { return cached.keys }
    let keys = try OnPremisesConfiguration.credentials(ini: Disk.read(path, limit: 1 << 16), path: path)
    cached = (stamp, keys)
    return keys
  }
  func refused() async { cached = nil }
}

/// An instance profile's keys from the metadata service, renewed five minutes before they end.
actor InstanceCredentials: CredentialSource {
  private let metadata: MetadataClient
  private let clock: any RegionClock
  private var cached: (keys: AgentCredentials, expires: Date)?
  private var renewal: Task<(keys: AgentCredentials, expires: Date), any Error>?
  private static let margin: Double = 300

  init(metadata: MetadataClient, clock: any RegionClock) {
    self.metadata = metadata
    self.clock = clock
  }

  func credentials() async throws -> AgentCredentials {
    if let cached, clock.now().addingTimeInterval(Self.margin) < cached.expires { return cached.keys }
    let task = renewal ?? Task { [metadata] in try await metadata.securityCredentials() }
    renewal = task
    do {
      let fresh = try await task.value
      cached = fresh
      renewal = nil
      return fresh.keys
    } catch {
      renewal = nil
      // A metadata service that is away for a moment does not matter while the old keys are good.
      if let cached, clock.now() < cached.expires { return cached.keys }
      throw error
    }
  }
  func refused() async { cached = nil }
}
