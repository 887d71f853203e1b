import WireModel

/// Traits of a member with those of its shape underneath, as botocore merges them.
extension ServiceModel {
  /// The root element of a body that is one member.
  func rootName(_ member: Member) -> String {
    if let name = member.locationName, isS3 || name != member.name { return name }
    return shape(member).locationName ?? shape(member).name
  }
  func isFlattened(_ member: Member) -> Bool { member.flattened || shape(member).flattened }
  func namespace(_ member: Member) -> XMLNamespace? { member.xmlNamespace ?? shape(member).xmlNamespace }
  func timestampFormat(_ member: Member) -> TimestampFormat? { member.timestampFormat ?? shape(member).timestampFormat }
  func isStreaming(_ member: Member) -> Bool { member.streaming || shape(member).streaming }
}
