public import FoundationEssentials

/// Time as the region sees it. Timestamps are always wall time; the time scale (`roadstead up --time-scale`) divides only the
/// durations that the region itself waits for. A caller chooses by the method it calls:
/// - *scaled*: metric and alarm periods, health-check intervals, cooldowns, warm-ups, bakes, waits, schedules, heartbeats;
/// - *real*: signature windows, credential lifetimes, TLS, leases, socket timeouts, the time limit of a user's script.
public protocol RegionClock: Sendable {
  /// The wall time, UTC.
  func now() -> Date
  /// Suspends for exactly this long. Throws `CancellationError` when the task is cancelled.
  func sleepReal(_ seconds: Double) async throws
  /// Divides a duration by the time scale.
  func scaled(_ seconds: Double) -> Double
}

extension RegionClock {
  /// Suspends for a region-side wait, shortened by the time scale.
  public func sleepScaled(_ seconds: Double) async throws { try await sleepReal(scaled(seconds)) }
  /// When a region-side wait that begins now ends.
  public func deadline(afterScaled seconds: Double) -> Date { now().addingTimeInterval(scaled(seconds)) }
  /// When a real duration that begins now ends.
  public func deadline(afterReal seconds: Double) -> Date { now().addingTimeInterval(seconds) }
}

/// The machine's own clock.
public struct SystemClock: RegionClock {
  /// At least 1; how many times faster region-side waits pass.
  public let timeScale: Double
  public init(timeScale: Double = 1) { self.timeScale = max(1, timeScale) }
  public func now() -> Date { Date() }
  public func sleepReal(_ seconds: Double) async throws {
    try await Task.sleep(for: .seconds(max(0, seconds)))
  }
  public func scaled(_ seconds: Double) -> Double { seconds / timeScale }
}
