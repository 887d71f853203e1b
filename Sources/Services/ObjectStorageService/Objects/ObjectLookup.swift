import FoundationEssentials
import RegionKit
import RegionStore
import WireModel

extension S3Engine {
  /// A key's current object, or the version asked for (an object or a delete marker). Nil when there is none.
  func find(_ bucket: BucketRecord, _ key: String, versionId: String?) async throws -> KeyVersion? {
    let scope = bucket.contentScope
    let objectId = bucket.objectId(key)
    let current = try await store.get(ObjectRecord.self, in: scope, id: objectId)?.value.version
    guard let versionId else { return current }
    try Self.check(versionId: versionId)
    if let current, current.shownVersionId == versionId { return current }
    if versionId == VersionToken.null { return try await nullVersions(objectId, scope).first?.value.version }
    return try await store.get(VersionRecord.self, in: scope, id: objectId + KeyCode.end + versionId)?.value.version
  }

  static func check(versionId: String) throws {
    guard VersionToken.isWellFormed(versionId) else {
      throw S3Problem.invalidArgument("Invalid version id specified", name: "versionId", value: versionId)
    }
  }

  /// The object for a read. Throws NoSuchKey (with the delete marker's headers, if that is why), NoSuchVersion, MethodNotAllowed
  /// for a marker asked for by id, and AccessDenied instead of NoSuchKey for a caller who may not list the bucket.
  func object(
    _ bucket: BucketRecord, _ key: String, versionId: String?, method: String, _ call: Call
  ) async throws -> KeyVersion {
    if let found = try await find(bucket, key, versionId: versionId) {
      if found.isMarker { throw S3Problem.methodNotAllowed(method, deleteMarker: found) }
      return found
    }
    do {
      try await call.authorize(request("s3:ListBucket", bucket, key: nil, context: ["s3:prefix": [key]], call))
    } catch {
      throw S3Problem.accessDenied(
        "Access Denied: \(key) may not exist, and the caller may not list bucket \(bucket.name) (s3:ListBucket) to learn that.")
    }
    if let versionId { throw S3Problem.noSuchVersion(key, versionId) }
    let newest = try await store.list(
      VersionRecord.self, in: bucket.contentScope, StoreQuery(prefix: bucket.objectId(key) + KeyCode.end, limit: 1)
    ).first?.value.version
    let problem = S3Problem.noSuchKey(key)
    guard let newest, newest.isMarker else { throw problem }
    throw AWSError(
      problem.code, problem.message, status: 404, fields: problem.fields,
      headers: ["x-amz-delete-marker": "true", "x-amz-version-id": newest.shownVersionId])
  }

  /// Which bytes a GET or HEAD asks for.
  struct Selection: Sendable {
    var range: Range<Int64>
    var isPartial: Bool
    var partsCount: Int?
  }

  /// `Range` or `partNumber`, never both.
  func selection(
    of version: KeyVersion, in bucket: BucketRecord, range: String?, partNumber: Int?
  ) async throws -> Selection {
    guard let partNumber else {
      switch ByteRange.read(range, size: version.size) {
      case .whole: return Selection(range: 0..<version.size, isPartial: false)
      case .part(let part): return Selection(range: part, isPartial: true)
      case .unsatisfiable: throw S3Problem.invalidRange(range ?? "", size: version.size)
      }
    }
    guard range == nil else {
      throw S3Problem.invalidRequest("Cannot specify both Range header and partNumber query parameter")
    }
    guard (1...PartRecord.maximumNumber).contains(partNumber) else {
      throw S3Problem.invalidArgument(
        "Part number must be an integer between 1 and 10000, inclusive", name: "partNumber", value: String(partNumber))
    }
    let unsatisfiable = AWSError(
      "InvalidPartNumber", "The requested partnumber is not satisfiable", status: 416,
      fields: ["ActualPartCount": String(version.partsCount ?? 1), "PartNumberRequested": String(partNumber)])
    guard case .manifest(let id) = version.content else {
      guard partNumber == 1 else { throw unsatisfiable }
      return Selection(range: 0..<version.size, isPartial: version.size > 0)
    }
    guard let manifest = try await store.get(ManifestRecord.self, in: bucket.contentScope, id: id) else {
      throw BytesMissing(id: id)
    }
    // Part numbers of an upload may have gaps; in the finished object parts are counted from 1.
    var start: Int64 = 0
    for (position, part) in manifest.value.parts.enumerated() {
      if position + 1 == partNumber {
        return Selection(range: start..<(start + part.size), isPartial: true, partsCount: manifest.value.parts.count)
      }
      start += part.size
    }
    throw unsatisfiable
  }

  /// Runs `body` with the object, again when its bytes went away between its row and them.
  func reading<Value>(
    _ bucket: String, _ key: String, versionId: String?, expectedOwner: String?, method: String, _ call: Call,
    _ body: (BucketRecord, KeyVersion) async throws -> Value
  ) async throws -> Value {
    try Self.check(key: key)
    for _ in 0..<8 {
      let record = try await self.bucket(bucket, expectedOwner: expectedOwner).value
      let version = try await object(record, key, versionId: versionId, method: method, call)
      do {
        return try await body(record, version)
      } catch is BytesMissing { continue }
    }
    throw AWSError.internalFailure("The stored bytes of \(bucket)/\(key) are missing; `roadstead doctor --scrub` names what is lost.")
  }
}

/// `"…"`.
func quoted(_ eTag: String) -> String { "\"\(eTag)\"" }

/// HTTP dates (RFC 9110 §5.6.7), for headers of errors.
func httpDate(_ date: Date) -> String {
  let seconds = Int(date.timeIntervalSince1970.rounded(.down))
  let days = seconds.flooredQuotient(86_400)
  let rest = seconds - days * 86_400
  let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][((days % 7) + 7) % 7]
  // Civil date from days (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
  let z = days + 719_468
  let era = z.flooredQuotient(146_097)
  let dayOfEra = z - era * 146_097
  let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
  let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
  let monthIndex = (5 * dayOfYear + 2) / 153
  let day = dayOfYear - (153 * monthIndex + 2) / 5 + 1
  let month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
  let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
  func two(_ n: Int) -> String { n < 10 ? "0\(n)" : "\(n)" }
  return "\(weekday), \(two(day)) \(names[month - 1]) \(year) \(two(rest / 3600)):\(two(rest / 60 % 60)):\(two(rest % 60)) GMT"
}

extension Int {
  fileprivate func flooredQuotient(_ divisor: Int) -> Int { self >= 0 ? self / divisor : -((divisor - 1 - self) / divisor) }
}
