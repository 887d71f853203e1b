import Crypto
public import FoundationEssentials
public import RegionKit

#if canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// The files of a region's home that are not the store's, the driver's or a plane's.
public struct RegionHome: Sendable {
  public let path: String

  public init(_ path: String) { self.path = path }

  public var storePath: String { path + "/store.sqlite" }
  public var contentPath: String { path + "/content" }
  public var auditPath: String { path + "/audit" }
  public var authorityPath: String { path + "/secrets/ca.pem" }

  /// What a home keeps about itself from its first start.
  public struct Identity: Codable, Sendable {
    /// Names this home; the built-in AMI's id follows from it.
    public var id: String
    public var account: AccountID
    public var created: Date
  }

  /// Where the region listens and how its first account signs: what `roadstead env` prints. Readable by the owner only.
  public struct Access: Codable, Sendable {
    public var endpoint: String
    public var region: String
    public var account: String
    public var accessKeyId: String
    public var secretAccessKey: String
    /// The region CA's file when the endpoint speaks TLS.
    public var caBundle: String?

    public init(
      endpoint: String, region: String, account: String, accessKeyId: String, secretAccessKey: String, caBundle: String? = nil
    ) {
      self.endpoint = endpoint
      self.region = region
      self.account = account
      self.accessKeyId = accessKeyId
      self.secretAccessKey = secretAccessKey
      self.caBundle = caBundle
    }
  }

  /// The identity, made at the first start.
  public func identity(account: AccountID, clock: any RegionClock, random: any Randomness) throws -> Identity {
    let file = path + "/home.json"
    if exists(file) { return try JSONDecoder().decode(Identity.self, from: Data(try read(file))) }
    let made = Identity(id: random.uuid(), account: account, created: clock.now())
    try write(Array(try JSONEncoder().encode(made)), to: file, mode: 0o600)
    return made
  }

  /// A secret of this home, made by `make` at the first asking. Mode 0600 in a 0700 directory.
  public func secret(_ name: String, make: () throws -> [UInt8]) throws -> [UInt8] {
    let directory = path + "/secrets"
    if mkdir(directory, 0o700) != 0, errno != EEXIST { throw problem("make", directory) }
    let file = directory + "/" + name
    // A secret that is there but cannot be read must never be replaced: what it sealed would be lost.
    if exists(file) { return try read(file) }
    let made = try make()
    try write(made, to: file, mode: 0o600)
    return made
  }

  public func access() throws -> Access {
    let file = path + "/access.json"
    if Glibc.access(file, R_OK) != 0, errno == EACCES {
      throw AWSError(
        "HomeNotReadable", "\(file) cannot be read: \(String(cString: strerror(EACCES))). It belongs to who started the region.")
    }
    guard let bytes = try? read(file) else {
      throw AWSError("HomeNotFound", "\(path) holds no region. Start one with `roadstead up --home '\(path)'`.")
    }
    return try JSONDecoder().decode(Access.self, from: Data(bytes))
  }

  public func save(_ access: Access) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try write(Array(try encoder.encode(access)), to: path + "/access.json", mode: 0o600)
  }

  private func exists(_ file: String) -> Bool { Glibc.access(file, F_OK) == 0 || errno != ENOENT }

  func read(_ file: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: file))) }

  /// Written beside, synced and renamed, so that a crash leaves the old or the new file.
  func write(_ bytes: [UInt8], to file: String, mode: mode_t) throws {
    let temporary = file + ".new"
    unlink(temporary)
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
    guard descriptor >= 0 else { throw problem("write", temporary) }
    defer { close(descriptor) }
    var offset = 0
    while offset < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress?.advanced(by: offset), bytes.count - offset) }
      guard count > 0 else { throw problem("write", temporary) }
      offset += count
    }
    guard fsync(descriptor) == 0, rename(temporary, file) == 0 else { throw problem("write", file) }
  }

  private func problem(_ verb: String, _ file: String) -> AWSError {
    AWSError.internalFailure("Cannot \(verb) \(file): \(String(cString: strerror(errno))).")
  }
}
