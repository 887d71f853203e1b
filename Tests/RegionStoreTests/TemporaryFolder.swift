import Foundation
import RegionKit

/// A folder of its own, removed when the object goes away.
final class TemporaryFolder {
  let path: String
  init() throws {
    path = NSTemporaryDirectory() + "/roadstead-" + SystemRandomness().hex(12)
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }
  deinit { try? FileManager.default.removeItem(atPath: path) }
}
