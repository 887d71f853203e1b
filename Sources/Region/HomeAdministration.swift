import EC2Service
import FoundationEssentials
import HTTPKit
import IdentityService
import Logging
import NamespaceDriver
public import RegionKit
import RegionStore

#if canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// What the command line does to a home besides running it.
extension RunningRegion {
  /// Asks the process that runs the region of this home to stop, and waits until it has; nothing to do when none runs.
  public static func stopHolder(of home: String) async throws {
    let clock = SystemClock()
    guard let pid = holder(of: home, clock: clock) else { return }
    kill(pid, SIGTERM)
    for _ in 0..<600 {
      guard holder(of: home, clock: clock) == pid else { return }
      try await clock.sleepReal(0.1)
    }
    throw AWSError(
      "RequestTimeout",
      "The region of \(home) (process \(pid)) did not stop within 60 seconds. Look at its log, or kill -9 \(pid) and try again.")
  }

  private static func holder(of home: String, clock: any RegionClock) -> pid_t? {
    do {
      _ = try HomeLock(home: home, clock: clock, command: "roadstead down")
      return nil
    } catch let held as HomeLock.Held { return pid_t(held.pid) } catch { return nil }
  }

  /// Makes an account with its root key. Works beside a running region: both use the same store.
  public static func createAccount(named name: String, home: String) async throws
    -> (account: AccountID, accessKeyId: String, secretAccessKey: String)
  {
    try await identity(of: home).createAccount(name: name)
  }

  public static func accounts(home: String) async throws -> [(id: AccountID, name: String)] {
    try await identity(of: home).accounts().map { ($0.id, $0.name) }
  }

  private static func identity(of path: String) throws -> IdentityService {
    let home = RegionHome(path)
    _ = try home.access()
    let clock = SystemClock()
    let random = SystemRandomness()
    let key = try home.secret("sealing.key") { throw AWSError("HomeDamaged", "\(path)/secrets/sealing.key is missing.") }
    return IdentityService(store: try SQLiteStore(path: home.storePath, clock: clock), clock: clock, random: random, sealingKey: key)
  }
}

extension RegionParts {
  /// Lets through only what comes from an instance's address: everything else on the bridge's listener is answered 403.
  func instancesOnly(_ responder: @escaping HTTPResponder) -> HTTPResponder {
    { request in
      guard let address = request.remoteAddress, (try? await ec2.instanceId(at: address)) != nil else {
        return HTTPServerResponse(status: 403, body: ByteStream(Array("Only instances of this region may call here.\n".utf8)))
      }
      return await responder(request)
    }
  }
}
