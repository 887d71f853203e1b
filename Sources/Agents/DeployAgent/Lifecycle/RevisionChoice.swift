/// From which revision an event takes its AppSpec and scripts.
enum RevisionChoice: Equatable, Sendable {
  case current
  case lastSuccessful
  case mostRecent

  /// The events that run scripts.
  static let hookEvents: Set<String> = [
    "BeforeBlockTraffic", "AfterBlockTraffic", "ApplicationStop", "BeforeInstall", "AfterInstall", "ApplicationStart",
    "ValidateService", "BeforeAllowTraffic", "AfterAllowTraffic",
  ]

  /// The table of §2 of the protocol facts.
  static func of(_ event: String, blueGreenRollback: Bool) -> RevisionChoice {
    switch event {
    case "ApplicationStop": .lastSuccessful
    case "BeforeBlockTraffic", "AfterBlockTraffic": blueGreenRollback ? .mostRecent : .lastSuccessful
    case "BeforeAllowTraffic", "AfterAllowTraffic": blueGreenRollback ? .lastSuccessful : .current
    default: .current
    }
  }

  /// The directory of the chosen deployment; nil when there is none. Once the current bundle is unpacked every event uses it.
  static func directory(_ context: StepContext) -> DeploymentDirectory? {
    if Disk.isDirectory(context.directory.archive) { return context.directory }
    let pointer: String
    switch of(context.command, blueGreenRollback: context.specification.isBlueGreenRollback) {
    case .current: return nil
    case .lastSuccessful: pointer = context.layout.lastSuccessfulPointer(context.group)
    case .mostRecent: pointer = context.layout.mostRecentPointer(context.group)
    }
    guard let path = context.layout.target(of: pointer) else { return nil }
    let directory = DeploymentDirectory(path: path)
    return Disk.isDirectory(directory.archive) ? directory : nil
  }
}
