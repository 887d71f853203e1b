import Crypto
import FoundationEssentials
import HTTPKit
import RegionKit
import RequestSigning
import Synchronization

/// How the bytes of a request body become the object's bytes, and what is checked on the way.
struct PayloadPlan: Sendable {
  /// aws-chunked framing, which is taken off.
  struct Framing: Sendable {
    let signing: ChunkSigning?
    let trailer: Bool
    let announced: [String]
    let decodedLength: Int64
  }
  var framing: Framing?
  /// The SHA-256 (hexadecimal) that the head promises.
  var promisedHash: String?

  /// What an S3 request's head says of its body. Throws `MissingContentLength`, `InvalidArgument` or `AccessDenied`.
  init(payload: SignatureClaim.Payload, request: SignableRequest, signing: () -> ChunkSigning?) throws {
    switch payload {
    case .absent, .unsigned: break
    case .hash(let hash): promisedHash = hash
    case .signedChunks(let trailer):
      guard let signing = signing() else {
        throw AWSError("AccessDenied", "A body in signed chunks needs a signed request.", status: 403)
      }
      framing = try Self.framing(request, signing: signing, trailer: trailer)
    case .unsignedChunks: framing = try Self.framing(request, signing: nil, trailer: true)
    case .other(let text):
      throw AWSError(
        "InvalidArgument",
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, "
          + "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
        status: 400, fields: ["ArgumentName": "x-amz-content-sha256", "ArgumentValue": String(text.prefix(100))])
    }
  }

  private static func framing(_ request: SignableRequest, signing: ChunkSigning?, trailer: Bool) throws -> Framing {
    guard let text = request.header("x-amz-decoded-content-length"), let length = Int64(text), length >= 0 else {
      throw AWSError("MissingContentLength", "You must provide the x-amz-decoded-content-length HTTP header.", status: 411)
    }
    let announced = (request.header("x-amz-trailer") ?? "").split(separator: ",").map { part in
      String(part.filter { $0 != " " && $0 != "\t" })
    }
    return Framing(signing: signing, trailer: trailer, announced: announced, decodedLength: length)
  }

  /// The object's bytes. Reading to the end throws when what was promised or signed does not hold, so a receiver that commits only after
  /// the end commits nothing wrong.
  func open(_ http: HTTPServerRequest) -> ByteStream {
    let body = http.body
    guard framing != nil || promisedHash != nil else {
      var stream = ByteStream(length: body.length) { try await body.nextPiece() }
      let trailers = http.trailers
      stream.trailers = { Self.dictionary(trailers().entries.map { ($0.name, $0.value) }) }
      return stream
    }
    let check = PayloadCheck(plan: self)
    var stream = ByteStream(length: framing?.decodedLength ?? body.length) {
      while let raw = try await body.nextPiece() {
        let piece = try check.take(raw)
        if !piece.isEmpty { return piece }
      }
      try check.finish()
      return nil
    }
    if framing != nil { stream.trailers = { Self.dictionary(check.trailers) } }
    return stream
  }

  private static func dictionary(_ fields: [(String, String)]) -> [String: String] {
    Dictionary(fields.map { ($0.0.lowercased(), $0.1) }, uniquingKeysWith: { first, _ in first })
  }
}

extension ByteStream {
  /// Its iterators hold no state of their own.
  func nextPiece() async throws -> [UInt8]? {
    var iterator = makeAsyncIterator()
    return try await iterator.next()
  }
}

/// The running state of a payload's check.
private final class PayloadCheck: Sendable {
  private struct State {
    var decoder: AWSChunkedDecoder?
    var hash: StreamingSHA256?
    var finished = false
  }
  private let state: Mutex<State>
  private let promisedHash: String?

  init(plan: PayloadPlan) {
    promisedHash = plan.promisedHash
    state = Mutex(
      State(
        decoder: plan.framing.map {
          AWSChunkedDecoder(
            signing: $0.signing, expectsTrailer: $0.trailer, announced: $0.announced, decodedLength: $0.decodedLength)
        },
        hash: plan.promisedHash.map { _ in StreamingSHA256() }))
  }

  var trailers: [(String, String)] { state.withLock { $0.decoder?.trailers.map { ($0.name, $0.value) } ?? [] } }

  func take(_ raw: [UInt8]) throws -> [UInt8] {
    try state.withLock { state in
      state.hash?.update(raw)
      guard state.decoder != nil else { return raw }
      var out: [UInt8] = []
      out.reserveCapacity(raw.count)
      do {
        try state.decoder?.consume(raw) { out += $0 }
      } catch {
        throw Self.error(error)
      }
      return out
    }
  }

  func finish() throws {
    try state.withLock { state in
      guard !state.finished else { return }
      do {
        try state.decoder?.finish()
      } catch {
        throw Self.error(error)
      }
      if let promisedHash, let computed = state.hash?.hexDigest, computed != promisedHash {
        throw AWSError(
          "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.", status: 400,
          fields: ["ClientComputedContentSHA256": promisedHash, "S3ComputedContentSHA256": computed])
      }
      state.finished = true
    }
  }

  private static func error(_ error: any Error) -> any Error {
    guard let problem = error as? AWSChunkedProblem else { return error }
    return switch problem {
    case .signatureMismatch:
      AWSError(
        "SignatureDoesNotMatch",
        "The signature of a chunk of the body does not match the data. Check your AWS Secret Access Key and signing method.", status: 403)
    case .malformed(let text):
      AWSError("InvalidRequest", "The body is not well-formed aws-chunked data: \(text).", status: 400)
    case .incomplete, .lengthMismatch:
      AWSError(
        "IncompleteBody", "You did not provide the number of bytes specified by the x-amz-decoded-content-length HTTP header.", status: 400)
    case .missingTrailer(let name):
      AWSError(
        "MalformedTrailerError",
        "The request contained trailing data that was not well-formed or did not conform to our published schema: '\(name)' is missing.",
        status: 400)
    }
  }
}

/// Content-MD5 over a collected body.
enum ContentMD5 {
  /// Throws `InvalidDigest` or `BadDigest`.
  static func check(_ header: String?, _ body: [UInt8]) throws {
    guard let header else { return }
    guard let given = Data(base64Encoded: header), given.count == 16 else {
      throw AWSError("InvalidDigest", "The Content-MD5 you specified was invalid.", status: 400, fields: ["Content-MD5": header])
    }
    let computed = Array(Insecure.MD5.hash(data: body))
    guard computed.elementsEqual(given) else {
      throw AWSError(
        "BadDigest", "The Content-MD5 you specified did not match what we received.", status: 400,
        fields: ["ExpectedDigest": header, "CalculatedDigest": Data(computed).base64EncodedString()])
    }
  }
}
