import Foundation
import RegionKit
import XCTest

@testable import Region

final class HomeTests: XCTestCase {
  private var path = ""

  override func setUp() {
    path = NSTemporaryDirectory() + "roadstead-home-" + SystemRandomness().hex(8)
    XCTAssertNoThrow(try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true))
  }
  override func tearDown() { try? FileManager.default.removeItem(atPath: path) }

  private func mode(_ file: String) throws -> Int {
    try XCTUnwrap(FileManager.default.attributesOfItem(atPath: path + "/" + file)[.posixPermissions] as? Int)
  }

  func testSecretsAreMadeOnceAndReadableByTheOwnerOnly() throws {
    let home = RegionHome(path)
    let first = try home.secret("key") { [1, 2, 3] }
    let second = try home.secret("key") {
      XCTFail("made twice"); return []
    }
    XCTAssertEqual(first, second)
    XCTAssertEqual(try mode("secrets"), 0o700)
    XCTAssertEqual(try mode("secrets/key"), 0o600)
  }

  func testASecretThatCannotBeReadIsNotReplaced() throws {
    let home = RegionHome(path)
    _ = try home.secret("other") { [1] }
    try FileManager.default.createDirectory(atPath: path + "/secrets/key", withIntermediateDirectories: false)
    XCTAssertThrowsError(try home.secret("key") { [9] })
  }

  func testTheIdentityStays() throws {
    let home = RegionHome(path)
    let made = try home.identity(account: AccountID("123456789012"), clock: SystemClock(), random: SystemRandomness())
    let again = try home.identity(account: AccountID("999999999999"), clock: SystemClock(), random: SystemRandomness())
    XCTAssertEqual(made.id, again.id)
    XCTAssertEqual(again.account, AccountID("123456789012"))
  }

  func testAHomeWithoutARegionSaysSo() {
    XCTAssertThrowsError(try RegionHome(path).access()) { error in
      XCTAssertTrue((error as? AWSError)?.message.contains("roadstead up") == true)
    }
  }

  func testTheAuthorityIssuesWhatItsCertificateVerifies() throws {
    let clock = SystemClock()
    let random = SystemRandomness()
    let authority = try CertificateAuthority(pem: CertificateAuthority.make(clock: clock, random: random))
    let issued = try authority.issue(names: ["localhost"], addresses: ["172.31.0.1"], clock: clock, random: random)
    try authority.certificatePEM.write(toFile: path + "/ca.pem", atomically: true, encoding: .utf8)
    try issued.chainPEM.write(toFile: path + "/leaf.pem", atomically: true, encoding: .utf8)
    let verify = Process()
    verify.executableURL = URL(filePath: "/usr/bin/openssl")
    guard FileManager.default.isExecutableFile(atPath: "/usr/bin/openssl") else { throw XCTSkip("no openssl to verify with") }
    verify.arguments = ["verify", "-CAfile", path + "/ca.pem", "-verify_ip", "172.31.0.1", path + "/leaf.pem"]
    let output = Pipe()
    verify.standardOutput = output
    try verify.run()
    verify.waitUntilExit()
    XCTAssertEqual(verify.terminationStatus, 0, String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self))
    XCTAssertThrowsError(try CertificateAuthority(pem: authority.certificatePEM), "a certificate without its key is no authority")
  }

  func testLoopbackIsKnown() {
    func loopback(_ bind: String) -> Bool { RegionOptions(home: "/", bind: bind, executable: "x").isLoopback }
    for bind in ["127.0.0.1", "127.8.9.1", "localhost", "::1"] { XCTAssertTrue(loopback(bind), bind) }
    for bind in ["0.0.0.0", "10.0.0.1", "::", "example.org"] { XCTAssertFalse(loopback(bind), bind) }
    let wide = RegionOptions(home: "/", bind: "0.0.0.0", executable: "x")
    XCTAssertEqual(wide.endpoint(port: 1), "https://\(HostNames.machine):1", "a name, never an address")
    XCTAssertTrue(wide.certificateNames.addresses.contains("127.0.0.1") && wide.certificateNames.names.contains(HostNames.machine))
    XCTAssertEqual(RegionOptions(home: "/", bind: "build.example.org", executable: "x").endpoint(port: 1), "https://build.example.org:1")
    XCTAssertEqual(EndpointDoctor.hostName(of: "http://localhost:4566/x"), "localhost")
  }
}
