import ContentStore

/// The content store's own "nothing under this id"; S3 has one of the same name.
typealias StoreContentMissing = ContentMissing
