/// The kinds of tasks that end the life of stored bytes. Their subject is the id of a file or of a manifest row.
enum ContentTask {
  static let fileKind = "s3.content.delete"
  static let manifestKind = "s3.manifest.delete"
}
