import Durable
import FoundationEssentials
import Logging
import RegionKit
import RegionStore

/// Scrubs once a day for as long as the region lives, so that what crashes leave behind does not grow.
struct ScrubTask: TaskHandler {
  /// Real seconds between two runs, and from a first start to the first.
  static let interval: Double = 86_400
  let engine: S3Engine
  var kind: String { ContentTask.scrubKind }

  /// The task row; committing it again changes nothing.
  static func first(_ clock: any RegionClock) -> NewTask {
    NewTask(
      id: ContentTask.scrubKind, kind: ContentTask.scrubKind, scope: BucketRecord.scope, subject: ContentTask.scrubKind,
      due: clock.deadline(afterReal: interval))
  }

  func run(_ task: ClaimedTask) async throws -> TaskOutcome {
    let report = try await engine.scrub(verify: false)
    if !report.orphanFiles.isEmpty || report.orphanRows > 0 {
      engine.logger.notice(
        "removed what no object names", metadata: ["files": "\(report.orphanFiles.count)", "rows": "\(report.orphanRows)"])
    }
    return .later(engine.clock.deadline(afterReal: Self.interval), reason: "\(report.objects) objects scrubbed")
  }

  /// The next start of the region schedules it anew.
  func exhausted(_ task: ClaimedTask, error: any Error) async throws -> StoreCommit {
    engine.logger.error("the scrub could not be done", metadata: ["error": "\(error)"])
    return StoreCommit()
  }
}
