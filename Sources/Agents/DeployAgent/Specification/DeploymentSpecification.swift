import FoundationEssentials

/// What to deploy: the JSON inside the signed envelope, with every rule of the official agent checked.
public struct DeploymentSpecification: Sendable, Equatable {
  public enum BundleType: String, Sendable { case tar, tgz, zip, directory }
  public enum Revision: Sendable, Equatable {
    case s3(bucket: String, key: String, type: BundleType, version: String?, etag: String?)
    /// `token` is nil for a public repository.
    case gitHub(account: String, repository: String, commit: String, type: BundleType, token: String?)
    case localFile(path: String, type: BundleType)
    case localDirectory(path: String)
  }

  /// Without the ARN in front of it.
  public var deploymentId: String
  public var deploymentGroupId: String
  public var deploymentGroupName: String
  public var applicationName: String
  /// `user`, `autoscaling`, `codeDeployRollback` …
  public var deploymentCreator = "user"
  /// `IN_PLACE` or `BLUE_GREEN`.
  public var deploymentType = "IN_PLACE"
  /// Relative to the unpacked revision.
  public var appSpecFilename = "appspec.yml"
  /// In capitals; an unknown one matters only when a file is in the way.
  public var fileExistsBehavior = "DISALLOW"
  public var revision: Revision

  /// Throws `AgentError`. `allowLocal`: revisions on this host's own disk, which only a local run may name.
  public static func parse(_ json: [UInt8], allowLocal: Bool) throws(AgentError) -> DeploymentSpecification {
    let document: SpecificationDocument
    do { document = try JSONDecoder().decode(SpecificationDocument.self, from: Data(json)) } catch {
      throw AgentError("The deployment specification is not readable: \(describe(error))")
    }
    return try document.checked(allowLocal: allowLocal)
  }

  private static func describe(_ error: any Error) -> String {
    guard let error = error as? DecodingError else { return "\(error)" }
    func at(_ context: DecodingError.Context) -> String {
      let path = context.codingPath.map(\.stringValue).joined(separator: ".")
      return context.debugDescription + (path.isEmpty ? "" : " (at \(path))")
    }
    return switch error {
    case .typeMismatch(_, let c), .valueNotFound(_, let c), .keyNotFound(_, let c), .dataCorrupted(let c): at(c)
    @unknown default: "\(error)"
    }
  }

  /// The variables that scripts see, §9.
  var environment: [String: String] {
    var out = [
      "DEPLOYMENT_ID": deploymentId, "APPLICATION_NAME": applicationName, "DEPLOYMENT_GROUP_NAME": deploymentGroupName,
      "DEPLOYMENT_GROUP_ID": deploymentGroupId,
    ]
    switch revision {
    case .s3(let bucket, let key, _, let version, let etag):
      out["BUNDLE_BUCKET"] = bucket
      out["BUNDLE_KEY"] = key
      out["BUNDLE_VERSION"] = version
      out["BUNDLE_ETAG"] = etag
    case .gitHub(_, _, let commit, _, _): out["BUNDLE_COMMIT"] = commit
    case .localFile, .localDirectory: break
    }
    return out
  }

  /// The one case where blocks and allows take their scripts from another revision.
  var isBlueGreenRollback: Bool { deploymentCreator == "codeDeployRollback" && deploymentType == "BLUE_GREEN" }
}

/// The JSON as it comes.
private struct SpecificationDocument: Decodable {
  struct Overrides: Decodable {
    struct Agent: Decodable { var FileExistsBehavior: String? }
    var AgentOverrides: Agent?
  }
  struct S3: Decodable {
    var Bucket: String?
    var Key: String?
    var BundleType: String?
    var Version: String?
    var ETag: String?
  }
  struct GitHub: Decodable {
    var Account: String?
    var Repository: String?
    var CommitId: String?
    var BundleType: String?
    var Anonymous: Bool?
    var OAuthToken: String?
  }
  struct Local: Decodable {
    var Location: String?
    var BundleType: String?
  }
  struct RevisionDocument: Decodable {
    var RevisionType: String?
    var S3Revision: S3?
    var GitHubRevision: GitHub?
    var LocalRevision: Local?
  }
  var DeploymentId: String?
  var DeploymentGroupId: String?
  var DeploymentGroupName: String?
  var ApplicationName: String?
  var DeploymentCreator: String?
  var DeploymentType: String?
  var AppSpecFilename: String?
  var AgentActionOverrides: Overrides?
  var GitHubAccessToken: String?
  var Revision: RevisionDocument?

  func checked(allowLocal: Bool) throws(AgentError) -> DeploymentSpecification {
    func required(_ value: String?, _ name: String) throws(AgentError) -> String {
      guard let value, !value.isEmpty else { throw AgentError("Deployment Spec has no \(name)") }
      return value
    }
    var id = try required(DeploymentId, "DeploymentId")
    if id.hasPrefix("arn:"), let marker = id.firstRange(of: "deployment/") { id = String(id[marker.upperBound...]) }
    let group = try required(DeploymentGroupId, "DeploymentGroupId")
    let groupName = try required(DeploymentGroupName, "DeploymentGroupName")
    let application = try required(ApplicationName, "ApplicationName")
    // Both become directory names under the root.
    for (name, value) in [("DeploymentId", id), ("DeploymentGroupId", group)] where !RelativePath.isComponent(value) {
      throw AgentError("The \(name) in the Deployment Spec (\(value)) cannot be a directory name.")
    }
    var spec = DeploymentSpecification(
      deploymentId: id, deploymentGroupId: group, deploymentGroupName: groupName, applicationName: application,
      revision: try revision(allowLocal: allowLocal))
    spec.deploymentCreator = DeploymentCreator ?? spec.deploymentCreator
    spec.deploymentType = DeploymentType ?? spec.deploymentType
    spec.fileExistsBehavior = AgentActionOverrides?.AgentOverrides?.FileExistsBehavior?.uppercased() ?? spec.fileExistsBehavior
    if let name = AppSpecFilename, !name.isEmpty {
      guard let clean = RelativePath.clean(name), !clean.isEmpty else {
        throw AgentError("AppSpecFilename (\(name)) leads outside of the revision.")
      }
      spec.appSpecFilename = clean
    }
    return spec
  }

  private func revision(allowLocal: Bool) throws(AgentError) -> DeploymentSpecification.Revision {
    guard let Revision else { throw AgentError("Must specify a revison") }
    switch Revision.RevisionType {
    case nil, "": throw AgentError("Must specify a revision source")
    case "S3": return try s3(Revision.S3Revision)
    case "GitHub": return try gitHub(Revision.GitHubRevision)
    case "Local File"?, "Local Directory"?:
      guard allowLocal else {
        throw AgentError(
          "A \(Revision.RevisionType ?? "Local") revision names files of this host and is refused from the network. Upload the "
            + "revision to S3.")
      }
      guard let location = Revision.LocalRevision?.Location, !location.isEmpty,
        let type = Revision.LocalRevision?.BundleType.flatMap(DeploymentSpecification.BundleType.init(rawValue:))
      else { throw AgentError("LocalRevision in Deployment Spec must specify Location and BundleType") }
      return type == .directory ? .localDirectory(path: location) : .localFile(path: location, type: type)
    default: throw AgentError("Exactly one of S3Revision, GitHubRevision, or LocalRevision must be specified")
    }
  }

  private func s3(_ s3: S3?) throws(AgentError) -> DeploymentSpecification.Revision {
    guard let bucket = s3?.Bucket, let key = s3?.Key, let bundleType = s3?.BundleType, !bucket.isEmpty, !key.isEmpty else {
      throw AgentError("S3Revision in Deployment Spec must specify Bucket, Key and BundleType")
    }
    guard let type = DeploymentSpecification.BundleType(rawValue: bundleType), type != .directory else {
      throw AgentError("BundleType in S3Revision must be tar, tgz or zip")
    }
    func set(_ text: String?) -> String? { text.flatMap { $0.isEmpty ? nil : $0 } }
    return .s3(bucket: bucket, key: key, type: type, version: set(s3?.Version), etag: set(s3?.ETag))
  }

  private func gitHub(_ gitHub: GitHub?) throws(AgentError) -> DeploymentSpecification.Revision {
    guard let account = gitHub?.Account, let repository = gitHub?.Repository, let commit = gitHub?.CommitId,
      !account.isEmpty, !repository.isEmpty, !commit.isEmpty
    else { throw AgentError("GitHubRevision in Deployment Spec must specify Account, Repository and CommitId") }
    let name = gitHub?.BundleType ?? "tar"
    guard name == "tar" || name == "zip" else {
      throw AgentError("GitHub revision specified with bundle_type other than zip or tar [bundle_type=\(name)]")
    }
    var token = GitHubAccessToken.flatMap { $0.isEmpty ? nil : $0 }
    if gitHub?.Anonymous == false {
      guard let own = gitHub?.OAuthToken else {
        throw AgentError("GitHubRevision in Deployment Spec is not anonymous, so it must specify OAuthToken")
      }
      token = token ?? own
    }
    return .gitHub(account: account, repository: repository, commit: commit, type: name == "zip" ? .zip : .tar, token: token)
  }
}
