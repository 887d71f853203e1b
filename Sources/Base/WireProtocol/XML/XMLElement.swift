/// An XML element as read: names with their prefix taken off, attributes with it.
final class XMLElement {
  let name: String
  let attributes: [(String, String)]
  var children: [XMLElement] = []
  /// The character data directly inside, pieces joined.
  var text = ""

  init(name: String, attributes: [(String, String)]) {
    self.name = name
    self.attributes = attributes
  }

  func children(named name: String) -> [XMLElement] { children.filter { $0.name == name } }
  func first(_ name: String) -> XMLElement? { children.first { $0.name == name } }
  func attribute(_ name: String) -> String? {
    attributes.first { $0.0 == name }?.1 ?? attributes.first { XMLElement.local($0.0) == name }?.1
  }

  static func local(_ name: String) -> String {
    guard let colon = name.utf8.lastIndex(of: 0x3a) else { return name }
    return String(name[name.utf8.index(after: colon)...])
  }
}
