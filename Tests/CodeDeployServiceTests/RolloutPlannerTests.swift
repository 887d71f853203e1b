import RoadsteadTesting
import XCTest

@testable import CodeDeployService

final class RolloutPlannerTests: XCTestCase {
  private func fleet(_ count: Int, _ standing: HostStanding = .current) -> [RolloutHost] {
    (0..<count).map { RolloutHost(id: "h\($0)", standing: standing, phase: .waiting) }
  }
  private func batch(_ count: Int, _ spec: HealthyHostsSpec) -> Int {
    let plan = RolloutPlanner.plan(
      RolloutSnapshot(rule: HealthRule(spec, fleet: count), hosts: fleet(count), stopping: false))
    return plan.count { if case .start = $0 { true } else { false } }
  }

  func testTheMinimumIsRoundedUp() {
    XCTAssertEqual(HealthRule(.fleetPercent(50), fleet: 9).minimum, 5)
    XCTAssertEqual(HealthRule(.fleetPercent(40), fleet: 9).minimum, 4)
    XCTAssertEqual(HealthRule(.fleetPercent(95), fleet: 10).minimum, 10)
    XCTAssertEqual(HealthRule(.fleetPercent(0), fleet: 10).minimum, 0)
    XCTAssertEqual(HealthRule(.hostCount(6), fleet: 9).minimum, 6)
    XCTAssertEqual(HealthRule(.mostConcurrency(1), fleet: 3).minimum, 2)
  }

  func testHowManyAtATime() {
    XCTAssertEqual(batch(10, .hostCount(9)), 1)
    XCTAssertEqual(batch(10, .hostCount(8)), 2)
    XCTAssertEqual(batch(10, .hostCount(0)), 10)
    XCTAssertEqual(batch(9, .fleetPercent(50)), 4)
    XCTAssertEqual(batch(9, .hostCount(6)), 3)
    XCTAssertEqual(batch(9, .fleetPercent(40)), 5)
    XCTAssertEqual(batch(7, .mostConcurrency(1)), 1)
    XCTAssertEqual(batch(1, .mostConcurrency(1)), 1)
  }

  func testNothingIsTouchedWhenTheRuleForbidsTheFirstHost() {
    let rule = HealthRule(.fleetPercent(95), fleet: 10)
    let plan = RolloutPlanner.plan(RolloutSnapshot(rule: rule, hosts: fleet(10), stopping: false))
    XCTAssertEqual(plan.count, 11)
    XCTAssertEqual(plan.last, .end(.cannotStart))
    XCTAssertTrue(plan.dropLast().allSatisfy { if case .skip = $0 { true } else { false } })
    // A host that is down counts as failed before anything began.
    var hosts = fleet(10)
    hosts[3].phase = .down
    let down = RolloutPlanner.plan(RolloutSnapshot(rule: HealthRule(.hostCount(9), fleet: 10), hosts: hosts, stopping: false))
    XCTAssertEqual(down.last, .end(.cannotStart))
  }

  /// Tells a whole deployment with given results; answers its end and how many hosts were reached.
  private func tell(_ spec: HealthyHostsSpec, _ results: [Bool], standing: HostStanding = .current) -> (RolloutEnd, Int) {
    var snapshot = RolloutSnapshot(
      rule: HealthRule(spec, fleet: results.count), hosts: fleet(results.count, standing), stopping: false)
    var reached = 0
    while true {
      for change in RolloutPlanner.plan(snapshot) {
        switch change {
        case .start(let id): set(&snapshot, id, .running)
        case .skip(let id): set(&snapshot, id, .skipped)
        case .halt: break
        case .end(let end): return (end, reached)
        }
      }
      guard let next = snapshot.hosts.firstIndex(where: { $0.phase == .running }) else {
        XCTFail("stuck")
        return (.stopped, reached)
      }
      snapshot.hosts[next].phase = results[reached] ? .succeeded : .failed
      reached += 1
    }
  }
  private func set(_ snapshot: inout RolloutSnapshot, _ id: String, _ phase: RolloutHost.Phase) {
    guard let index = snapshot.hosts.firstIndex(where: { $0.id == id }) else { return XCTFail("no host \(id)") }
    snapshot.hosts[index].phase = phase
  }

  func testOneAtATimeForgivesOnlyTheLast() {
    XCTAssertEqual(tell(.mostConcurrency(1), [true, true, false]).0, .succeeded)
    let (end, reached) = tell(.mostConcurrency(1), [true, false, true])
    XCTAssertEqual(end, .tooFewHealthy)
    XCTAssertEqual(reached, 2)
    XCTAssertEqual(tell(.mostConcurrency(1), [false]).0, .tooFewHealthy)
    XCTAssertEqual(tell(.mostConcurrency(1), [true]).0, .succeeded)
    XCTAssertEqual(tell(.hostCount(8), [true, false, true, true, true, true, true, true, true, false]).0, .succeeded)
    XCTAssertEqual(tell(.hostCount(8), [true, false, true, true, true, true, true, false, true, true]).0, .tooFewHealthy)
  }

  func testAllAtOnceNeedsOne() {
    XCTAssertEqual(tell(.hostCount(0), [false, false, true, false]).0, .succeeded)
    XCTAssertEqual(tell(.hostCount(0), [false, false, false]).0, .tooFewHealthy)
    XCTAssertEqual(tell(.fleetPercent(50), [true, true, false, false], standing: .unhealthy).0, .succeeded)
  }

  func testUnhealthyHostsComeFirstAndTakeNothingAway() {
    struct Facts { var id: String, standing: HostStanding, zone: String, failed: Double }
    let hosts = [
      Facts(id: "a", standing: .current, zone: "1a", failed: 0), Facts(id: "b", standing: .unhealthy, zone: "1b", failed: 5),
      Facts(id: "c", standing: .old, zone: "1a", failed: 0), Facts(id: "d", standing: .unknown, zone: "1a", failed: 0),
      Facts(id: "e", standing: .unhealthy, zone: "1b", failed: 9), Facts(id: "f", standing: .unhealthy, zone: "1a", failed: 1),
    ]
    let ordered = RolloutPlanner.order(hosts) { ($0.standing, $0.zone, $0.failed, $0.id) }
    XCTAssertEqual(ordered.map(\.id), ["f", "e", "b", "d", "c", "a"])
    // Two of four are unhealthy, three must be healthy: both unhealthy ones start, no healthy one may.
    var snapshot = RolloutSnapshot(rule: HealthRule(.hostCount(3), fleet: 4), hosts: fleet(4), stopping: false)
    snapshot.hosts[0].standing = .unhealthy
    snapshot.hosts[1].standing = .unhealthy
    XCTAssertEqual(RolloutPlanner.plan(snapshot), [.start("h0"), .start("h1")])
  }

  func testBusyHostsArePassedOver() {
    var snapshot = RolloutSnapshot(rule: HealthRule(.mostConcurrency(1), fleet: 3), hosts: fleet(3), stopping: false)
    snapshot.hosts[0].busy = true
    XCTAssertEqual(RolloutPlanner.plan(snapshot), [.start("h1")])
    for index in 0..<3 { snapshot.hosts[index].busy = true }
    XCTAssertEqual(RolloutPlanner.plan(snapshot), [])
  }

  func testStopSkipsHaltsAndEnds() {
    var snapshot = RolloutSnapshot(rule: HealthRule(.hostCount(1), fleet: 3), hosts: fleet(3), stopping: true)
    snapshot.hosts[0].phase = .running
    snapshot.hosts[1].phase = .succeeded
    XCTAssertEqual(RolloutPlanner.plan(snapshot), [.halt("h0"), .skip("h2")])
    snapshot.hosts[2].phase = .skipped
    snapshot.hosts[0].phase = .skipped
    XCTAssertEqual(RolloutPlanner.plan(snapshot), [.end(.stopped)])
    for index in 0..<3 { snapshot.hosts[index].phase = .succeeded }
    XCTAssertEqual(RolloutPlanner.plan(snapshot), [.end(.succeeded)], "a stop that spared nobody changes nothing")
  }

  /// Over random fleets, rules, results and stops.
  func testTheRulesHoldForRandomRollouts() {
    for seed in 0..<4000 {
      var random = SeededGenerator(seed: UInt64(seed))
      let count = 1 + random.below(12)
      let spec: HealthyHostsSpec =
        switch random.below(3) {
        case 0: .hostCount(random.below(count + 2))
        case 1: .fleetPercent(random.below(100))
        default: .mostConcurrency(1)
        }
      var hosts = fleet(count)
      for index in hosts.indices {
        hosts[index].standing = HostStanding(rawValue: random.below(4)) ?? .old
        if random.chance(0.1) { hosts[index].phase = random.chance(0.5) ? .down : .current }
      }
      hosts = RolloutPlanner.order(hosts) { ($0.standing, "", 0, $0.id) }
      check(RolloutSnapshot(rule: HealthRule(spec, fleet: count), hosts: hosts, stopping: false), &random, seed)
    }
  }

  private func check(_ initial: RolloutSnapshot, _ random: inout SeededGenerator, _ seed: Int) {
    var snapshot = initial
    let floor = min(initial.rule.minimum, initial.hosts.count { $0.isAvailable })
    for _ in 0..<200 {
      var end: RolloutEnd?
      let plan = RolloutPlanner.plan(snapshot)
      for change in plan {
        switch change {
        case .start(let id): set(&snapshot, id, .running)
        case .skip(let id): set(&snapshot, id, .skipped)
        case .halt(let id): if random.chance(0.5) { set(&snapshot, id, .skipped) }
        case .end(let how): end = how
        }
      }
      let working = snapshot.hosts.filter { $0.phase == .running }
      let failed = snapshot.hosts.count { $0.phase == .failed && $0.standing != .unhealthy }
      XCTAssertGreaterThanOrEqual(snapshot.hosts.count { $0.isAvailable } + failed, floor, "seed \(seed)")
      if let limit = initial.rule.maximumAtOnce { XCTAssertLessThanOrEqual(working.count, limit, "seed \(seed)") }
      if let end {
        XCTAssertTrue(working.isEmpty, "seed \(seed): ended while hosts work")
        let succeeded = snapshot.hosts.count { $0.phase == .succeeded }
        let current = snapshot.hosts.count { $0.phase == .current }
        if end == .succeeded { XCTAssertTrue(initial.rule.passes(succeeded: succeeded, current: current), "seed \(seed)") }
        if end == .cannotStart { XCTAssertEqual(succeeded, 0, "seed \(seed)") }
        return
      }
      if !snapshot.stopping {
        let again = RolloutPlanner.plan(snapshot)
        XCTAssertTrue(again.isEmpty, "seed \(seed): an applied plan asks for more: \(again)")
      }
      if random.chance(0.02) { snapshot.stopping = true }
      guard let pick = working.randomElement(using: &random) else { continue }
      set(&snapshot, pick.id, random.chance(0.75) ? .succeeded : .failed)
    }
    XCTFail("seed \(seed): no end")
  }
}
