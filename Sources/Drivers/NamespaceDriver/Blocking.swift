import Dispatch

/// Runs calls that block (waiting for a process, the file system, netlink) away from Swift's own threads.
enum Blocking {
  private static let queue = DispatchQueue(label: "roadstead.instances", attributes: .concurrent)

  static func run<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      queue.async { continuation.resume(with: Result(catching: work)) }
    }
  }
}

/// One piece of work at a time for each instance; different instances do not wait for each other.
actor InstanceGate {
  private var waiting: [String: [CheckedContinuation<Void, Never>]] = [:]

  func exclusively<Value: Sendable>(_ instanceId: String, _ work: @Sendable () async throws -> Value) async throws -> Value {
    await enter(instanceId)
    defer { leave(instanceId) }
    return try await work()
  }

  private func enter(_ instanceId: String) async {
    if waiting[instanceId] == nil {
      waiting[instanceId] = []
      return
    }
    await withCheckedContinuation { waiting[instanceId]?.append($0) }
  }

  private func leave(_ instanceId: String) {
    guard var queue = waiting[instanceId], !queue.isEmpty else {
      waiting[instanceId] = nil
      return
    }
    let next = queue.removeFirst()
    waiting[instanceId] = queue
    next.resume()
  }
}
