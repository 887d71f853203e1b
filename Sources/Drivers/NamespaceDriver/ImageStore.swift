import CInstance
import FoundationEssentials
import Glibc
internal import Ports
internal import RegionKit

/// Image layers: immutable directories under their ids, complete from the moment their name appears.
struct ImageStore: Sendable {
  /// Looked through in this order; new layers go into the last, which is the shared cache if there is one.
  let directories: [String]
  let clock: any RegionClock

  /// What is known of a layer, next to it as `<id>.json`.
  struct Description: Codable, Sendable {
    var name: String
    var description: String
    var architecture: String
    var created: Date
    var sizeBytes: Int64
  }

  func path(of layer: String) throws -> String {
    guard SpecRules.isInstanceId(layer) else { throw AWSError("InvalidAMIID.Malformed", "The layer id \(layer) is not well formed.") }
    for directory in directories where Posix.exists("\(directory)/\(layer)/usr") || Posix.exists("\(directory)/\(layer).json") {
      return "\(directory)/\(layer)"
    }
    throw AWSError("InvalidAMIID.NotFound", "The image layer \(layer) is not in the image store \(directories.joined(separator: ", ")).")
  }

  func describe(_ layer: String) -> DriverImage? {
    for directory in directories {
      guard let bytes = Posix.read("\(directory)/\(layer).json"), Posix.exists("\(directory)/\(layer)"),
        let known = try? JSONDecoder().decode(Description.self, from: Data(bytes))
      else { continue }
      return DriverImage(
        layers: [layer], name: known.name, description: known.description, architecture: known.architecture,
        created: known.created, sizeBytes: known.sizeBytes)
    }
    return nil
  }

  /// The built-in image, made when it is not there. Another process that is making it is waited for.
  func baseImage(progress: @escaping @Sendable (String) -> Void) throws -> DriverImage {
    let layer = BaseImage.layerId()
    if let image = describe(layer) { return image }
    guard let target = directories.last else { throw DriverFailure.internalError("The image store has no directory.") }
    try Posix.makeDirectories(target, mode: 0o755)
    let lock = rs_lock_file(target + "/.lock", 1)
    try Posix.check(lock, "lock \(target)/.lock")
    defer { close(lock) }
    if let image = describe(layer) { return image }
    for left in Posix.names(in: target) where left.hasPrefix(".building-") { try Posix.removeTree(target + "/" + left) }
    try Posix.removeTree("\(target)/\(layer)")

    let building = "\(target)/.building-\(layer)"
    let machine = Machine.observe()
    let system = BaseImage.systemName()
    let size = try BaseImageBuilder(target: building, excluded: directories, progress: progress).build()
    let description = Description(
      name: "roadstead-base-\(layer.split(separator: "-").last ?? "")", description: "\(system), copied from this host",
      architecture: machine.architecture == "aarch64" ? "arm64" : machine.architecture, created: clock.now(), sizeBytes: size)
    guard rename(building, "\(target)/\(layer)") == 0 else { throw Posix.failure("name the layer \(layer)", errno) }
    try Posix.write(Array(try JSONEncoder().encode(description)), to: "\(target)/\(layer).json", mode: 0o644)
    progress("base image \(layer) is ready: \(size >> 20) MiB")
    guard let image = describe(layer) else { throw DriverFailure.internalError("The layer \(layer) cannot be read back.") }
    return image
  }
}
