import FoundationEssentials
import XCTest

@testable import CodeDeployService

final class AgentWatchTests: XCTestCase {
  private let zero = Date(timeIntervalSince1970: 1_767_225_600)
  private func at(_ seconds: Double) -> Date { zero.addingTimeInterval(seconds) }

  /// A target whose first event is due at 0, acknowledged at `acknowledged` if given.
  private func target(acknowledged: Double? = nil) -> TargetRecord {
    var target = TargetRecord(
      deploymentId: "d-AAAAAAAAA", hostId: "i-1", onPremises: false, zone: "a", rank: 0, standing: .current,
      ignoresStopFailures: false, groupId: "g",
      revision: .s3(Revision.S3(bucket: "b", key: "k", bundleType: "zip")),
      events: LifecycleOrder.plain.map { EventRecord(name: $0) }, updated: zero)
    target.start(now: zero)
    if let acknowledged { _ = target.acknowledge(position: 0, delivery: "x", now: at(acknowledged)) }
    return target
  }
  private func contact(last: Double?, polling: Bool = false, up: Double = -10_000, pause: Double = 0) -> AgentContact {
    AgentContact(last: last.map(at), isPolling: polling, regionUp: at(up), pollPause: pause)
  }
  private func judge(_ target: TargetRecord, _ contact: AgentContact, _ now: Double) -> AgentWatch.Verdict {
    AgentWatch.judge(target, contact, now: at(now), CodeDeployOptions())
  }
  private func isSilent(_ verdict: AgentWatch.Verdict) -> Bool { if case .fail(.agentSilent, _) = verdict { true } else { false } }

  func testSilenceIsCountedFromTheDueTimeOrTheLastWord() {
    XCTAssertEqual(judge(target(), contact(last: -500), 29), .again(at(30)))
    XCTAssertTrue(isSilent(judge(target(), contact(last: -500), 30)))
    XCTAssertTrue(isSilent(judge(target(), contact(last: nil), 30)))
    XCTAssertEqual(judge(target(), contact(last: 20), 31), .again(at(50)))
    XCTAssertEqual(judge(target(), contact(last: -500, polling: true), 31), .again(at(300)))
  }

  func testAnAgentThatPollsRarelyIsNotSilentInBetween() {
    XCTAssertEqual(judge(target(), contact(last: -1, pause: 30), 31), .again(at(50)))
    XCTAssertTrue(isSilent(judge(target(), contact(last: -1, pause: 30), 50)))
  }

  func testAfterARestartKnownAgentsGetTimeToComeBack() {
    XCTAssertEqual(judge(target(), contact(last: -60, up: 10), 45), .again(at(110)))
    XCTAssertTrue(isSilent(judge(target(), contact(last: -60, up: 10), 110)))
    XCTAssertEqual(judge(target(), contact(last: nil, up: 10), 35), .again(at(40)), "one that was never seen does not back off")
    XCTAssertTrue(isSilent(judge(target(), contact(last: -90_000, up: -86_400), 30)), "a restart long ago changes nothing")
  }

  func testWhatIsNeverTakenUpFailsAfterFiveMinutes() {
    guard case .fail(.timeout, let message) = judge(target(), contact(last: 299, polling: true), 300) else {
      return XCTFail("still waiting")
    }
    XCTAssertTrue(message.contains("300 s"))
  }

  func testAnHourForAnEventAndFiveMinutesForALostAgent() {
    XCTAssertEqual(judge(target(acknowledged: 5), contact(last: 5), 100), .again(at(400)), "it may not poll while it works")
    guard case .fail(.timeout, _) = judge(target(acknowledged: 5), contact(last: 5), 3605) else { return XCTFail("no limit") }
    XCTAssertEqual(judge(target(acknowledged: 5), contact(last: 65), 100), .again(at(365)))
    XCTAssertTrue(isSilent(judge(target(acknowledged: 5), contact(last: 65), 365)))
    XCTAssertEqual(
      judge(target(acknowledged: 5), contact(last: 65, up: 300), 365), .again(at(600)), "the region was away, not the agent")
  }

  func testAnEndedTargetNeedsNoWatch() {
    var ended = target(acknowledged: 1)
    ended.fail("gone", cause: .agentSilent, now: at(2))
    XCTAssertEqual(judge(ended, contact(last: nil), 10_000), .over)
    let before = ended
    XCTAssertEqual(ended.acknowledge(position: 0, delivery: "x", now: at(3)), .drop)
    ended.halt(now: at(3))
    ended.skip(now: at(3))
    ended.start(now: at(3))
    XCTAssertEqual(ended, before, "no move leaves the end")
  }
}
