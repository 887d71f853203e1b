import Dispatch
import GRDB
import GRDBSQLite

/// The one writer. Jobs that arrive while a transaction is being synced wait together and go into the next one, so that many callers
/// share one sync. Each job lies in a savepoint of its own: one that fails takes nothing of the others with it.
final class GroupWriter: Sendable {
  /// The summary tells observers what to look at; nil when nothing of interest changed.
  typealias Body<Result> = @Sendable (Database) throws -> (result: Result, summary: CommitSummary?)

  private struct Job: Sendable {
    /// May run more than once; only the last run counts.
    let run: @Sendable (Database) throws -> CommitSummary?
    /// Called once the transaction is on disk, or with why it is not.
    let finish: @Sendable ((any Error)?) -> Void
  }
  private struct State: Sendable {
    var waiting: [Job] = []
    var scheduled = false
  }
  private static let largestGroup = 512
  private let state = Locked(State())
  private let queue = DispatchQueue(label: "roadstead.store.writer", qos: .userInitiated)
  private let database: any DatabaseWriter
  private let observers: StoreObservers

  init(_ database: any DatabaseWriter, _ observers: StoreObservers) {
    self.database = database
    self.observers = observers
  }

  /// Returns once the change is on disk.
  func perform<Result: Sendable>(_ body: @escaping Body<Result>) async throws -> Result {
    let box = Locked<Result?>(nil)
    try await withUnsafeThrowingContinuation { (continuation: UnsafeContinuation<Void, any Error>) in
      submit(
        Job(
          run: { database in
            let (result, summary) = try body(database)
            box.with { $0 = result }
            return summary
          },
          finish: { error in
            if let error { continuation.resume(throwing: error) } else { continuation.resume() }
          }))
    }
    guard let result = box.with({ $0 }) else { throw StoreOpenError(description: "a store job ended without a result") }
    return result
  }

  private func submit(_ job: Job) {
    let start = state.with { state in
      state.waiting.append(job)
      defer { state.scheduled = true }
      return !state.scheduled
    }
    if start { queue.async { self.drain() } }
  }

  private func drain() {
    while true {
      let group: [Job] = state.with { state in
        let group = Array(state.waiting.prefix(Self.largestGroup))
        state.waiting.removeFirst(group.count)
        if group.isEmpty { state.scheduled = false }
        return group
      }
      if group.isEmpty { return }
      commit(group)
    }
  }

  private func commit(_ group: [Job]) {
    do {
      let outcomes = try database.writeWithoutTransaction { try Self.transaction(group, $0) }
      for outcome in outcomes { if case .success(let summary?) = outcome { observers.notify(summary) } }
      for (job, outcome) in zip(group, outcomes) {
        switch outcome {
        case .success: job.finish(nil)
        case .failure(let error): job.finish(error)
        }
      }
    } catch  where group.count > 1 {
      // The transaction as a whole failed, perhaps for the sake of one job (a full disk): each on its own.
      for job in group { commit([job]) }
    } catch {
      group[0].finish(error)
    }
  }

  private static func transaction(_ group: [Job], _ database: Database) throws -> [Result<CommitSummary?, any Error>] {
    try PreparedStatement(database, "BEGIN IMMEDIATE").run()
    do {
      let outcomes = try group.map { job in
        if group.count > 1 { try PreparedStatement(database, "SAVEPOINT job").run() }
        do {
          let summary = try job.run(database)
          if group.count > 1 { try PreparedStatement(database, "RELEASE job").run() }
          return Result<CommitSummary?, any Error>.success(summary)
        } catch let error where group.count > 1 && !isOver(database) {
          try PreparedStatement(database, "ROLLBACK TO job").run()
          try PreparedStatement(database, "RELEASE job").run()
          return .failure(error)
        }
      }
      try PreparedStatement(database, "COMMIT").run()
      return outcomes
    } catch {
      if !isOver(database) { try PreparedStatement(database, "ROLLBACK").run() }
      throw error
    }
  }

  /// True when SQLite has rolled back by itself, as it may on a full disk or an I/O error.
  private static func isOver(_ database: Database) -> Bool { sqlite3_get_autocommit(database.sqliteConnection) != 0 }
}
