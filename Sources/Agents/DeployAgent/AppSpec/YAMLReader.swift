// libyaml, which Yams brings: its event interface shows aliases, duplicate keys and scalar styles, which Yams' own tree hides or
// refuses (the official agent lets the last duplicate win and refuses every alias).
import CYaml

/// Reads the first document of a YAML text. A pure function of its input; never recurses deeper than libyaml's own limit of 1000.
public enum YAMLReader {
  /// Longer texts are refused: nothing the agent reads comes near it.
  public static let largestText = 1 << 20

  /// Nil for a text without any document.
  public static func read(_ bytes: [UInt8]) -> Result<YAMLValue?, YAMLFault> {
    guard bytes.count <= largestText else { return .failure(YAMLFault(message: "the file is larger than \(largestText) bytes")) }
    let text = bytes.starts(with: [0xef, 0xbb, 0xbf]) ? Array(bytes.dropFirst(3)) : bytes
    return text.withUnsafeBufferPointer { buffer in
      let session = Session(buffer)
      do throws(YAMLFault) { return .success(try session.document()) } catch { return .failure(error) }
    }
  }
}

private final class Session {
  private var parser = yaml_parser_t()

  init(_ text: UnsafeBufferPointer<UInt8>) {
    yaml_parser_initialize(&parser)
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING)
    yaml_parser_set_input_string(&parser, text.baseAddress, text.count)
  }
  deinit { yaml_parser_delete(&parser) }

  func document() throws(YAMLFault) -> YAMLValue? {
    while true {
      switch try next() {
      case .streamEnd: return nil
      case .other: continue
      case let event: return try value(event)
      }
    }
  }

  private enum Event {
    case scalar(String, tag: String?, plain: Bool)
    case listStart(tag: String?)
    case mapStart(tag: String?)
    case end
    case streamEnd
    case other
  }

  private func next() throws(YAMLFault) -> Event {
    var event = yaml_event_t()
    guard yaml_parser_parse(&parser, &event) == 1 else { throw fault() }
    defer { yaml_event_delete(&event) }
    switch event.type {
    case YAML_ALIAS_EVENT: throw YAMLFault(message: "Unknown alias: \(string(event.data.alias.anchor))")
    case YAML_SCALAR_EVENT:
      let scalar = event.data.scalar
      let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
      return .scalar(
        String(decoding: bytes, as: UTF8.self), tag: scalar.tag.map { string($0) },
        plain: scalar.style == YAML_PLAIN_SCALAR_STYLE)
    case YAML_SEQUENCE_START_EVENT: return .listStart(tag: event.data.sequence_start.tag.map { string($0) })
    case YAML_MAPPING_START_EVENT: return .mapStart(tag: event.data.mapping_start.tag.map { string($0) })
    case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT: return .end
    case YAML_STREAM_END_EVENT: return .streamEnd
    default: return .other
    }
  }

  private func value(_ event: Event) throws(YAMLFault) -> YAMLValue {
    switch event {
    case .scalar(let text, let tag, let plain): return try scalar(text, tag, plain)
    case .listStart(let tag):
      try allow(tag, "seq")
      var items: [YAMLValue] = []
      while true {
        let event = try next()
        if case .end = event { return .list(items) }
        items.append(try value(event))
      }
    case .mapStart(let tag):
      try allow(tag, "map")
      var map = YAMLMap()
      while true {
        let event = try next()
        if case .end = event { return .map(map) }
        let key = try value(event)
        let content = try value(try next())
        if key == .string("<<"), case .map(let merged) = content {
          for pair in merged.pairs { map.set(pair.key, pair.value) }
        } else {
          map.set(key, content)
        }
      }
    case .end, .streamEnd, .other: throw YAMLFault(message: "the document ends in the middle of a value")
    }
  }

  private func scalar(_ text: String, _ tag: String?, _ plain: Bool) throws(YAMLFault) -> YAMLValue {
    let core = "tag:yaml.org,2002:"
    switch tag {
    case nil: return plain ? try YAMLScalar.resolve(text) : .string(text)
    case "!", core + "str": return .string(text)
    case core + "int", core + "float", core + "bool", core + "null": return try YAMLScalar.resolve(text)
    case let tag?: throw YAMLFault(message: "the tag \(tag) is not allowed here")
    }
  }

  private func allow(_ tag: String?, _ name: String) throws(YAMLFault) {
    if let tag, tag != "!", tag != "tag:yaml.org,2002:" + name { throw YAMLFault(message: "the tag \(tag) is not allowed here") }
  }

  private func string(_ pointer: UnsafePointer<UInt8>) -> String { String(cString: pointer) }
  private func string(_ pointer: UnsafeMutablePointer<UInt8>?) -> String { pointer.map { String(cString: $0) } ?? "" }

  private func fault() -> YAMLFault {
    let problem = parser.problem.map { String(cString: $0) } ?? "the text is not YAML"
    let context = parser.context.map { " " + String(cString: $0) } ?? ""
    return YAMLFault(
      message: "\(problem)\(context) at line \(parser.problem_mark.line + 1) column \(parser.problem_mark.column + 1)")
  }
}
