import CInstance
import Dispatch
import Glibc

/// Changes in a watched directory as a stream: one element says that something changed since the last.
final class DirectoryChanges: Sendable {
  let stream: AsyncStream<Void>
  private let continuation: AsyncStream<Void>.Continuation
  private let source: Source

  private struct Source: @unchecked Sendable {
    // Dispatch sources may be cancelled from any thread.
    let dispatch: any DispatchSourceRead
  }

  /// Takes the inotify descriptor over.
  init(descriptor: Int32) {
    (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let dispatch = DispatchSource.makeReadSource(
      fileDescriptor: descriptor, queue: DispatchQueue(label: "roadstead.metadata-changes"))
    let continuation = continuation
    dispatch.setEventHandler {
      if rs_watch_wait(descriptor) < 0 { continuation.finish() } else { continuation.yield() }
    }
    dispatch.setCancelHandler { close(descriptor) }
    source = Source(dispatch: dispatch)
    dispatch.resume()
  }

  func end() {
    continuation.finish()
    source.dispatch.cancel()
  }
}
