import Synchronization

/// A value behind a lock, held only for short computations and never across a suspension.
final class Guarded<Value: Sendable>: Sendable {
  private let mutex: Mutex<Value>
  init(_ value: Value) { mutex = Mutex(value) }
  func with<Result: Sendable, Failure: Error>(_ body: (inout Value) throws(Failure) -> Result) throws(Failure) -> Result {
    try mutex.withLock { (value) throws(Failure) -> Result in try body(&value) }
  }
}
