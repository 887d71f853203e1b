import FoundationEssentials
import Glibc
import RegionKit

/// How long to wait after failed polls: half a second doubling to 8, because a region that restarts is back within a second; then 34, 44 … 90
/// seconds as the official agent does. Less what the poll itself took, and a little less at random so that hosts do not come back in step.
/// One success starts over.
struct PollBackoff: Sendable {
  private(set) var failures = 0

  mutating func succeeded() { failures = 0 }

  /// Seconds to wait after one more failure.
  mutating func failed(elapsed: Double, randomness: any Randomness) -> Double {
    failures = min(10, failures + 1)
    let whole = Self.wait(failures: failures)
    let jitter = Double(randomness.below(1001)) / 1000 * 0.15
    return max(0, whole * (1 - jitter) - elapsed)
  }

  /// The quick first steps, then the official ones.
  static func wait(failures: Int) -> Double {
    failures <= 5 ? 0.5 * pow(2, Double(failures - 1)) : delay(failures: failures)
  }

  /// `floor(1.2675^n · 90 / 1.2675^10)` for n consecutive failures, at most 10.
  static func delay(failures: Int) -> Double {
    floor(pow(1.2675, Double(min(10, max(1, failures)))) * 90 / pow(1.2675, 10) + 1e-9)
  }
}

/// Says something to the service until it listens: used for what must not get lost.
struct Delivery: Sendable {
  let clock: any RegionClock
  let randomness: any Randomness
  /// Once this says stop, at most `lastTries` more attempts are made.
  var stop: StopSignal?
  private static let lastTries = 4

  /// Repeats `call` after transient failures, 0.3 s then doubling up to 10 s, for at most `limit` real seconds and `tries` attempts.
  /// A refusal is thrown at once.
  func attempt<T: Sendable>(
    limit: Double, tries: Int = .max, _ call: @Sendable () async throws -> T
  ) async throws -> T {
    let end = clock.deadline(afterReal: limit)
    var wait = 0.3
    var count = 0
    var afterStop = 0
    while true {
      count += 1
      if stop?.isStopped == true { afterStop += 1 }
      do { return try await call() } catch let error as CancellationError { throw error } catch let failure as ServiceFailure
        where !failure.isTransient
      {
        throw failure
      } catch {
        guard count < tries, afterStop < Self.lastTries, clock.now().addingTimeInterval(wait) < end else { throw error }
      }
      try await clock.sleepReal(wait * (1 - Double(randomness.below(1001)) / 1000 * 0.3))
      wait = min(afterStop > 0 ? 2 : 10, wait * 2)
    }
  }
}
