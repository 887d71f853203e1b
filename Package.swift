// swift-tools-version: 6.1
import PackageDescription

// One target per service: an edit in a handler rebuilds one small module. Imports point one way; Tests/TidyTests hold them to it.

let nio: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let cryptoExtras: Target.Dependency = .product(name: "CryptoExtras", package: "swift-crypto")
let x509: Target.Dependency = .product(name: "X509", package: "swift-certificates")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let sqlite: Target.Dependency = .product(name: "GRDBSQLite", package: "GRDB.swift")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6), .enableUpcomingFeature("InternalImportsByDefault"), .enableUpcomingFeature("MemberImportVisibility"),
]

func library(_ name: String, in folder: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, path: "Sources/\(folder)/\(name)", swiftSettings: settings)
}
func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies, path: "Tests/\(name)", swiftSettings: settings)
}
func cTarget(_ name: String, _ linked: [String] = []) -> Target {
  .target(name: name, path: "Sources/C/\(name)", linkerSettings: linked.map { .linkedLibrary($0) })
}
func system(_ name: String) -> Target { .systemLibrary(name: name, path: "Sources/C/\(name)") }

let serviceBase: [Target.Dependency] = ["RegionKit", "WireModel", "RegionStore", "Durable", "Ports", logging]

let all: [Target] = [
  // Base
  library("RegionKit", in: "Base", []),
  library("WireModel", in: "Base", ["RegionKit"]),
  library("WireProtocol", in: "Base", ["RegionKit", "WireModel", "CExpat"]),
  library("RequestSigning", in: "Base", ["RegionKit", crypto]),
  library("HTTPKit", in: "Base", ["RegionKit", nio, nioPosix, nioHTTP1, nioSSL, logging]),
  library("RegionStore", in: "Base", ["RegionKit", grdb, sqlite, logging]),
  library("ContentStore", in: "Base", ["RegionKit", "CPosixFiles", crypto]),
  library("Durable", in: "Base", ["RegionKit", "RegionStore", logging]),
  library("Ports", in: "Base", ["RegionKit"]),
  // The request path
  library(
    "Gateway", in: ".",
    [
      "RegionKit", "WireModel", "WireProtocol", "RequestSigning", "HTTPKit", "Ports", crypto, logging,
    ]),
  // Services
  library("IdentityService", in: "Services", serviceBase + [crypto]),
  library("ObjectStorageService", in: "Services", serviceBase + ["ContentStore", "CZlib", crypto]),
  library("EC2Service", in: "Services", serviceBase + [crypto, x509]),
  library("CodeDeployService", in: "Services", serviceBase + [crypto, cryptoExtras, x509]),
  // What an instance is
  library("NamespaceDriver", in: "Drivers", ["RegionKit", "Ports", "CInstance", logging]),
  library("FakeDriver", in: "Drivers", ["RegionKit", "Ports"]),
  library("MetadataPlane", in: "Planes", ["RegionKit", "Ports", "HTTPKit", "CInstance", nioPosix, crypto, logging]),
  library(
    "DeployAgent", in: "Agents",
    [
      "RegionKit", "HTTPKit", "RequestSigning", "CArchive", "CProcess", yams, crypto, x509, logging,
    ]),
  // Composition
  library(
    "Region", in: ".",
    [
      "RegionKit", "WireModel", "WireProtocol", "RequestSigning", "HTTPKit", "RegionStore", "ContentStore", "Durable", "Ports",
      "Gateway", "IdentityService", "ObjectStorageService", "EC2Service", "CodeDeployService", "NamespaceDriver", "FakeDriver",
      "MetadataPlane", nioSSL, crypto, x509, logging,
    ]),
  library("RoadsteadTesting", in: ".", ["RegionKit", "WireModel", "RegionStore", "Durable", "Ports"]),
  .executableTarget(
    name: "roadstead",
    dependencies: ["Region", "DeployAgent", "MetadataPlane", "NamespaceDriver", "CInstance", "RegionKit", arguments, logging],
    path: "Sources/roadstead",
    swiftSettings: settings,
    // The agent runs inside images that have no Swift runtime.
    linkerSettings: [
      .unsafeFlags([
        "-static-stdlib", "-lCoreFoundation", "-l_FoundationICU", "-l_FoundationCollections", "-l_FoundationCShims", "-lstdc++",
      ])
    ]),
  // C: system libraries behind module maps, and the few calls that Swift cannot make safely
  system("CExpat"), system("CArchive"), system("CZlib"),
  cTarget("CInstance"), cTarget("CProcess"), cTarget("CPosixFiles"),
  // Tests
  tests("RegionKitTests", ["RegionKit"]),
  tests("WireProtocolTests", ["WireProtocol", "WireModel", "RegionKit"]),
  tests("RequestSigningTests", ["RequestSigning", "RegionKit"]),
  tests("HTTPKitTests", ["HTTPKit", "RegionKit"]),
  tests("RegionStoreTests", ["RegionStore", "ContentStore", "RegionKit", "RoadsteadTesting", grdb, logging]),
  tests("DurableTests", ["Durable", "RegionStore", "RegionKit", "RoadsteadTesting", logging]),
  tests("GatewayTests", ["Gateway", "HTTPKit", "WireModel", "WireProtocol", "RequestSigning", "Ports", "RegionKit"]),
  tests("IdentityServiceTests", ["IdentityService", "RegionStore", "Ports", "WireModel", "RegionKit", "RoadsteadTesting"]),
  tests(
    "ObjectStorageServiceTests",
    [
      "ObjectStorageService", "ContentStore", "RegionStore", "WireModel", "RegionKit", "RoadsteadTesting",
    ]),
  tests(
    "EC2ServiceTests",
    [
      "EC2Service", "FakeDriver", "RegionStore", "Durable", "Ports", "WireModel", "RegionKit", "RoadsteadTesting", logging,
    ]),
  tests(
    "CodeDeployServiceTests",
    [
      "CodeDeployService", "RegionStore", "Durable", "Ports", "WireModel", "RegionKit", "RoadsteadTesting",
    ]),
  tests("DriverTests", ["NamespaceDriver", "FakeDriver", "MetadataPlane", "Ports", "RegionKit", "HTTPKit"]),
  tests("DeployAgentTests", ["DeployAgent", "HTTPKit", "RequestSigning", "RegionKit", crypto, x509, logging]),
  tests(
    "SimulationTests",
    [
      "CodeDeployService", "EC2Service", "FakeDriver", "RegionStore", "Durable", "Ports", "WireModel", "RegionKit",
      "RoadsteadTesting",
    ]),
  tests("RegionTests", ["Region", "RegionKit", "RegionStore"]),
  tests("TidyTests", []),
]

// `ROADSTEAD_ONLY=GatewayTests swift test` builds just that target and what it needs, for a fast loop while the rest is being edited.
func reachable(from roots: Set<String>, in all: [Target]) -> [Target] {
  var wanted = roots
  while true {
    let next = all.filter { wanted.contains($0.name) }.flatMap(\.dependencies).compactMap {
      if case .byNameItem(let name, _) = $0 { name } else { nil }
    }
    let grown = wanted.union(next)
    if grown == wanted { return all.filter { wanted.contains($0.name) } }
    wanted = grown
  }
}
let only = Context.environment["ROADSTEAD_ONLY"].map { Set($0.split(separator: ",").map(String.init)) }

let package = Package(
  name: "roadstead",
  products: only == nil
    ? [.executable(name: "roadstead", targets: ["roadstead"]), .library(name: "RoadsteadTesting", targets: ["RoadsteadTesting"])]
    : [],
  dependencies: [
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: only.map { reachable(from: $0, in: all) } ?? all
)
