import RegionKit
import RegionStore
import WireModel

extension S3Engine {
  /// At most 1,000 a page, whatever is asked for. Throws InvalidArgument for a negative number.
  static func pageLimit(_ asked: Int?, _ name: String) throws -> Int {
    let most = asked ?? 1000
    guard most >= 0 else {
      throw S3Problem.invalidArgument(
        "Argument \(name) must be an integer between 0 and 2147483647", name: name, value: String(most))
    }
    return min(most, 1000)
  }

  /// `encoding-type`: only `url`, or none.
  static func keyEncoding(_ type: EncodingType?) throws -> @Sendable (String) -> String {
    guard let type else { return { $0 } }
    guard type == .url else {
      throw S3Problem.invalidArgument("Invalid Encoding Method specified in Request", name: "encoding-type", value: type.rawValue)
    }
    return { PercentCode.encode($0) }
  }

  func owner(_ bucket: BucketRecord) -> Obj<Owner> { Obj { $0[.iD] = canonicalUserID(bucket.owner) } }

  private func show(_ version: KeyVersion, _ encode: (String) -> String, owner: Obj<Owner>?) -> Obj<Object> {
    Obj {
      $0[.key] = encode(version.key)
      $0[.lastModified] = version.lastModified
      $0[.eTag] = quoted(version.eTag)
      $0[.size] = Int(version.size)
      $0[.storageClass] = .standard
      if let checksum = version.checksum {
        $0[.checksumAlgorithm] = [ChecksumAlgorithm(rawValue: checksum.algorithm.rawValue)]
        $0[.checksumType] = ChecksumType(rawValue: checksum.kind.rawValue)
      }
      $0[.owner] = owner
    }
  }

  private func prefixes(_ groups: [String], _ encode: (String) -> String) -> [Obj<CommonPrefix>]? {
    groups.isEmpty ? nil : groups.map { group in Obj { $0[.prefix] = encode(group) } }
  }

  func listObjects(_ input: Obj<ListObjectsRequest>, _ call: Call) async throws -> Obj<ListObjectsOutput> {
    let bucket = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]).value
    let encode = try Self.keyEncoding(input[.encodingType])
    let limit = try Self.pageLimit(input[.maxKeys], "max-keys")
    let marker = input[.marker].flatMap { $0.isEmpty ? nil : $0 }
    let page = try await objects(
      in: bucket, prefix: input[.prefix] ?? "", delimiter: input[.delimiter], after: marker, limit: limit)
    return Obj {
      $0[.name] = bucket.name
      $0[.prefix] = encode(input[.prefix] ?? "")
      $0[.marker] = encode(input[.marker] ?? "")
      $0[.delimiter] = input[.delimiter].flatMap { $0.isEmpty ? nil : encode($0) }
      $0[.maxKeys] = limit
      $0[.encodingType] = input[.encodingType]
      $0[.isTruncated] = page.isTruncated
      // S3 names the next marker only with a delimiter; without one it is the last key.
      if page.isTruncated, input[.delimiter]?.isEmpty == false { $0[.nextMarker] = page.last.map(encode) }
      if !page.items.isEmpty { $0[.contents] = page.items.map { show($0, encode, owner: owner(bucket)) } }
      $0[.commonPrefixes] = prefixes(page.groups, encode)
    }
  }

  func listObjectsV2(_ input: Obj<ListObjectsV2Request>, _ call: Call) async throws -> Obj<ListObjectsV2Output> {
    let bucket = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]).value
    let encode = try Self.keyEncoding(input[.encodingType])
    let limit = try Self.pageLimit(input[.maxKeys], "max-keys")
    let binding = "s3:ListObjectsV2 \(bucket.id)"
    var after = input[.startAfter].flatMap { $0.isEmpty ? nil : $0 }
    if let token = input[.continuationToken] {
      guard let decoded = PageToken(token, binding: binding) else {
        throw S3Problem.invalidArgument("The continuation token provided is incorrect", name: "continuation-token", value: token)
      }
      after = decoded.after
    }
    let page = try await objects(
      in: bucket, prefix: input[.prefix] ?? "", delimiter: input[.delimiter], after: after, limit: limit)
    let shownOwner = input[.fetchOwner] == true ? owner(bucket) : nil
    return Obj {
      $0[.name] = bucket.name
      $0[.prefix] = encode(input[.prefix] ?? "")
      $0[.delimiter] = input[.delimiter].flatMap { $0.isEmpty ? nil : encode($0) }
      $0[.startAfter] = input[.startAfter].map(encode)
      $0[.maxKeys] = limit
      $0[.encodingType] = input[.encodingType]
      $0[.keyCount] = page.count
      $0[.isTruncated] = page.isTruncated
      $0[.continuationToken] = input[.continuationToken]
      if page.isTruncated { $0[.nextContinuationToken] = page.last.map { PageToken(after: $0).encoded(binding: binding) } }
      if !page.items.isEmpty { $0[.contents] = page.items.map { show($0, encode, owner: shownOwner) } }
      $0[.commonPrefixes] = prefixes(page.groups, encode)
    }
  }

  func listObjectVersions(_ input: Obj<ListObjectVersionsRequest>, _ call: Call) async throws -> Obj<ListObjectVersionsOutput> {
    let bucket = try await bucket(input[.bucket], expectedOwner: input[.expectedBucketOwner]).value
    let encode = try Self.keyEncoding(input[.encodingType])
    let limit = try Self.pageLimit(input[.maxKeys], "max-keys")
    let keyMarker = input[.keyMarker].flatMap { $0.isEmpty ? nil : $0 }
    let versionMarker = input[.versionIdMarker].flatMap { $0.isEmpty ? nil : $0 }
    if let versionMarker {
      guard keyMarker != nil else {
        throw S3Problem.invalidArgument(
          "A version-id marker cannot be specified without a key marker.", name: "version-id-marker", value: versionMarker)
      }
      guard VersionToken.isWellFormed(versionMarker) else {
        throw S3Problem.invalidArgument("Invalid version id specified", name: "version-id-marker", value: versionMarker)
      }
    }
    let page = try await versions(
      in: bucket, prefix: input[.prefix] ?? "", delimiter: input[.delimiter], keyMarker: keyMarker, versionMarker: versionMarker,
      limit: limit)
    let owner = owner(bucket)
    // The next page begins behind the last version shown, or behind a group, which has no version.
    let lastVersion = page.items.last.flatMap { $0.version.key == page.last ? $0.version.shownVersionId : nil }
    return Obj {
      $0[.name] = bucket.name
      $0[.prefix] = encode(input[.prefix] ?? "")
      $0[.delimiter] = input[.delimiter].flatMap { $0.isEmpty ? nil : encode($0) }
      $0[.keyMarker] = encode(input[.keyMarker] ?? "")
      $0[.versionIdMarker] = input[.versionIdMarker] ?? ""
      $0[.maxKeys] = limit
      $0[.encodingType] = input[.encodingType]
      $0[.isTruncated] = page.isTruncated
      if page.isTruncated {
        $0[.nextKeyMarker] = page.last.map(encode)
        $0[.nextVersionIdMarker] = lastVersion
      }
      let objects = page.items.filter { !$0.version.isMarker }
      let markers = page.items.filter { $0.version.isMarker }
      if !objects.isEmpty { $0[.versions] = objects.map { show($0, encode, owner) } }
      if !markers.isEmpty { $0[.deleteMarkers] = markers.map { showMarker($0, encode, owner) } }
      $0[.commonPrefixes] = prefixes(page.groups, encode)
    }
  }

  private func show(_ listed: ListedVersion, _ encode: (String) -> String, _ owner: Obj<Owner>) -> Obj<ObjectVersion> {
    let version = listed.version
    return Obj {
      $0[.key] = encode(version.key)
      $0[.versionId] = version.shownVersionId
      $0[.isLatest] = listed.isLatest
      $0[.lastModified] = version.lastModified
      $0[.eTag] = quoted(version.eTag)
      $0[.size] = Int(version.size)
      $0[.storageClass] = .standard
      if let checksum = version.checksum {
        $0[.checksumAlgorithm] = [ChecksumAlgorithm(rawValue: checksum.algorithm.rawValue)]
        $0[.checksumType] = ChecksumType(rawValue: checksum.kind.rawValue)
      }
      $0[.owner] = owner
    }
  }

  private func showMarker(_ listed: ListedVersion, _ encode: (String) -> String, _ owner: Obj<Owner>) -> Obj<DeleteMarkerEntry> {
    Obj {
      $0[.key] = encode(listed.version.key)
      $0[.versionId] = listed.version.shownVersionId
      $0[.isLatest] = listed.isLatest
      $0[.lastModified] = listed.version.lastModified
      $0[.owner] = owner
    }
  }
}
