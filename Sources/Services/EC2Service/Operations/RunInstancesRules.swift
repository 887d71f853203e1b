import FoundationEssentials
import Ports
import RegionKit
import WireModel

/// The checks of RunInstances that need nothing but the input.
enum RunInstancesRules {
  /// What a caller may give and what would then be silently ignored; refused by name instead.
  static func refuseWhatHasNoEffect(_ input: Obj<RunInstancesRequest>) throws {
    let honoured: Set<String> = [
      "ImageId", "InstanceType", "MinCount", "MaxCount", "SecurityGroupIds", "SecurityGroups", "SubnetId", "UserData",
      "TagSpecifications", "IamInstanceProfile", "MetadataOptions", "Placement", "NetworkInterfaces", "PrivateIpAddress",
      "ClientToken", "DisableApiTermination", "DisableApiStop", "InstanceInitiatedShutdownBehavior", "DryRun",
    ]
    for (name, value) in input.fields.sorted(by: { $0.key < $1.key }) where !honoured.contains(name) && !isNeutral(value) {
      if name == "KeyName" {
        throw AWSError(
          "InvalidKeyPair.NotFound",
          "The key pair '\(value.asString ?? "")' does not exist: key pairs are not available in this region yet.")
      }
      throw unsupported("RunInstances parameter \(name)")
    }
    for name in (input[.placement]?.fields ?? [:]).keys.sorted() where name != "AvailabilityZone" {
      if name == "Tenancy", input[.placement]?[.tenancy]?.rawValue == "default" { continue }
      throw unsupported("RunInstances parameter Placement.\(name)")
    }
    if let options = input[.metadataOptions] {
      if options[.httpEndpoint]?.rawValue == "disabled" { throw unsupported("MetadataOptions.HttpEndpoint=disabled") }
      if options[.instanceMetadataTags]?.rawValue == "enabled" { throw unsupported("MetadataOptions.InstanceMetadataTags=enabled") }
      if let limit = options[.httpPutResponseHopLimit], limit != 1 { throw unsupported("MetadataOptions.HttpPutResponseHopLimit=\(limit)") }
    }
  }

  static func unsupported(_ what: String) -> AWSError {
    AWSError("UnsupportedOperation", "\(what) has no effect in this region and is therefore refused. Leave it out.")
  }

  /// False, zero, empty: what clients send without a wish.
  private static func isNeutral(_ value: WireValue) -> Bool {
    switch value {
    case .null, .bool(false), .int(0): true
    case .string(let text): text.isEmpty
    case .list(let items): items.allSatisfy(isNeutral)
    case .object(let members): members.values.allSatisfy(isNeutral)
    default: false
    }
  }

  static func image(_ id: String?, known: String) throws -> String {
    guard let id else { throw AWSError("MissingParameter", "The request must contain the parameter ImageId") }
    guard id.hasPrefix("ami-") else { throw AWSError("InvalidAMIID.Malformed", "Invalid id: \"\(id)\" (expecting \"ami-...\")") }
    guard id == known else {
      throw AWSError(
        "InvalidAMIID.NotFound", "The image id '[\(id)]' does not exist. `aws ec2 describe-images` lists the images of this region.")
    }
    return id
  }

  static func counts(_ minimum: Int, _ maximum: Int) throws -> (Int, Int) {
    guard minimum >= 1, maximum >= minimum else {
      throw AWSError("InvalidParameterValue", "Invalid value for MinCount and MaxCount: \(minimum), \(maximum). 1 <= MinCount <= MaxCount.")
    }
    guard maximum <= 100 else {
      throw AWSError("InstanceLimitExceeded", "At most 100 instances start in one call here; \(maximum) were asked for.")
    }
    return (minimum, maximum)
  }

  static func singleInterface(_ interfaces: [Obj<InstanceNetworkInterfaceSpecification>]) throws
    -> Obj<InstanceNetworkInterfaceSpecification>?
  {
    guard let nic = interfaces.first else { return nil }
    let honoured: Set<String> = ["DeviceIndex", "SubnetId", "Groups", "PrivateIpAddress", "DeleteOnTermination"]
    guard interfaces.count == 1, nic[.deviceIndex] ?? 0 == 0 else { throw unsupported("More than one network interface") }
    for (name, value) in nic.fields where !honoured.contains(name) && !isNeutral(value) {
      throw unsupported("NetworkInterfaces.\(name)")
    }
    return nic
  }

  static func subnet(_ id: String?, zone: String?, in vpc: VPCRecord) throws -> SubnetRecord {
    if let id {
      guard let subnet = vpc.subnets.first(where: { $0.subnetId == id }) else {
        throw AWSError("InvalidSubnetID.NotFound", "The subnet ID '\(id)' does not exist")
      }
      if let zone, zone != subnet.availabilityZone {
        throw AWSError("InvalidParameterValue", "Subnet \(id) lies in \(subnet.availabilityZone), not in \(zone).")
      }
      return subnet
    }
    if let zone {
      guard let subnet = vpc.subnets.first(where: { $0.availabilityZone == zone }) else {
        throw AWSError(
          "InvalidParameterValue",
          "Invalid availability zone: [\(zone)]. Zones here: \(vpc.subnets.map(\.availabilityZone).joined(separator: ", ")).")
      }
      return subnet
    }
    return vpc.subnets[0]
  }

  /// Base64, at most 16 KiB when decoded. https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html
  static func userData(_ text: String?) throws -> [UInt8] {
    guard let text, !text.isEmpty else { return [] }
    guard let data = Data(base64Encoded: text, options: .ignoreUnknownCharacters) else {
      throw AWSError("InvalidParameterValue", "Invalid BASE64 encoding of user data.")
    }
    guard data.count <= 16384 else {
      throw AWSError("InvalidParameterValue", "User data is limited to 16384 bytes; this is \(data.count).")
    }
    return Array(data)
  }
}
