import FoundationEssentials
import RegionStore

/// AWS's status names of a target and of a lifecycle event.
enum HostStatus: String, Codable, Sendable, CaseIterable {
  case pending = "Pending", inProgress = "InProgress", succeeded = "Succeeded", failed = "Failed", skipped = "Skipped"
}

/// What an agent, or the region in its place, says about one event.
struct EventDiagnostics: Codable, Hashable, Sendable {
  /// AWS's `LifecycleErrorCode`.
  var errorCode: String
  var scriptName: String
  var message: String
  var logTail: String
}

struct EventRecord: Codable, Hashable, Sendable {
  var name: String
  var status: HostStatus = .pending
  var start: Date?
  var end: Date?
  var diagnostics: EventDiagnostics?
}

/// One host of one deployment: a machine of its own, so that a thousand hosts do not contend for one record.
struct TargetRecord: StoredRecord, Equatable {
  static let collection = "codedeploy.target"

  enum Phase: Codable, Hashable, Sendable {
    case waiting
    case running(Run)
    case ended(Ending)
  }

  /// The command that is due, delivered or in flight. Where it was delivered is no part of the record: see `CommandService`.
  struct Run: Codable, Hashable, Sendable {
    /// Index into `events`.
    var position: Int
    /// Since when the event's work is due.
    var due: Date
    /// Set by the first acknowledgement; from then on the command is never handed out again.
    var acknowledgement: Acknowledgement?
    /// The deployment was stopped: this event is the last.
    var halting = false
  }

  struct Acknowledgement: Codable, Hashable, Sendable {
    /// Tells one delivery of the command from another.
    var delivery: String
    var time: Date
  }

  /// How the work on the host ended.
  struct Ending: Codable, Hashable, Sendable {
    enum Cause: String, Codable, Sendable {
      case success, failedEvent, agentSilent, timeout, hostDown, skipped, halted, alreadyCurrent, internalError
    }
    var status: HostStatus
    var cause: Cause
    var time: Date
  }

  var deploymentId: String
  /// `i-…` or the name of an on-premises instance.
  var hostId: String
  var onPremises: Bool
  var zone: String
  /// Place in the order of deployment, from 0.
  var rank: Int
  var standing: HostStanding
  var ignoresStopFailures: Bool
  /// The group's uuid: the agent's files and the host's state are kept under it.
  var groupId: String
  var revision: Revision
  var events: [EventRecord]
  var phase: Phase = .waiting
  var updated: Date

  static func id(_ deploymentId: String, _ hostId: String) -> String { deploymentId + "/" + hostId }
  var id: String { Self.id(deploymentId, hostId) }
  var indexValues: [String: String] { ["phase": Self.phaseIndex(deploymentId, phaseName)] }
  static func phaseIndex(_ deploymentId: String, _ phase: String) -> String { deploymentId + "/" + phase }

  var phaseName: String {
    switch phase {
    case .waiting: "waiting"
    case .running: "running"
    case .ended: "ended"
    }
  }
  var status: HostStatus {
    switch phase {
    case .waiting: .pending
    case .running: .inProgress
    case .ended(let ending): ending.status
    }
  }
  var ending: Ending? { if case .ended(let ending) = phase { ending } else { nil } }
  var run: Run? { if case .running(let run) = phase { run } else { nil } }
  /// The event that failed the host, if one did.
  var failedEvent: EventRecord? {
    guard status == .failed else { return nil }
    return events.last { $0.status == .failed }
  }
}

/// Which deployment works on a host. A host serves one deployment at a time: two at once would mix their files and scripts.
/// The record exists only while a deployment holds the host.
struct HostRecord: StoredRecord, Equatable {
  static let collection = "codedeploy.host"
  var heldBy: String
  /// Deployments that wait for the host, in the order they asked.
  var waiting: [String] = []
}

/// What a group knows of a host from earlier deployments. Id: `<group uuid>/<host>`.
struct HostStateRecord: StoredRecord, Equatable {
  static let collection = "codedeploy.hoststate"
  var healthy: Bool
  /// The revision of the last deployment that succeeded on the host.
  var revision: Revision?
  var deploymentId: String
  var time: Date
  static func id(_ groupId: String, _ hostId: String) -> String { groupId + "/" + hostId }
}

/// What is known of the agent on a host. Written when it first speaks, when its version changes, and about once a minute.
struct AgentRecord: StoredRecord, Equatable {
  static let collection = "codedeploy.agent"
  var version: String?
  var firstContact: Date
  var lastContact: Date
}
