/// Form parameters as a tree: `Tags.member.1.Key=a` is a leaf four levels down.
final class FormNode {
  private(set) var value: String?
  private(set) var children: [String: FormNode] = [:]

  /// Throws `WireProblem` when a name has more than 64 parts.
  static func tree(_ pairs: [(String, String)]) throws -> FormNode {
    let root = FormNode()
    for (name, value) in pairs {
      var node = root
      let parts = name.split(separator: ".", omittingEmptySubsequences: false)
      guard parts.count <= 64 else { throw WireProblem("a parameter name has more than 64 parts") }
      for part in parts { node = node.child(String(part)) }
      node.value = value
    }
    return root
  }

  private func child(_ name: String) -> FormNode {
    if let known = children[name] { return known }
    let node = FormNode()
    children[name] = node
    return node
  }

  subscript(_ name: String) -> FormNode? { children[name] }

  /// The children with a number for a name, in its order; gaps do not matter.
  var numbered: [FormNode] {
    children.compactMap { name, node in UInt32(name).map { ($0, node) } }.sorted { $0.0 < $1.0 }.map(\.1)
  }
}
