import FoundationEssentials
import HTTPKit
import RequestSigning

/// Signature Version 4 by the project's own signer.
struct RequestSigner: AgentSigner {
  func sign(
    _ request: inout AgentRequest, credentials: AgentCredentials, service: String, region: String, at date: Date
  ) throws {
    guard let url = URLText.parts(request.url) else { throw AgentError("\(request.url) is not a URL that can be signed.") }
    let standard = url.scheme == "https" ? ":443" : ":80"
    request.headers["Host"] = url.authority.hasSuffix(standard) ? String(url.authority.dropLast(standard.count)) : url.authority
    let hash = sha256Hex(request.body)
    request.headers["X-Amz-Content-Sha256"] = hash
    let target = url.query.isEmpty ? url.path : "\(url.path)?\(url.query)"
    let signer = Signer(
      credentials: SigningCredentials(
        accessKeyId: credentials.accessKeyId, secretAccessKey: credentials.secretAccessKey, sessionToken: credentials.sessionToken),
      region: region, service: service)
    request.headers = HTTPFields(
      signer.sign(
        SignableRequest(method: request.method, target: target, headers: request.headers.entries), payloadHash: hash, date: date))
  }
}
