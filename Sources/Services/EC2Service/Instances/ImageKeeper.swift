import FoundationEssentials
import Logging
import Ports
import RegionKit
import RegionStore

/// The built-in AMI. The driver makes it at first use and keeps it on disk; this actor lets all callers wait for one making.
actor ImageKeeper {
  enum Status: Sendable {
    case making(lastLine: String)
    case ready(DriverImage)
    case failed(String)
  }

  nonisolated let imageId: String
  private let driver: any InstanceDriver
  private let progress: @Sendable (String) -> Void
  private var making: Task<DriverImage, any Error>?
  private var status: Status?

  init(imageId: String, driver: any InstanceDriver, progress: @escaping @Sendable (String) -> Void) {
    self.imageId = imageId
    self.driver = driver
    self.progress = progress
  }

  /// Where the image stands; asking for the first time sets its making going.
  func current() -> Status {
    if case .failed = status { start() } else if making == nil { start() }
    return status ?? .making(lastLine: "starting")
  }

  /// The image, once it is there.
  func image() async throws -> DriverImage {
    if case .ready(let image)? = status { return image }
    _ = current()
    guard let making else { throw AWSError.internalFailure("The base image is not being made.") }
    return try await making.value
  }

  private func start() {
    status = .making(lastLine: "starting")
    let task = Task { [driver] in
      try await driver.baseImage { line in Task { await self.report(line) } }
    }
    making = task
    Task { await self.finish(task) }
  }

  private func finish(_ task: Task<DriverImage, any Error>) async {
    switch await task.result {
    case .success(let image): status = .ready(image)
    case .failure(let error):
      status = .failed((error as? AWSError)?.message ?? String(describing: error))
      making = nil
    }
  }

  private func report(_ line: String) {
    if case .making = status { status = .making(lastLine: line) }
    progress(line)
  }
}
