import RegionKit
import RegionStore
import WireModel

/// Tags of applications and deployment groups, by ARN.
extension CodeDeployOperations {
  func listTagsForResource(
    _ input: Obj<ListTagsForResourceInput>, _ call: Call
  ) async throws -> Obj<ListTagsForResourceOutput> {
    let tags: [String: String] =
      switch try await tagged(input.fields["ResourceArn"]?.asString, call) {
      case .application(let stored): stored.value.tags
      case .group(let stored): stored.value.tags
      }
    return Obj { $0[.tags] = Check.tagList(tags) }
  }

  func tagResource(_ input: Obj<TagResourceInput>, _ call: Call) async throws -> Obj<TagResourceOutput> {
    guard !input[.tags].isEmpty else { throw CodeDeployErrors.tagRequiredException("Tags is empty.") }
    let tags = try Check.tags(input[.tags])
    try await retag(input.fields["ResourceArn"]?.asString, call) { $0.merge(tags) { $1 } }
    return Obj()
  }

  func untagResource(_ input: Obj<UntagResourceInput>, _ call: Call) async throws -> Obj<UntagResourceOutput> {
    guard !input[.tagKeys].isEmpty else { throw CodeDeployErrors.tagRequiredException("TagKeys is empty.") }
    try await retag(input.fields["ResourceArn"]?.asString, call) { tags in
      for key in input[.tagKeys] { tags[key] = nil }
    }
    return Obj()
  }

  private enum Tagged {
    case application(Stored<ApplicationRecord>)
    case group(Stored<DeploymentGroupRecord>)
  }

  private func tagged(_ text: String?, _ call: Call) async throws -> Tagged {
    guard let text, !text.isEmpty else { throw CodeDeployErrors.resourceArnRequiredException("ResourceArn is required.") }
    guard let arn = ARN(text), arn.service == "codedeploy", arn.region == call.region.rawValue, arn.account == call.account.rawValue
    else { throw CodeDeployErrors.invalidArnException("'\(text)' is no ARN of CodeDeploy in \(call.region) and account \(call.account).") }
    if arn.resource.hasPrefix("application:") {
      return .application(try await application(String(arn.resource.dropFirst("application:".count)), call))
    }
    if arn.resource.hasPrefix("deploymentgroup:") {
      let parts = arn.resource.dropFirst("deploymentgroup:".count).split(separator: "/", omittingEmptySubsequences: false)
      guard parts.count == 2 else {
        throw CodeDeployErrors.invalidArnException("'\(text)' is no ARN of a deployment group: deploymentgroup:APPLICATION/GROUP.")
      }
      let owner = try await application(String(parts[0]), call).value
      return .group(try await group(String(parts[1]), of: owner, call.scope))
    }
    throw CodeDeployErrors.arnNotSupportedException("\(text) cannot be tagged; applications and deployment groups can.")
  }

  private func retag(_ arn: String?, _ call: Call, _ change: (inout [String: String]) -> Void) async throws {
    try await engine.settle {
      var commit = StoreCommit()
      switch try await tagged(arn, call) {
      case .application(let stored):
        var record = stored.value
        change(&record.tags)
        try Self.checkCount(record.tags)
        try commit.put(record, in: call.scope, id: stored.id, expecting: .version(stored.version))
      case .group(let stored):
        var record = stored.value
        change(&record.tags)
        try Self.checkCount(record.tags)
        try commit.put(record, in: call.scope, id: stored.id, expecting: .version(stored.version))
      }
      return (commit, ())
    }
  }

  private static func checkCount(_ tags: [String: String]) throws {
    guard tags.count <= 50 else {
      throw CodeDeployErrors.invalidTagsToAddException("A resource has at most 50 tags; this one would have \(tags.count).")
    }
  }
}
