import RegionKit
public import WireModel

/// Finds the REST operation of a request by method, path, query keys and headers. Built once per service from the model's URIs.
struct RestRouter: Sendable {
  private struct Candidate: Sendable {
    let operation: OperationModel
    let template: PathTemplate
    /// Query keys the URI names, with the value it demands.
    let literals: [(key: String, value: String?)]
    /// All query keys the operation knows; nil when the model has no shapes for it.
    let known: Set<String>?
  }

  private let byMethod: [String: [Candidate]]
  /// S3 keeps empty path segments: a key may hold anything.
  private let rawPath: Bool
  /// Query keys that choose among S3's operations. One that the chosen operation does not know means that it was not meant.
  private let deciding: Set<String>

  init(model: ServiceModel) {
    rawPath = model.isS3
    var byMethod: [String: [Candidate]] = [:]
    var deciding: Set<String> = []
    for operation in model.operations.values {
      let parts = operation.requestUri.split(separator: "?", maxSplits: 1)
      var literals: [(key: String, value: String?)] = []
      for part in parts.count > 1 ? parts[1].split(separator: "&") : [] {
        let pair = part.split(separator: "=", maxSplits: 1).map(String.init)
        if pair[0] != "x-id" { literals.append((pair[0], pair.count > 1 ? pair[1] : nil)) }
      }
      let bound = model.inputShape(operation).map { shape in
        Set(shape.members.filter { $0.location == .querystring }.map { $0.locationName ?? $0.name } + literals.map(\.key))
      }
      byMethod[operation.method, default: []].append(
        Candidate(
          operation: operation, template: PathTemplate(String(parts.first ?? "/"), keepsEmptySegments: rawPath), literals: literals,
          known: bound))
      deciding.formUnion(literals.map(\.key))
      deciding.formUnion(operation.requiredQueryKeys)
    }
    self.byMethod = byMethod
    self.deciding = rawPath ? deciding : []
  }

  /// The operation and its path labels; nil when no operation of the service has such a request. Throws `WireProblem` when a label is
  /// not UTF-8.
  func match(_ request: WireRequest) throws -> (OperationModel, [String: String])? {
    guard let candidates = byMethod[request.method] else { return nil }
    let path = PathTemplate.split(request.path, keepsEmptySegments: rawPath)
    let query = try PercentCoding.pairs(request.query)
    let keys = Dictionary(query, uniquingKeysWith: { first, _ in first })
    var best: (Candidate, [Int])?
    for candidate in candidates {
      guard let rank = rank(candidate, path, keys, request) else { continue }
      if let (old, oldRank) = best {
        guard oldRank.lexicographicallyPrecedes(rank) || (rank == oldRank && candidate.operation.name < old.operation.name) else {
          continue
        }
      }
      best = (candidate, rank)
    }
    guard let (winner, _) = best else { return nil }
    if let known = winner.known, !deciding.intersection(keys.keys).isSubset(of: known) { return nil }
    return (winner.operation, try winner.template.labels(path))
  }

  /// How well a request fits, higher first; nil when it does not.
  private func rank(_ candidate: Candidate, _ path: [Substring], _ query: [String: String], _ request: WireRequest) -> [Int]? {
    guard let literalSegments = candidate.template.match(path) else { return nil }
    for (key, value) in candidate.literals {
      guard let given = query[key], value == nil || value == given else { return nil }
    }
    let operation = candidate.operation
    guard operation.requiredQueryKeys.allSatisfy({ query[$0] != nil }) || !rawPath else { return nil }
    guard operation.requiredHeaders.allSatisfy({ request.header($0) != nil }) || !rawPath else { return nil }
    let required = rawPath ? operation.requiredQueryKeys.count + operation.requiredHeaders.count : 0
    return [
      candidate.literals.count, required, literalSegments, candidate.template.isGreedy ? 0 : 1, operation.isListed ? 1 : 0,
      operation.isDeprecated ? 0 : 1,
    ]
  }
}

/// A path template: `/{Bucket}/{Key+}`.
struct PathTemplate: Sendable {
  enum Segment: Sendable {
    case literal(String), label(String), greedy(String)
  }
  let segments: [Segment]

  init(_ text: String, keepsEmptySegments: Bool) {
    segments = Self.split(text, keepsEmptySegments: keepsEmptySegments).map { part in
      guard part.hasPrefix("{"), part.hasSuffix("}") else { return .literal(String(part)) }
      let name = part.dropFirst().dropLast()
      return name.hasSuffix("+") ? .greedy(String(name.dropLast())) : .label(String(name))
    }
  }

  var isGreedy: Bool {
    segments.contains { if case .greedy = $0 { true } else { false } }
  }

  /// The segments of a raw path. One empty segment at the end does not count; others do only where `keepsEmptySegments`.
  static func split(_ path: String, keepsEmptySegments: Bool) -> [Substring] {
    var parts = path.split(separator: "/", omittingEmptySubsequences: false)[...]
    if parts.first?.isEmpty == true { parts = parts.dropFirst() }
    let ending = keepsEmptySegments ? parts.count <= 2 : true
    if ending, parts.last?.isEmpty == true { parts = parts.dropLast() }
    return Array(parts)
  }

  /// The number of literal segments when the path fits, else nil.
  func match(_ path: [Substring]) -> Int? {
    let greedyAt = segments.firstIndex { if case .greedy = $0 { true } else { false } }
    if let greedyAt {
      guard path.count >= segments.count else { return nil }
      let tail = segments.count - greedyAt - 1
      guard let head = count(segments[..<greedyAt], path[..<greedyAt]) else { return nil }
      guard let end = count(segments[(greedyAt + 1)...], path[(path.count - tail)...]) else { return nil }
      let inside = path[greedyAt..<path.count - tail]
      return inside.count > 1 || inside.first?.isEmpty == false ? head + end : nil
    }
    return path.count == segments.count ? count(segments[...], path[...]) : nil
  }

  private func count(_ segments: ArraySlice<Segment>, _ path: ArraySlice<Substring>) -> Int? {
    var literals = 0
    for (segment, part) in zip(segments, path) {
      switch segment {
      case .literal(let text):
        guard text == part else { return nil }
        literals += 1
      case .label, .greedy:
        guard !part.isEmpty else { return nil }
      }
    }
    return literals
  }

  func labels(_ path: [Substring]) throws -> [String: String] {
    var out: [String: String] = [:]
    for (i, segment) in segments.enumerated() {
      switch segment {
      case .literal: continue
      case .label(let name): out[name] = try decode(path[labelIndex(i, path)])
      case .greedy(let name):
        let end = path.count - (segments.count - i - 1)
        out[name] = try decode(path[i..<end].joined(separator: "/"))
      }
    }
    return out
  }

  /// Segments after a greedy label count from the end.
  private func labelIndex(_ i: Int, _ path: [Substring]) -> Int {
    let afterGreedy = segments[..<i].contains { if case .greedy = $0 { true } else { false } }
    return afterGreedy ? path.count - (segments.count - i) : i
  }

  private func decode(_ text: some StringProtocol) throws -> String {
    guard let text = PercentCoding.decode(text, plus: false) else { throw WireProblem("the path is not UTF-8") }
    return text
  }
}

extension ServiceModel {
  /// S3 has rules of its own: raw paths, bare errors, operations told apart by query keys.
  public var isS3: Bool { metadata.serviceId == "S3" }
}
