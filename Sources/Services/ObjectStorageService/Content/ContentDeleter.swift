import Durable
import FoundationEssentials
import Logging
import RegionKit
import RegionStore

/// Deletes files that no row names any more. The task row was committed with the change that freed them, so none is forgotten; a
/// reader still at work only delays it.
struct ContentDeleter: TaskHandler {
  let kind: String
  let engine: S3Engine

  func run(_ task: ClaimedTask) async throws -> TaskOutcome {
    guard engine.leases.doom(task.subject) else {
      return .later(engine.clock.deadline(afterReal: 1), reason: "\(task.subject) is being read")
    }
    defer { engine.leases.forget(task.subject) }
    var commit = StoreCommit()
    if kind == ContentTask.manifestKind {
      if let row = try await engine.store.get(ManifestRecord.self, in: task.scope, id: task.subject) {
        for part in row.value.parts { try await engine.content.delete(part.file) }
        commit.delete(ManifestRecord.self, in: task.scope, id: task.subject)
      }
    } else {
      try await engine.content.delete(task.subject)
    }
    return .done(commit)
  }

  /// The scrubber finds what could not be deleted now.
  func exhausted(_ task: ClaimedTask, error: any Error) async throws -> StoreCommit {
    engine.logger.error("bytes could not be deleted", metadata: ["content": "\(task.subject)", "error": "\(error)"])
    return StoreCommit()
  }
}
