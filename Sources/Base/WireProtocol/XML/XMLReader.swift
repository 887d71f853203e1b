import CExpat

/// Reads XML through expat. A document type declaration is refused, so there are no entities to expand or fetch; depth and the number
/// of elements are limited.
enum XMLReader {
  struct Limits {
    var depth = 64
    var elements = 200_000
  }

  /// The root element. Throws `WireProblem` with the reason and the line.
  static func read(_ bytes: [UInt8], limits: Limits = Limits()) throws -> XMLElement {
    guard bytes.count <= Int(Int32.max) else { throw WireProblem("the XML body is larger than 2 GiB") }
    guard let parser = XML_ParserCreate(nil) else { throw WireProblem("no memory for an XML parser") }
    defer { XML_ParserFree(parser) }
    let builder = XMLBuilder(parser: parser, limits: limits)
    let context = Unmanaged.passUnretained(builder).toOpaque()
    XML_SetUserData(parser, context)
    XML_SetElementHandler(
      parser,
      { context, name, attributes in
        guard let context, let name else { return }
        Unmanaged<XMLBuilder>.fromOpaque(context).takeUnretainedValue().start(name, attributes)
      },
      { context, _ in
        guard let context else { return }
        Unmanaged<XMLBuilder>.fromOpaque(context).takeUnretainedValue().end()
      })
    XML_SetCharacterDataHandler(parser) { context, text, count in
      guard let context, let text else { return }
      Unmanaged<XMLBuilder>.fromOpaque(context).takeUnretainedValue().characters(text, Int(count))
    }
    XML_SetStartDoctypeDeclHandler(parser) { context, _, _, _, _ in
      guard let context else { return }
      Unmanaged<XMLBuilder>.fromOpaque(context).takeUnretainedValue().stop("a document type declaration is not allowed")
    }
    let status = bytes.withUnsafeBufferPointer { buffer in
      buffer.withMemoryRebound(to: CChar.self) { XML_Parse(parser, $0.baseAddress, Int32(bytes.count), 1) }
    }
    return try withExtendedLifetime(builder) {
      if let problem = builder.problem { throw WireProblem(problem) }
      guard status == XML_STATUS_OK, let root = builder.root else {
        let reason = XML_ErrorString(XML_GetErrorCode(parser)).map { String(cString: $0) } ?? "not well-formed"
        throw WireProblem("the XML cannot be read: \(reason), line \(XML_GetCurrentLineNumber(parser))")
      }
      return root
    }
  }
}

private final class XMLBuilder {
  let parser: XML_Parser
  let limits: XMLReader.Limits
  var root: XMLElement?
  var open: [XMLElement] = []
  var count = 0
  var problem: String?
  private var text: [UInt8] = []

  init(parser: XML_Parser, limits: XMLReader.Limits) {
    self.parser = parser
    self.limits = limits
  }

  func stop(_ reason: String) {
    guard problem == nil else { return }
    problem = reason
    XML_StopParser(parser, XML_Bool(XML_FALSE))
  }

  func start(_ name: UnsafePointer<CChar>, _ list: UnsafeMutablePointer<UnsafePointer<CChar>?>?) {
    guard problem == nil else { return }
    flush()
    count += 1
    if count > limits.elements { return stop("the XML has more than \(limits.elements) elements") }
    if open.count >= limits.depth { return stop("the XML is nested deeper than \(limits.depth) levels") }
    var attributes: [(String, String)] = []
    var next = list
    while let key = next?[0], let value = next?[1] {
      attributes.append((String(cString: key), String(cString: value)))
      next = next?.advanced(by: 2)
    }
    let element = XMLElement(name: XMLElement.local(String(cString: name)), attributes: attributes)
    open.last?.children.append(element)
    if root == nil { root = element }
    open.append(element)
  }

  func end() {
    guard problem == nil else { return }
    flush()
    _ = open.popLast()
  }

  func characters(_ bytes: UnsafePointer<CChar>, _ count: Int) {
    guard problem == nil else { return }
    bytes.withMemoryRebound(to: UInt8.self, capacity: count) { text.append(contentsOf: UnsafeBufferPointer(start: $0, count: count)) }
  }

  private func flush() {
    guard !text.isEmpty else { return }
    open.last?.text += String(decoding: text, as: UTF8.self)
    text.removeAll(keepingCapacity: true)
  }
}
