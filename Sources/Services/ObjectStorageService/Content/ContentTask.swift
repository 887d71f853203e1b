/// The kinds of tasks that end the life of stored bytes. The subject of a deletion is the id of a file or of a manifest row.
enum ContentTask {
  static let fileKind = "s3.content.delete"
  static let manifestKind = "s3.manifest.delete"
  /// The one task that looks for bytes nobody names; it never ends. Its subject is its own kind.
  static let scrubKind = "s3.scrub"
}
