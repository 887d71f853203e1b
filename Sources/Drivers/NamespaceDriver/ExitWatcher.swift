import CInstance
import Dispatch
import Glibc
import Synchronization

/// Tells the end of processes that are not this process's children.
final class ExitWatcher: Sendable {
  private struct Source: @unchecked Sendable {
    let pid: pid_t
    // Dispatch sources may be cancelled from any thread.
    let source: any DispatchSourceRead
  }
  private struct State {
    var sources: [String: Source] = [:]
    var listeners: [Int: AsyncStream<String>.Continuation] = [:]
    var nextListener = 0
  }
  private let state = Mutex(State())
  private let queue = DispatchQueue(label: "roadstead.instance-exits")

  /// Watches the instance's init from now on; once is enough.
  func watch(_ instanceId: String, pid: pid_t) {
    let fd = rs_pidfd_open(pid)
    guard fd >= 0 else {
      // It has ended between the look that found it and now.
      announce(instanceId, pid: pid)
      return
    }
    let source = DispatchSource.makeReadSource(fileDescriptor: fd, queue: queue)
    source.setEventHandler { [weak self] in
      source.cancel()
      self?.announce(instanceId, pid: pid)
    }
    source.setCancelHandler { close(fd) }
    let entry = Source(pid: pid, source: source)
    let known = state.withLock { state in
      if state.sources[instanceId]?.pid == pid { return true }
      state.sources[instanceId] = entry
      return false
    }
    source.resume()
    if known { entry.source.cancel() }
  }

  private func announce(_ instanceId: String, pid: pid_t) {
    let listeners = state.withLock { state in
      if state.sources[instanceId]?.pid == pid { state.sources[instanceId] = nil }
      return Array(state.listeners.values)
    }
    for listener in listeners { listener.yield(instanceId) }
  }

  func stream() -> AsyncStream<String> {
    AsyncStream { continuation in
      let id = state.withLock { state in
        state.nextListener += 1
        state.listeners[state.nextListener] = continuation
        return state.nextListener
      }
      continuation.onTermination = { [weak self] _ in self?.state.withLock { $0.listeners[id] = nil } }
    }
  }
}
