import NIOCore
import RegionKit
import Synchronization

/// Why a body ended early.
enum BodyFailure: Error {
  /// The peer went away before the body was complete.
  case connectionClosed
}

/// The pieces of one body between the event loop that receives them and the task that reads them. Holds at most about `highWater` bytes:
/// above it the loop stops reading from the socket, and below half of it reading goes on.
final class BodyQueue: Sendable {
  private struct State {
    var pieces = CircularBuffer<[UInt8]>()
    var buffered = 0
    var ended = false
    var failure: (any Error)?
    var trailers = HTTPFields()
    var waiter: CheckedContinuation<[UInt8]?, any Error>?
    var asked = false
    var paused = false
    var abandoned = false
  }
  private let state = Mutex(State())
  private let highWater: Int
  /// Called from the reading task: once when the body is first asked for, and whenever a paused connection may read again.
  private let demand: @Sendable () -> Void

  init(highWater: Int, demand: @escaping @Sendable () -> Void) {
    self.highWater = highWater
    self.demand = demand
  }

  /// True once somebody has asked for a piece.
  var wasAsked: Bool { state.withLock { $0.asked } }
  /// True while the loop should leave bytes in the socket.
  var isPaused: Bool { state.withLock { $0.paused } }
  var trailers: HTTPFields { state.withLock { $0.trailers } }

  // MARK: the event loop's side

  func append(_ piece: [UInt8]) {
    guard !piece.isEmpty else { return }
    let waiter = state.withLock { state -> CheckedContinuation<[UInt8]?, any Error>? in
      guard !state.abandoned, !state.ended, state.failure == nil else { return nil }
      if let waiter = state.waiter {
        state.waiter = nil
        return waiter
      }
      state.pieces.append(piece)
      state.buffered += piece.count
      if state.buffered >= highWater { state.paused = true }
      return nil
    }
    waiter?.resume(returning: piece)
  }

  func finish(trailers: HTTPFields = HTTPFields()) {
    let waiter = state.withLock { state -> CheckedContinuation<[UInt8]?, any Error>? in
      guard state.failure == nil else { return nil }
      state.ended = true
      state.trailers = trailers
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume(returning: nil)
  }

  /// Pieces that have come are still handed out before the error.
  func fail(_ error: any Error) {
    let waiter = state.withLock { state -> CheckedContinuation<[UInt8]?, any Error>? in
      guard !state.ended, state.failure == nil else { return nil }
      state.failure = error
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume(throwing: error)
  }

  /// Nobody will read on: what is held is dropped and what comes is not kept.
  func abandon() {
    let waiter = state.withLock { state -> CheckedContinuation<[UInt8]?, any Error>? in
      state.abandoned = true
      state.pieces.removeAll()
      state.buffered = 0
      state.paused = false
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume(returning: nil)
  }

  // MARK: the reader's side

  private enum Step {
    case piece([UInt8], resume: Bool)
    case end
    case failed(any Error)
    case wait(first: Bool)
  }

  func next() async throws -> [UInt8]? {
    switch take() {
    case .piece(let piece, let resume):
      if resume { demand() }
      return piece
    case .end: return nil
    case .failed(let error): throw error
    case .wait(let first):
      if first { demand() }
      return try await wait()
    }
  }

  private func take() -> Step {
    state.withLock { state in
      let first = !state.asked
      state.asked = true
      if let piece = state.pieces.popFirst() {
        state.buffered -= piece.count
        let resume = state.paused && state.buffered <= highWater / 2
        if resume { state.paused = false }
        return .piece(piece, resume: resume)
      }
      if let failure = state.failure { return .failed(failure) }
      if state.ended || state.abandoned { return .end }
      return .wait(first: first)
    }
  }

  private func wait() async throws -> [UInt8]? {
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<[UInt8]?, any Error>) in
        enum Now { case piece([UInt8]), end, failed(any Error), later }
        let now = state.withLock { state -> Now in
          if let piece = state.pieces.popFirst() {
            state.buffered -= piece.count
            return .piece(piece)
          }
          if let failure = state.failure { return .failed(failure) }
          if state.ended || state.abandoned { return .end }
          if Task.isCancelled { return .failed(CancellationError()) }
          state.waiter = continuation
          return .later
        }
        switch now {
        case .piece(let piece): continuation.resume(returning: piece)
        case .end: continuation.resume(returning: nil)
        case .failed(let error): continuation.resume(throwing: error)
        case .later: break
        }
      }
    } onCancel: {
      let waiter = state.withLock { state -> CheckedContinuation<[UInt8]?, any Error>? in
        defer { state.waiter = nil }
        return state.waiter
      }
      waiter?.resume(throwing: CancellationError())
    }
  }
}
