import FoundationEssentials
import Ports
import RegionKit

/// What 169.254.169.254 says of an instance.
/// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html
enum InstanceMetadataBuilder {
  static func metadata(
    _ record: InstanceRecord, scope: Scope, vpc: VPCRecord, groups: [SecurityGroupRecord], credentials: TemporaryCredentials?
  ) -> InstanceMetadata {
    let region = scope.region.rawValue
    let subnet = vpc.subnets.first { $0.subnetId == record.subnetId }
    let dashed = record.privateIP.split(separator: ".").joined(separator: "-")
    let hostname = "ip-\(dashed).\(region == "us-east-1" ? "ec2" : region + ".compute").internal"
    let nic = "network/interfaces/macs/\(record.macAddress)/"
    var paths: [String: String] = [
      "ami-id": record.imageId, "ami-launch-index": String(record.launchIndex), "hostname": hostname,
      "instance-action": "none", "instance-id": record.instanceId, "instance-life-cycle": "on-demand",
      "instance-type": record.instanceType, "local-hostname": hostname, "local-ipv4": record.privateIP, "mac": record.macAddress,
      "placement/availability-zone": record.availabilityZone,
      "placement/availability-zone-id": subnet?.availabilityZoneId ?? "", "placement/region": region,
      "profile": "default-hvm", "reservation-id": record.reservationId,
      "security-groups": groups.map(\.groupName).joined(separator: "\n"), "services/domain": "amazonaws.com",
      "services/partition": "aws",
      nic + "device-number": "0", nic + "interface-id": record.networkInterfaceId, nic + "local-ipv4s": record.privateIP,
      nic + "mac": record.macAddress, nic + "owner-id": scope.account.rawValue,
      nic + "security-group-ids": record.securityGroupIds.joined(separator: "\n"),
      nic + "security-groups": groups.map(\.groupName).joined(separator: "\n"), nic + "subnet-id": record.subnetId,
      nic + "subnet-ipv4-cidr-block": subnet?.cidr ?? "", nic + "vpc-id": record.vpcId, nic + "vpc-ipv4-cidr-block": vpc.cidr,
    ]
    if let profile = record.profile, let credentials {
      paths["iam/info"] =
        #"{"Code":"Success","LastUpdated":"\#(ISO8601.text(credentials.expiration.addingTimeInterval(-CredentialTask.lifetime)))","InstanceProfileArn":"\#(profile.arn)","InstanceProfileId":"\#(profile.id)"}"#
    }
    return InstanceMetadata(
      instanceId: record.instanceId, paths: paths, userData: record.userData,
      identityDocument: [
        "accountId": scope.account.rawValue, "architecture": InstanceArchitecture.current,
        "availabilityZone": record.availabilityZone, "imageId": record.imageId, "instanceId": record.instanceId,
        "instanceType": record.instanceType, "pendingTime": ISO8601.text(record.launchTime), "privateIp": record.privateIP,
        "region": region, "version": "2017-09-30",
      ],
      roleName: record.profile?.roleName, credentials: credentials, tokensRequired: record.tokensRequired)
  }
}

enum InstanceArchitecture {
  /// EC2's name of this machine's architecture.
  static var current: String {
    #if arch(arm64)
      "arm64"
    #else
      "x86_64"
    #endif
  }
}

enum ISO8601 {
  /// `2026-11-22T20:00:00Z`.
  static func text(_ date: Date) -> String { date.formatted(.iso8601) }
}
