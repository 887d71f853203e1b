/// What driver, EC2 and metadata must agree on about an instance's network interface.
public enum InstanceAddressing {
  /// The hardware address of the interface with this private IPv4 address, e.g. `0e:52:ac:1f:00:05`: locally administered, unique
  /// in its network. Nil for text that is no dotted quad.
  public static func hardwareAddress(privateIP: String) -> String? {
    let parts = privateIP.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
    guard parts.count == 4, parts.allSatisfy({ $0 != nil }) else { return nil }
    return "0e:52:"
      + parts.map { part in
        let digits = String(part ?? 0, radix: 16)
        return digits.count == 1 ? "0" + digits : digits
      }.joined(separator: ":")
  }
}

/// Where the metadata plane finds an instance's listening socket. The driver writes it next to the instance's metadata as
/// `<instance id>.attach` once init is there, and removes it when the instance ends.
public struct MetadataAttachment: Sendable, Codable, Equatable {
  public var instanceId: String
  /// Init's process id on the host, and its start time in clock ticks since boot, which together name one process.
  public var pid: Int32
  public var startTime: UInt64
  /// The descriptor under which init holds the socket.
  public var descriptor: Int32
  public init(instanceId: String, pid: Int32, startTime: UInt64, descriptor: Int32) {
    self.instanceId = instanceId
    self.pid = pid
    self.startTime = startTime
    self.descriptor = descriptor
  }
  /// The directory, below the region's home, that holds metadata and attachments.
  public static let directory = "planes/metadata"
}
