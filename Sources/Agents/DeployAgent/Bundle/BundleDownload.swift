import FoundationEssentials
import Glibc
import HTTPKit
import RegionKit

/// Fetches a revision's bundle into a file: S3 with the host's own keys, GitHub with a token or none.
struct BundleDownload: Sendable {
  /// For the region: trusts its certificate authority.
  let regional: any AgentTransport
  /// For everybody else.
  let open: any AgentTransport
  let signer: any AgentSigner
  let credentials: any CredentialSource
  let clock: any RegionClock
  let region: String
  let domain: String
  /// A whole URL; objects are addressed path-style below it.
  let s3Endpoint: String?
  var gitHubEndpoint = "https://api.github.com"
  /// Waits between GitHub's attempts, in real seconds.
  var gitHubWaits: [Double] = [10, 30, 90]

  /// Writes `file` whole or not at all.
  func s3(bucket: String, key: String, version: String?, etag: String?, to file: String) async throws {
    do { try await s3Once(bucket, key, version, etag, file) } catch let failure as ServiceFailure where failure.isTransient {
      await credentials.refused()
      try await clock.sleepReal(0.5)
      do { try await s3Once(bucket, key, version, etag, file) } catch let failure as ServiceFailure {
        throw AgentError(failure.message)
      }
    } catch let failure as ServiceFailure {
      throw AgentError(failure.message)
    }
  }

  private func s3Once(_ bucket: String, _ key: String, _ version: String?, _ etag: String?, _ file: String) async throws {
    var request = AgentRequest(method: "GET", url: url(bucket, key, version), timeout: .infinity)
    request.headers["User-Agent"] = "roadstead-agent"
    try signer.sign(&request, credentials: await credentials.credentials(), service: "s3", region: region, at: clock.now())
    let answer: AgentResponse
    do { answer = try await (s3Endpoint == nil ? open : regional).send(request) } catch let error as CancellationError {
      throw error
    } catch {
      throw AgentError("The bundle cannot be downloaded from S3: \(error). Try using s3 endpoint override.")
    }
    guard answer.status == 200 else {
      let bytes = try await answer.body.collect(limit: 1 << 20)
      throw Self.failure(answer.status, bytes, bucket: bucket, key: key)
    }
    if let etag {
      let actual = answer.headers["ETag"] ?? ""
      func bare(_ text: String) -> String { text.filter { $0 != "\"" } }
      guard bare(etag) == bare(actual) else {
        throw AgentError("Expected deployment artifact bundle etag \(etag) but was actually \(actual)")
      }
    }
    try await save(answer, to: file)
  }

  private func url(_ bucket: String, _ key: String, _ version: String?) -> String {
    let path = URLText.encode(key, keepSlash: true)
    let query = version.map { "?versionId=" + URLText.encode($0, keepSlash: false) } ?? ""
    if let s3Endpoint {
      let base = s3Endpoint.hasSuffix("/") ? String(s3Endpoint.dropLast()) : s3Endpoint
      return "\(base)/\(URLText.encode(bucket, keepSlash: false))/\(path)\(query)"
    }
    let host = "s3.\(region).\(domain)"
    if bucket.contains(".") { return "https://\(host)/\(bucket)/\(path)\(query)" }
    return "https://\(bucket).\(host)/\(path)\(query)"
  }

  /// S3's own words.
  private static func failure(_ status: Int, _ bytes: [UInt8], bucket: String, key: String) -> ServiceFailure {
    let text = String(decoding: bytes, as: UTF8.self)
    func element(_ name: String) -> String? {
      guard let start = text.firstRange(of: "<\(name)>"), let end = text.firstRange(of: "</\(name)>"),
        start.upperBound <= end.lowerBound
      else { return nil }
      return [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")]
        .reduce(String(text[start.upperBound..<end.lowerBound])) { $0.replacing($1.0, with: $1.1) }
    }
    return ServiceFailure(
      status: status, code: element("Code") ?? "",
      message: element("Message") ?? "S3 answered \(status) for s3://\(bucket)/\(key)")
  }

  func gitHub(
    account: String, repository: String, commit: String, type: DeploymentSpecification.BundleType, token: String?, to file: String
  ) async throws {
    let parts = [account, repository, type == .zip ? "zipball" : "tarball", commit].map { URLText.encode($0, keepSlash: false) }
    let url = "\(gitHubEndpoint)/repos/\(parts.joined(separator: "/"))"
    var codes: [String] = []
    for attempt in 0...gitHubWaits.count {
      let answer = try await follow(url, token: token)
      if answer.status == 200 { return try await save(answer, to: file) }
      codes.append(String(answer.status))
      if attempt < gitHubWaits.count { try await clock.sleepReal(gitHubWaits[attempt]) }
    }
    throw AgentError(
      "Could not download bundle at '\(url)' after \(gitHubWaits.count) retries. Server returned codes: \(codes.joined(separator: "; ")).")
  }

  private func follow(_ start: String, token: String?) async throws -> AgentResponse {
    var url = start
    for _ in 0..<6 {
      var request = AgentRequest(method: "GET", url: url, timeout: .infinity)
      request.headers["User-Agent"] = "roadstead-agent"
      // The token is for the host it was made for; redirects lead to another one.
      if let token, URLText.parts(url)?.authority == URLText.parts(start)?.authority {
        request.headers["Authorization"] = "token \(token)"
      }
      let answer: AgentResponse
      do { answer = try await open.send(request) } catch let error as CancellationError { throw error } catch {
        throw AgentError("The bundle cannot be downloaded from '\(url)': \(error)")
      }
      guard [301, 302, 303, 307, 308].contains(answer.status), let location = answer.headers["Location"] else { return answer }
      if location.hasPrefix("/"), let parts = URLText.parts(url) {
        url = "\(parts.scheme)://\(parts.authority)\(location)"
      } else {
        guard URLText.parts(location) != nil else { throw AgentError("'\(url)' redirects to '\(location)', which is no URL.") }
        url = location
      }
    }
    throw AgentError("'\(start)' redirects too often.")
  }

  /// Streams the body to disk: flat memory, and the name appears only when every byte has come.
  private func save(_ answer: AgentResponse, to file: String) async throws {
    let temporary = file + ".part"
    unlink(temporary)
    let fd = Glibc.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard fd >= 0 else { throw Disk.failure("open", temporary) }
    defer { close(fd) }
    do {
      var total: Int64 = 0
      for try await piece in answer.body {
        try Disk.writeAll(fd, piece, temporary)
        total += Int64(piece.count)
      }
      if let length = answer.headers["Content-Length"].flatMap({ Int64($0) }), length != total {
        throw AgentError("The bundle's download broke off after \(total) of \(length) bytes.")
      }
      guard rename(temporary, file) == 0 else { throw Disk.failure("rename", file) }
    } catch {
      unlink(temporary)
      throw error
    }
  }
}
