/// An instance type with the limits its instances really get. Figures as EC2 publishes them.
/// https://aws.amazon.com/ec2/instance-types/
struct InstanceSize: Sendable, Equatable {
  let name: String
  let vCPUs: Int
  let memoryMiB: Int
  /// Share of one CPU in thousandths; burstable types get their whole vCPUs, since no credits are kept.
  var cpuMillis: Int { vCPUs * 1000 }
  var memoryBytes: Int64 { Int64(memoryMiB) << 20 }
  /// EC2 sets no limit on processes; a bound keeps a fork bomb inside its instance.
  var maxProcesses: Int { max(512, memoryMiB) }

  static let all: [InstanceSize] = {
    let sizes: [(String, [(String, Int, Int)])] = [
      ("t2", [("nano", 1, 512), ("micro", 1, 1024), ("small", 1, 2048), ("medium", 2, 4096), ("large", 2, 8192)]),
      ("t3", [("nano", 2, 512), ("micro", 2, 1024), ("small", 2, 2048), ("medium", 2, 4096), ("large", 2, 8192)]),
      ("m5", [("large", 2, 8192), ("xlarge", 4, 16384)]),
      ("c5", [("large", 2, 4096), ("xlarge", 4, 8192)]),
    ]
    return sizes.flatMap { family, list in list.map { InstanceSize(name: "\(family).\($0.0)", vCPUs: $0.1, memoryMiB: $0.2) } }
  }()

  static func named(_ name: String) -> InstanceSize? { all.first { $0.name == name } }
  /// EC2's own default when a call names none is m1.small, which is retired; t2.micro is what every course uses.
  static let `default` = "t2.micro"
}
