import CodeDeployService
import ContentStore
import Durable
import EC2Service
import FoundationEssentials
import Gateway
import HTTPKit
import IdentityService
import Logging
import MetadataPlane
import NamespaceDriver
import ObjectStorageService
import Ports
import RegionKit
import RegionStore

/// Everything a region is made of, put together in one place: the only file that knows all services.
struct RegionParts: Sendable {
  let home: RegionHome
  let clock: SystemClock
  let random: any Randomness
  let logger: Logger
  let store: SQLiteStore
  let identity: IdentityService
  let storage: ObjectStorageService
  let ec2: EC2Service
  let codeDeploy: CodeDeployService
  let driver: NamespaceDriver
  /// Nil where this machine cannot give instances a network; the log says why.
  let network: DriverNetwork?
  let gateway: Gateway
  let tasks: TaskRunner
  let events: EventDispatcher
  let authority: CertificateAuthority

  /// Where listener (b) listens on the instances' bridge.
  static let bridgePort = 4567

  init(
    _ options: RegionOptions, clock: SystemClock, random: any Randomness, logger: Logger,
    progress: @escaping @Sendable (String) -> Void
  ) async throws {
    self.clock = clock
    self.random = random
    self.logger = logger
    home = RegionHome(options.home)
    let homeIdentity = try home.identity(account: options.account, clock: clock, random: random)
    store = try SQLiteStore(path: home.storePath, clock: clock)
    let sealingKey = try home.secret("sealing.key") { random.bytes(32) }
    authority = try Self.authority(home, clock: clock, random: random)
    identity = IdentityService(store: store, clock: clock, random: random, sealingKey: sealingKey)
    storage = ObjectStorageService(
      store: store, content: try ContentStore(directory: home.contentPath, randomness: random), clock: clock, random: random,
      encryptionKey: try home.secret("s3-encryption.key") { random.bytes(32) })

    driver = try NamespaceDriver(
      home: options.home, launcherPath: options.executable, agentBinary: options.executable, imageCache: options.imageCache, clock: clock)
    do { network = try await driver.prepareNetwork() } catch {
      network = nil
      logger.notice("instances cannot be started on this machine", metadata: ["why": "\(error)"])
      progress("instances cannot be started here; `roadstead doctor` says why. Everything else works.")
    }
    let bridge = network?.gatewayIP ?? "127.0.0.1"
    ec2 = EC2Service(
      store: store, clock: clock, random: random, driver: driver, metadata: try FileMetadataPublisher(home: options.home),
      roles: identity,
      provisioning: AgentProvisioning(endpoint: "https://\(bridge):\(Self.bridgePort)", authorityPEM: try authority.certificatePEM),
      network: network ?? DriverNetwork(cidr: "172.31.0.0/16", gatewayIP: nil), homeIdentity: homeIdentity.id, logger: logger,
      progress: progress)
    let signer = try EnvelopeSigner(
      pem: String(
        decoding: home.secret("codedeploy-envelopes.pem") { Array(try EnvelopeSigner.make(clock: clock, random: random).pem.utf8) },
        as: UTF8.self))
    codeDeploy = CodeDeployService(
      store: store, clock: clock, random: random, instances: ec2, roles: identity, objects: storage, signer: signer, logger: logger)
    let commands = codeDeploy.commandService
    var parts = GatewayParts(
      services: [identity.iam, identity.sts, storage.module, ec2.module, codeDeploy.module], credentials: identity,
      authorizer: identity, audit: try AuditLog(directory: home.auditPath, clock: clock), clock: clock, random: random,
      homeRegion: options.region, logger: logger)
    parts.hostNames += [options.hostName]
    parts.commandEndpoints = [
      .codeDeploy(model: CodeDeployService.commandModel) { operation, input, call, version in
        try await commands.handle(operation: operation, input: input, call: call, agentVersion: version)
      }
    ]
    gateway = Gateway(parts)
    tasks = TaskRunner(
      store: store, handlers: storage.taskHandlers + ec2.taskHandlers + codeDeploy.taskHandlers, clock: clock, randomness: random)
    events = EventDispatcher(store: store, consumers: codeDeploy.eventConsumers, clock: clock)
  }

  static func authority(_ home: RegionHome, clock: any RegionClock, random: any Randomness) throws -> CertificateAuthority {
    let pem = try home.secret("ca-key.pem") { Array(try CertificateAuthority.make(clock: clock, random: random).utf8) }
    let authority = try CertificateAuthority(pem: String(decoding: pem, as: UTF8.self))
    // The certificate alone, for AWS_CA_BUNDLE.
    _ = try home.secret("ca.pem") { Array(try authority.certificatePEM.utf8) }
    return authority
  }

  func certificate(names: [String], addresses: [String]) throws -> HTTPServerTLS {
    let issued = try authority.issue(names: names, addresses: addresses, clock: clock, random: random)
    return HTTPServerTLS(certificateChainPEM: Array(issued.chainPEM.utf8), privateKeyPEM: Array(issued.keyPEM.utf8))
  }

  /// The first account's root key: made at the first start, afterwards what `access.json` says.
  func rootAccess(_ options: RegionOptions) async throws -> (account: AccountID, accessKeyId: String, secretAccessKey: String) {
    if let known = try? home.access() { return (AccountID(known.account), known.accessKeyId, known.secretAccessKey) }
    let made: (account: AccountID, accessKeyId: String, secretAccessKey: String)
    if try await identity.accounts().contains(where: { $0.id == options.account }) {
      let key = try await identity.createRootKey(account: options.account)
      made = (options.account, key.accessKeyId, key.secretAccessKey)
    } else {
      made = try await identity.createAccount(name: "default", id: options.account)
    }
    // Kept at once: a start that fails after this (a taken port) must not cost a key each time, of which an account has two.
    try home.save(
      RegionHome.Access(
        endpoint: options.endpoint(port: options.port), region: options.region.rawValue, account: made.account.rawValue,
        accessKeyId: made.accessKeyId, secretAccessKey: made.secretAccessKey))
    return made
  }

  /// What runs beside the requests: planes are kept going, exits of instances followed.
  func background(_ options: RegionOptions, logger: Logger) -> [Task<Void, Never>] {
    guard network != nil else { return [] }
    return [
      Task { await ec2.followExits() },
      Task {
        do { try await MetadataPlaneMain.supervise(home: options.home, binary: options.executable, clock: clock, logger: logger) } catch {
          if !Task.isCancelled { logger.error("the metadata plane cannot be kept running", metadata: ["error": "\(error)"]) }
        }
      },
    ]
  }
}
