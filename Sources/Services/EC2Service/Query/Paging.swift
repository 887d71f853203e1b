import RegionKit

/// Cuts one page out of a sorted listing by `MaxResults` and `NextToken`.
enum Paging {
  /// `binding` names operation, scope and filters; a token from another listing is refused.
  static func page<Item>(
    _ items: [Item], id: (Item) -> String, maxResults: Int?, token: String?, range: ClosedRange<Int> = 5...1000,
    binding: String
  ) throws -> (items: [Item], next: String?) {
    if let maxResults, !range.contains(maxResults) {
      throw AWSError(
        "InvalidParameterValue",
        "Value ( \(maxResults) ) for parameter maxResults is invalid. Expecting a value between \(range.lowerBound) and \(range.upperBound)."
      )
    }
    var rest = items[...]
    if let token {
      guard let start = PageToken(token, binding: binding) else {
        throw AWSError(
          "InvalidNextToken", "The token '\(token)' was not given by this call with these filters. Begin again without NextToken.")
      }
      rest = rest.drop { id($0) <= start.after }
    }
    guard let maxResults, rest.count > maxResults else { return (Array(rest), nil) }
    let page = Array(rest.prefix(maxResults))
    return (page, page.last.map { PageToken(after: id($0)).encoded(binding: binding) })
  }
}
