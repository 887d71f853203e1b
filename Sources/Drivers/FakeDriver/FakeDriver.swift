internal import FoundationEssentials
public import Ports
public import RegionKit
import Synchronization

/// An instance driver without instances: it keeps to the contract in memory, takes the time and fails the way it is told. For
/// simulation and for users' tests. Like real machines, what it holds outlives the region that uses it: hand the same object to
/// the next region.
public actor FakeDriver: InstanceDriver {
  /// The calls that can be delayed and made to fail.
  public enum Operation: String, Sendable, CaseIterable {
    case prepareNetwork, baseImage, launch, recover, inspect, stop, destroy, consoleOutput, list
  }

  /// How the driver behaves. Both are asked at each call.
  public struct Behaviour: Sendable {
    /// Seconds a call takes, on the region's clock (scaled: a fake machine's boot is a region-side wait).
    public var latency: @Sendable (Operation, _ instanceId: String?, any Randomness) -> Double
    /// The error a call ends with, after its latency; nil: it succeeds. `afterEffect` tells when: false, before anything happened;
    /// true, when it has happened and only the answer is lost.
    public var failure: @Sendable (Operation, _ instanceId: String?, any Randomness) -> Failure?
    public init(
      latency: @escaping @Sendable (Operation, String?, any Randomness) -> Double = { _, _, _ in 0 },
      failure: @escaping @Sendable (Operation, String?, any Randomness) -> Failure? = { _, _, _ in nil }
    ) {
      self.latency = latency
      self.failure = failure
    }
  }

  public struct Failure: Sendable {
    public var error: AWSError
    public var afterEffect: Bool
    public init(_ error: AWSError, afterEffect: Bool = false) {
      self.error = error
      self.afterEffect = afterEffect
    }
  }

  /// One instance as the driver knows it.
  public struct Instance: Sendable, Equatable {
    public var spec: InstanceSpec
    public var isRunning: Bool
    public var exitStatus: Int?
    /// Counts launches; part of the handle, so that a handle of an earlier life is told from this one.
    public var life: Int
    /// What stands for the writable layer: kept by a stop, gone with `fresh`.
    public var files: [String: [UInt8]]
    public var console: [UInt8]
  }

  public nonisolated let name = "fake"
  private let clock: any RegionClock
  private let randomness: any Randomness
  private let network: DriverNetwork
  private var behaviour: Behaviour
  private var held: [String: Instance] = [:]
  private var lives = 0
  private struct Listeners {
    var all: [Int: AsyncStream<String>.Continuation] = [:]
    var next = 0
  }
  // Outside the actor, so that a stream hears everything from the moment it is made.
  private nonisolated let listeners = Mutex(Listeners())
  /// How often each call came, successful or not.
  public private(set) var calls: [Operation: Int] = [:]

  public init(
    clock: any RegionClock, randomness: any Randomness, behaviour: Behaviour = Behaviour(),
    network: DriverNetwork = DriverNetwork(cidr: "172.31.0.0/16", gatewayIP: "172.31.0.1")
  ) {
    self.clock = clock
    self.randomness = randomness
    self.behaviour = behaviour
    self.network = network
  }

  // MARK: - What tests look at and do

  public func set(behaviour: Behaviour) { self.behaviour = behaviour }
  public func instance(_ instanceId: String) -> Instance? { held[instanceId] }
  /// The machine loses power: init ends without being asked to.
  public func kill(_ instanceId: String) { end(instanceId, status: nil) }
  /// Something inside writes a file.
  public func write(_ content: [UInt8], to path: String, in instanceId: String) { held[instanceId]?.files[path] = content }
  /// Something inside prints on the console.
  public func print(_ text: String, on instanceId: String) { held[instanceId]?.console += Array(text.utf8) }

  // MARK: - InstanceDriver

  public func capabilities() async -> DriverCapabilities {
    let missing: [DriverCapabilities.Capability: String] = [
      .snapshot: "the fake driver has nothing to make an image of.",
      .userNamespace: "the fake driver runs no code.",
    ]
    return DriverCapabilities(
      available: Set(DriverCapabilities.Capability.allCases.filter { missing[$0] == nil }), missing: missing)
  }

  public func prepareNetwork() async throws -> DriverNetwork { try await perform(.prepareNetwork, nil) { self.network } }

  public func baseImage(progress: @escaping @Sendable (String) -> Void) async throws -> DriverImage {
    try await perform(.baseImage, nil) {
      progress("base image: nothing to copy")
      return DriverImage(
        layers: ["base-fake"], name: "roadstead-base-fake", description: "No files at all", architecture: "x86_64",
        created: self.clock.now(), sizeBytes: 0)
    }
  }

  public func launch(_ spec: InstanceSpec, fresh: Bool) async throws -> InstanceHandle {
    try await perform(.launch, spec.instanceId) {
      let known = self.held[spec.instanceId]
      if let known, known.isRunning { return self.handle(of: known) }
      if let owner = self.held.values.first(where: {
        $0.spec.privateIP == spec.privateIP && $0.spec.instanceId != spec.instanceId
      }) {
        throw AWSError("InvalidIPAddress.InUse", "Address \(spec.privateIP) is in use by \(owner.spec.instanceId).")
      }
      if spec.layers != ["base-fake"] {
        throw AWSError("InvalidAMIID.NotFound", "The image layers \(spec.layers.joined(separator: ", ")) are not in the image store.")
      }
      self.lives += 1
      var instance = Instance(
        spec: spec, isRunning: true, exitStatus: nil, life: self.lives, files: fresh ? [:] : known?.files ?? [:],
        console: fresh ? [] : known?.console ?? [])
      for file in spec.files { instance.files[file.path] = file.content }
      self.held[spec.instanceId] = instance
      return self.handle(of: instance)
    }
  }

  public func recover(_ handle: InstanceHandle) async throws -> InstanceHandle? {
    try await perform(.recover, handle.instanceId) {
      self.held[handle.instanceId].flatMap { $0.isRunning ? self.handle(of: $0) : nil }
    }
  }

  public func inspect(_ handle: InstanceHandle) async throws -> InstanceInspection {
    try await perform(.inspect, handle.instanceId) {
      guard let instance = self.held[handle.instanceId] else { return InstanceInspection(condition: .absent) }
      return instance.isRunning
        ? InstanceInspection(condition: .running, cpuSeconds: 0, memoryBytes: 0)
        : InstanceInspection(condition: .stopped, exitStatus: instance.exitStatus)
    }
  }

  public func stop(_ handle: InstanceHandle, grace: Double) async throws {
    try await perform(.stop, handle.instanceId) { self.end(handle.instanceId, status: 0) }
  }

  public func destroy(instanceId: String) async throws {
    try await perform(.destroy, instanceId) {
      self.end(instanceId, status: nil)
      self.held[instanceId] = nil
    }
  }

  public func consoleOutput(instanceId: String) async throws -> [UInt8] {
    try await perform(.consoleOutput, instanceId) { Array((self.held[instanceId]?.console ?? []).suffix(64 << 10)) }
  }

  public func list() async throws -> [String] { try await perform(.list, nil) { self.held.keys.sorted() } }

  public nonisolated func exits() -> AsyncStream<String> {
    let (stream, continuation) = AsyncStream.makeStream(of: String.self)
    let id = listeners.withLock { listeners in
      listeners.next += 1
      listeners.all[listeners.next] = continuation
      return listeners.next
    }
    continuation.onTermination = { [weak self] _ in self?.listeners.withLock { $0.all[id] = nil } }
    return stream
  }

  // MARK: -

  private func end(_ instanceId: String, status: Int?) {
    guard held[instanceId]?.isRunning == true else { return }
    held[instanceId]?.isRunning = false
    held[instanceId]?.exitStatus = status
    for listener in listeners.withLock({ Array($0.all.values) }) { listener.yield(instanceId) }
  }

  private func handle(of instance: Instance) -> InstanceHandle {
    InstanceHandle(
      version: 1, instanceId: instance.spec.instanceId, facts: ["life": String(instance.life), "address": instance.spec.privateIP])
  }

  /// Time first, then the effect, with the failure before or after it.
  private func perform<Value: Sendable>(
    _ operation: Operation, _ instanceId: String?, _ effect: () throws -> Value
  ) async throws -> Value {
    calls[operation, default: 0] += 1
    let seconds = behaviour.latency(operation, instanceId, randomness)
    if seconds > 0 { try await clock.sleepScaled(seconds) }
    guard let failure = behaviour.failure(operation, instanceId, randomness) else { return try effect() }
    if failure.afterEffect { _ = try effect() }
    throw failure.error
  }
}
