import Foundation

/// The repository's Swift sources, as text.
struct SourceFile {
  /// Relative to the repository's root.
  let path: String
  let lines: [Substring]
  var isGenerated: Bool { path.contains("/Generated/") }
  /// Lines without comments, so that a rule speaks of code only.
  var code: [(number: Int, text: String)] {
    lines.enumerated().compactMap { index, line in
      let text = line.split(separator: "//", maxSplits: 1, omittingEmptySubsequences: false).first.map(String.init) ?? ""
      return text.allSatisfy(\.isWhitespace) ? nil : (index + 1, text)
    }
  }
}

enum SourceTree {
  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  static func swiftFiles(below folder: String) -> [SourceFile] {
    let base = root.appending(path: folder)
    guard let walker = FileManager.default.enumerator(at: base, includingPropertiesForKeys: nil) else { return [] }
    return walker.compactMap { item in
      guard let url = item as? URL, url.pathExtension == "swift", let text = try? String(contentsOf: url, encoding: .utf8) else {
        return nil
      }
      let path = url.path(percentEncoded: false).dropFirst(root.path(percentEncoded: false).count).drop { $0 == "/" }
      return SourceFile(path: String(path), lines: text.split(separator: "\n", omittingEmptySubsequences: false))
    }.sorted { $0.path < $1.path }
  }

  static func text(_ path: String) -> String {
    (try? String(contentsOf: root.appending(path: path), encoding: .utf8)) ?? ""
  }
}
