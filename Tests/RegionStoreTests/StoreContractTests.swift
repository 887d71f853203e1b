import RegionKit
import RegionStore
import RoadsteadTesting
import XCTest

/// The one contract suite, on every store there is.
final class StoreContractTests: XCTestCase {
  func testMemoryStore() async throws { try await StoreContractSuite.run { MemoryStore() } }

  func testSQLiteInMemory() async throws { try await StoreContractSuite.run { try SQLiteStore(inMemory: VirtualClock()) } }

  func testSQLiteOnDisk() async throws {
    let folder = try TemporaryFolder()
    var count = 0
    try await StoreContractSuite.run {
      count += 1
      return try SQLiteStore(path: folder.path + "/\(count).db")
    }
  }

  func testCrashingStoreIsTransparentUntilItCrashes() async throws {
    try await StoreContractSuite.run { CrashingStore(MemoryStore()) }
  }
}
