import FoundationEssentials
import RegionKit
import X509
import XCTest

@testable import DeployAgent

final class SpecificationTests: XCTestCase {
  private let clock = ManualClock()

  private func opened(_ envelope: Envelope?, pinned: String? = nil, unsigned: Bool = false) async -> String {
    do {
      let opener = try EnvelopeOpener(pinnedPEM: pinned, allowUnsigned: unsigned, clock: clock)
      return String(decoding: try await opener.open(envelope), as: UTF8.self)
    } catch { return "refused: \(error)" }
  }

  func testSignedEnvelopesOpenWithAndWithoutAttributes() async throws {
    let signer = try TestSigner()
    for attributes in [true, false] {
      let payload = TestSigner.pem(try signer.message(#"{"a":1}"#, attributes: attributes))
      let text = await opened(Envelope(format: "PKCS7/JSON", payload: payload))
      XCTAssertEqual(text, #"{"a":1}"#)
    }
  }

  /// What `openssl smime -sign` makes, which is also what AWS's own envelopes look like.
  func testAnEnvelopeMadeByOpenSSL() async throws {
    let openssl = "/usr/bin/openssl"
    guard Disk.exists(openssl) else { throw XCTSkip("no openssl on this host") }
    let directory = TestDirectory()
    try directory.write("content", #"{"DeploymentId":"d-1"}"#)
    func call(_ arguments: [String]) throws {
      let child = ChildProcess(
        path: openssl, arguments: ["openssl"] + arguments, environment: ["PATH": "/usr/bin:/bin"], timeout: 60,
        directory: directory.path)
      XCTAssertEqual(try child.run { _, _ in }.ending, .exited(0), arguments.joined(separator: " "))
    }
    for key in [["rsa:2048"], ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]] {
      try call(["req", "-x509", "-newkey"] + key + ["-nodes", "-keyout", "k", "-out", "c", "-days", "30", "-subj", "/CN=t"])
      for more in [[], ["-stream"], ["-noattr"], ["-md", "sha512"]] {
        try call(
          ["smime", "-sign", "-nodetach", "-binary", "-in", "content", "-signer", "c", "-inkey", "k", "-outform", "PEM", "-out", "p"]
            + more)
        let pem = try XCTUnwrap(directory.read("p"))
        let text = await opened(Envelope(format: "PKCS7/JSON", payload: pem))
        XCTAssertEqual(text, #"{"DeploymentId":"d-1"}"#, "\(key) \(more)")
        let forged = TestSigner.pem(try XCTUnwrap(PEM.blocks(pem, label: "PKCS7").first).replacing("d-1".utf8, with: "d-2".utf8))
        let refused = await opened(Envelope(format: "PKCS7/JSON", payload: forged))
        XCTAssertTrue(refused.hasPrefix("refused: "), "\(key) \(more): \(refused)")
      }
    }
  }

  func testEveryChangedByteThatMattersIsNoticed() async throws {
    let signer = try TestSigner()
    let content = #"{"DeploymentId":"d-1","Key":"good"}"#
    for attributes in [true, false] {
      let message = try signer.message(content, attributes: attributes)
      let at = try XCTUnwrap(message.firstRange(of: Array("good".utf8)))
      var forged = message
      forged.replaceSubrange(at, with: Array("evil".utf8))
      let text = await opened(Envelope(format: "PKCS7/JSON", payload: TestSigner.pem(forged)))
      XCTAssertTrue(text.hasPrefix("refused: The deployment specification's signature is not valid"), text)
      // Whatever else is changed: either it is refused, or the content is still the signed one.
      let random = SeededRandomness(seed: 3)
      for _ in 0..<300 {
        let text = await opened(Envelope(format: "PKCS7/JSON", payload: TestSigner.pem(mutated(message, random))))
        XCTAssertTrue(text == content || text.hasPrefix("refused: "), text)
      }
    }
  }

  func testUnsignedDetachedMislabelledAndUnknownFormatsAreRefused() async throws {
    let signer = try TestSigner()
    let cases: [(Envelope?, String)] = [
      (nil, "Provided deployment spec was nil"), (Envelope(format: "TEXT/JSON", payload: "{}"), "unsigned specifications are refused"),
      (Envelope(format: "XML", payload: "{}"), "Unsupported DeploymentSpecification format: XML"),
      (Envelope(format: "PKCS7/JSON", payload: "{}"), "not a PKCS7 message in PEM form"),
      (Envelope(format: "PKCS7/JSON", payload: TestSigner.pem(try signer.message("{}"), label: "CMS")), "not a PKCS7 message"),
      (Envelope(format: "PKCS7/JSON", payload: TestSigner.pem(try signer.message("{}", detached: true))), "does not contain the signed"),
      (Envelope(format: "PKCS7/JSON", payload: TestSigner.pem([0x30, 0x03, 1, 2, 3])), "does not contain the signed"),
    ]
    for (envelope, says) in cases {
      let text = await opened(envelope)
      XCTAssertTrue(text.hasPrefix("refused: ") && text.contains(says), text)
    }
    let local = await opened(Envelope(format: "TEXT/JSON", payload: "{}"), unsigned: true)
    XCTAssertEqual(local, "{}")
  }

  func testAPinnedSignerOrItsAuthority() async throws {
    let authority = try TestSigner(name: "authority", isAuthority: true)
    let issued = try TestSigner(name: "issued", issuer: authority)
    let stranger = try TestSigner(name: "stranger")
    let good = await opened(try issued.envelope("x"), pinned: authority.certificatePEM)
    XCTAssertEqual(good, "x")
    let own = await opened(try stranger.envelope("x"), pinned: authority.certificatePEM + "\n" + stranger.certificatePEM)
    XCTAssertEqual(own, "x")
    let bad = await opened(try stranger.envelope("x"), pinned: authority.certificatePEM)
    XCTAssertTrue(bad.contains("does not chain to the pinned"), bad)
    // Issued by a certificate that is no authority.
    let sub = try TestSigner(name: "sub", issuer: issued)
    let message = TestSigner.pem(try sub.message("x", with: [issued.certificate]))
    let through = await opened(Envelope(format: "PKCS7/JSON", payload: message), pinned: authority.certificatePEM)
    XCTAssertTrue(through.contains("does not chain to the pinned"), through)
    let old = try TestSigner(name: "old", days: 1)
    let expired = await opened(try old.envelope("x"), pinned: old.certificatePEM)
    XCTAssertTrue(expired.contains("does not chain to the pinned"), expired)
    XCTAssertThrowsError(try EnvelopeOpener(pinnedPEM: "nothing", clock: clock))
  }

  func testTheRulesOfTheSpecification() throws {
    func parse(_ json: String, local: Bool = false) -> Result<DeploymentSpecification, AgentError> {
      Result { () throws(AgentError) in try DeploymentSpecification.parse(Array(json.utf8), allowLocal: local) }
    }
    let s3 = #""Revision":{"RevisionType":"S3","S3Revision":{"Bucket":"b","Key":"k","BundleType":"zip"}}"#
    let head = #"{"DeploymentId":"d-1","DeploymentGroupId":"g","DeploymentGroupName":"n","ApplicationName":"a","#
    let spec = try parse(head + s3 + "}").get()
    XCTAssertEqual(spec.revision, .s3(bucket: "b", key: "k", type: .zip, version: nil, etag: nil))
    XCTAssertEqual(spec.deploymentCreator, "user")
    XCTAssertEqual(spec.deploymentType, "IN_PLACE")
    XCTAssertEqual(spec.appSpecFilename, "appspec.yml")
    XCTAssertEqual(
      try parse(head.replacing("d-1", with: "arn:aws:codedeploy:us-east-1:1:deployment/d-2") + s3 + "}").get().deploymentId, "d-2")
    let table: [(String, String)] = [
      ("{", "not readable"), ("{}", "Deployment Spec has no DeploymentId"),
      (#"{"DeploymentId":"d-1"}"#, "Deployment Spec has no DeploymentGroupId"),
      (head.dropLast() + "}", "Must specify a revison"), (head + #""Revision":{}}"#, "Must specify a revision source"),
      (head + #""Revision":{"RevisionType":"FTP"}}"#, "Exactly one of S3Revision, GitHubRevision, or LocalRevision"),
      (head + #""Revision":{"RevisionType":"S3"}}"#, "must specify Bucket, Key and BundleType"),
      (head + s3.replacing("zip", with: "rar") + "}", "BundleType in S3Revision must be tar, tgz or zip"),
      (
        head
          + #""Revision":{"RevisionType":"GitHub","GitHubRevision":{"Account":"a","Repository":"r","CommitId":"c","BundleType":"tgz"}}}"#,
        "GitHub revision specified with bundle_type other than zip or tar [bundle_type=tgz"
      ),
      (
        head + #""Revision":{"RevisionType":"Local File","LocalRevision":{"Location":"/etc/shadow","BundleType":"tar"}}}"#,
        "refused from the network"
      ),
      (
        head + #""Revision":{"RevisionType":"Local Directory","LocalRevision":{"Location":"/","BundleType":"directory"}}}"#,
        "refused from the network"
      ),
      (head.replacing(#""g""#, with: #""../x""#) + s3 + "}", "cannot be a directory name"),
      (head.replacing("d-1", with: "..") + s3 + "}", "cannot be a directory name"),
      (head + #""AppSpecFilename":"../../etc/passwd","# + s3 + "}", "leads outside of the revision"),
    ]
    for (json, says) in table {
      let error = parse(String(json)).failure
      XCTAssertTrue(error?.message.contains(says) ?? false, "\(json)\n→ \(error?.message ?? "accepted")")
    }
    XCTAssertEqual(
      try parse(
        head
          + #""GitHubAccessToken":"t","Revision":{"RevisionType":"GitHub","#
          + #""GitHubRevision":{"Account":"a","Repository":"r","CommitId":"c"}}}"#
      ).get().revision,
      .gitHub(account: "a", repository: "r", commit: "c", type: .tar, token: "t"))
  }

  func testWhichRevisionSuppliesTheScripts() {
    for event in RevisionChoice.hookEvents {
      let (normal, rollback): (RevisionChoice, RevisionChoice) =
        switch event {
        case "ApplicationStop": (.lastSuccessful, .lastSuccessful)
        case "BeforeBlockTraffic", "AfterBlockTraffic": (.lastSuccessful, .mostRecent)
        case "BeforeAllowTraffic", "AfterAllowTraffic": (.current, .lastSuccessful)
        default: (.current, .current)
        }
      XCTAssertEqual(RevisionChoice.of(event, blueGreenRollback: false), normal, event)
      XCTAssertEqual(RevisionChoice.of(event, blueGreenRollback: true), rollback, event)
    }
    XCTAssertEqual(RevisionChoice.hookEvents.count, 9)
  }

  func testScriptsOfTheRightRevisionRunAndNoopsAreKnown() async throws {
    let directory = TestDirectory()
    let agent = LocalRun(rootDir: directory("root"), environment: ["PATH": "/usr/bin:/bin"], clock: SystemClock(), logger: silent)
    for id in ["d-1", "d-2"] {
      try directory.write("\(id)/s.sh", "#!/bin/sh\necho \(id) $LIFECYCLE_EVENT $DEPLOYMENT_ID >> \(directory("trace"))\n", mode: 0o755)
      try directory.write(
        "\(id)/appspec.yml",
        "version: 0.0\nos: linux\nhooks:\n  ApplicationStop: [{location: s.sh}]\n  BeforeBlockTraffic: [{location: s.sh}]\n"
          + "  BeforeAllowTraffic: [{location: s.sh}]\n")
    }
    let first = specification("d-1", location: directory("d-1"))
    XCTAssertTrue(try agent.isNoop("ApplicationStop", specification: first))
    XCTAssertFalse(try agent.isNoop("Install", specification: first))
    for command in ["ApplicationStop", "DownloadBundle", "BeforeAllowTraffic", "Install", "AfterInstall"] {
      let result = await agent.run(command, specification: first)
      XCTAssertEqual(result, .succeeded, "\(command): \(result.message)")
    }
    XCTAssertTrue(try agent.isNoop("AfterInstall", specification: first))
    let second = specification("d-2", location: directory("d-2"))
    XCTAssertFalse(try agent.isNoop("ApplicationStop", specification: second))
    for command in ["ApplicationStop", "BeforeBlockTraffic", "DownloadBundle", "BeforeAllowTraffic", "ApplicationStop"] {
      let result = await agent.run(command, specification: second)
      XCTAssertEqual(result, .succeeded, "\(command): \(result.message)")
    }
    XCTAssertEqual(
      directory.read("trace"),
      """
      d-1 BeforeAllowTraffic d-1
      d-1 ApplicationStop d-2
      d-1 BeforeBlockTraffic d-2
      d-2 BeforeAllowTraffic d-2
      d-2 ApplicationStop d-2

      """)
    // A blue/green rollback: allow from the last one installed (d-1), block from the last one downloaded (d-2).
    let rollback = specification(
      "d-3", location: directory("d-1"), extra: #""DeploymentCreator":"codeDeployRollback","DeploymentType":"BLUE_GREEN","#)
    for command in ["BeforeAllowTraffic", "BeforeBlockTraffic"] { _ = await agent.run(command, specification: rollback) }
    XCTAssertTrue(directory.read("trace")?.hasSuffix("d-1 BeforeAllowTraffic d-3\nd-2 BeforeBlockTraffic d-3\n") ?? false)
    let unknown = await agent.run("BlockTraffic", specification: second)
    XCTAssertEqual(unknown.message, "Unsupported command type: BlockTraffic.")
  }

  func testABundleWithoutAppSpecSaysWhereItWasLookedFor() async throws {
    let directory = TestDirectory()
    let agent = LocalRun(rootDir: directory("root"), clock: SystemClock(), logger: silent)
    try directory.write("rev/appspec.yaml", "version: 0.0\nos: linux\n")
    let spec = specification("d-1", location: directory("rev"))
    _ = await agent.run("DownloadBundle", specification: spec)
    let hook = await agent.run("BeforeInstall", specification: spec)
    XCTAssertEqual(hook.code, .unknown)
    XCTAssertTrue(hook.message.contains(#"revision-relative path "appspec.yml""#), hook.message)
    XCTAssertFalse(try agent.isNoop("BeforeInstall", specification: spec))
    // Install alone takes the other spelling too.
    let install = await agent.run("Install", specification: spec)
    XCTAssertEqual(install, .succeeded, install.message)
  }
}
