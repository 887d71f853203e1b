import XCTest

@testable import DeployAgent

final class AppSpecReaderTests: XCTestCase {
  static let full = """
    version: 0.0
    os: linux
    files:
      - source: /index.html
        destination: /var/www/html
      - source: config/
        destination: /etc/shop
    file_exists_behavior: OVERWRITE
    permissions:
      - object: /var/www/html
        pattern: "*.html"
        except: [private.html]
        owner: www-data
        group: www-data
        mode: "0644"
        type:
          - file
      - object: /etc/shop
        acls:
          - "u:deploy:rw"
          - "d:group:ops:7"
        context:
          name: system_u
          type: etc_t
          range: s0-s1:c1,c3.c5
    hooks:
      BeforeInstall:
        - location: scripts/stop.sh
          timeout: 30s
          runas: deploy
      ApplicationStart:
        - location: ./scripts/start.sh
          sudo: "false"
        - location: scripts/two.sh
          timeout: 1:30
      Nothing:
    """

  func testTheWholeFormat() throws {
    let spec = try AppSpecReader.read(Self.full).get()
    XCTAssertEqual(spec.files.map(\.source), ["index.html", "config"])
    XCTAssertEqual(spec.files.map(\.destination), ["/var/www/html", "/etc/shop"])
    XCTAssertEqual(spec.fileExistsBehavior, .overwrite)
    XCTAssertEqual(spec.permissions.count, 2)
    let first = spec.permissions[0]
    XCTAssertEqual(first.pattern, "*.html")
    XCTAssertEqual(first.except, ["private.html"])
    XCTAssertEqual(first.kinds, [.file])
    XCTAssertEqual(first.mode, "0644")
    XCTAssertEqual(first.owner, Permission.Name(text: "www-data", isNumber: false))
    XCTAssertEqual(spec.permissions[1].acls.map(\.text), ["u:deploy:rw-", "d:g:ops:rwx"])
    XCTAssertEqual(spec.permissions[1].context, SecurityContext(user: "system_u", type: "etc_t", range: "s0-s1:c1,c3.c5"))
    XCTAssertEqual(spec.permissions[1].kinds, [.file, .directory])
    XCTAssertEqual(
      spec.hooks["BeforeInstall"], [AppSpec.Script(location: "scripts/stop.sh", timeout: 30, runas: "deploy", sudo: false)])
    XCTAssertEqual(spec.hooks["ApplicationStart"]?.map(\.timeout), [3600, 5400])
    XCTAssertEqual(spec.hooks["ApplicationStart"]?.map(\.sudo), [true, false])
    XCTAssertNil(spec.hooks["Nothing"])
  }

  private func with(_ more: String) -> String { "version: 0.0\nos: linux\n" + more }

  func testEachRuleBroken() {
    let table: [(yaml: String, says: String)] = [
      ("", "application specification file was empty"),
      ("---\n", "application specification file was empty"),
      ("- a\n", "must be a map"),
      ("version: 1.0\nos: linux", "invalid version value (1.0)"),
      ("version: '0.0'\nos: linux", "invalid version value (0.0)"),
      ("os: linux", "invalid version value ()"),
      ("version: 0.0\nos: windows", "unsupported operating system (windows)"),
      ("version: 0.0\nos: Linux", "unsupported operating system (Linux)"),
      ("version: 0.0", "unsupported operating system ()"),
      (with("files:\n  - destination: /x"), "specifies a destination file, but no source file"),
      (with("files:\n  - source: a"), "specifies only a source file (a)"),
      (with("files:\n  source: a"), "files section of the application specification file is a map"),
      (with("files:\n  - a"), "entry of the files section is a string"),
      (with("files:\n  - source: ../a\n    destination: /x"), "leads outside of the revision"),
      (with("files:\n  - source: a\n    destination: x"), "not an absolute path"),
      (with("file_exists_behavior: overwrite"), "invalid file_exists_behavior value (overwrite)"),
      (with("hooks:\n  - a"), "hooks section of the application specification file is a list"),
      (with("hooks:\n  BeforeInstall:\n    location: a"), "hook BeforeInstall in the application specification file is a map"),
      (with("hooks:\n  BeforeInstall:\n    - a.sh"), "script of the hook BeforeInstall is a string"),
      (with("hooks:\n  BeforeInstall:\n    - timeout: 3"), "script with no location value"),
      (with("hooks:\n  BeforeInstall:\n    - location: '  '"), "script with no location value"),
      (with("hooks:\n  BeforeInstall:\n    - location: ../../etc/x"), "leads outside of the revision"),
      (with("hooks:\n  BeforeInstall:\n    - {location: a, timeout: 0}"), "invalid timeout value was provided for a script"),
      (with("hooks:\n  BeforeInstall:\n    - {location: a, timeout: abc}"), "invalid timeout value was provided for a script"),
      (with("hooks:\n  BeforeInstall:\n    - {location: a, timeout: -3}"), "invalid timeout value was provided for a script"),
      (with("permissions:\n  - mode: 644"), "has no object value"),
      (with("permissions:\n  - object: ' '"), "has no object value"),
      (with("permissions:\n  - {object: /a, type: [link]}"), "object type not supported for permissions (link)"),
      (with("permissions:\n  - {object: /a, type: file}"), "type of the permission for /a"),
      (with("permissions:\n  - {object: /a, mode: 0755}"), "invalid character (9)"),
      (with("permissions:\n  - {object: /a, mode: '75555'}"), "longer than 4 digits"),
      (with("permissions:\n  - {object: /a, mode: u+x}"), "invalid character (u)"),
      (with("permissions:\n  - {object: /a, acls: ['u::rwx']}"), "Use mode to set the base acl entry"),
      (with("permissions:\n  - {object: /a, acls: ['o::r']}"), "Use mode to set the base acl entry"),
      (with("permissions:\n  - {object: /a, acls: ['m:x:r']}"), "mask cannot have a name"),
      (with("permissions:\n  - {object: /a, acls: ['u:bob:rq']}"), "contains an invalid character"),
      (with("permissions:\n  - {object: /a, acls: ['u:b ob:r']}"), "contains an invalid character"),
      (with("permissions:\n  - {object: /a, acls: ['r']}"), "2 to 4"),
      (with("permissions:\n  - {object: /a, acls: ['a:b:c:d:e']}"), "2 to 4"),
      (with("permissions:\n  - {object: /a, acls: ['x:b:r']}"), "not of the form"),
      (with("permissions:\n  - {object: /a, context: {name: u}}"), "has no type"),
      (with("permissions:\n  - {object: /a, context: {type: t, role: r}}"), "role is not supported"),
      (with("permissions:\n  - {object: /a, context: {type: t, range: s1-s0}}"), "invalid range"),
      (with("permissions:\n  - {object: /a, context: {type: t, range: 's0:c1024'}}"), "invalid range"),
      (with("permissions:\n  - {object: /a, context: {type: t, range: 's0:c1,c1'}}"), "names the category c1 twice"),
      (with("a: &x 1\nb: *x"), "Unknown alias: x"),
      (with("a: 2024-01-01"), "not valid YAML"),
      (with("files: [\n"), "not valid YAML"),
    ]
    for (yaml, says) in table {
      guard let error = AppSpecReader.read(yaml).failure else {
        XCTFail("accepted: \(yaml)")
        continue
      }
      XCTAssertTrue(error.message.contains(says), "\(yaml)\n→ \(error.message)\nlacks: \(says)")
      XCTAssertTrue(error.message.hasPrefix("The deployment failed because "), error.message)
    }
  }

  func testWhatIsAccepted() throws {
    for yaml in [
      "version: 0\nos: linux", with("files:"), with("hooks:"), with("permissions:"), with("unknown: 1"),
      with("hooks:\n  Odd:\n    - location: a\n      timeout: 2.9"), with("files:\n  - {source: /, destination: /srv, extra: 1}"),
      with("permissions:\n  - {object: /a, mode: 755}"), "version: 0.0\r\nos: linux\r\n",
    ] { XCTAssertNoThrow(try AppSpecReader.read(yaml).get(), yaml) }
    let spec = try AppSpecReader.read(with("hooks:\n  X:\n    - {location: a, timeout: 2.9, runas: '', sudo: no}")).get()
    XCTAssertEqual(spec.hooks["X"], [AppSpec.Script(location: "a", timeout: 2, runas: "", sudo: false)])
    XCTAssertEqual(try AppSpecReader.read(with("permissions:\n  - {object: /a, mode: 7}")).get().permissions[0].mode, "007")
  }

  func testAnUnquotedOctalModeIsWarnedOf() throws {
    let spec = try AppSpecReader.read(with("permissions:\n  - {object: /a, mode: 0644}")).get()
    XCTAssertEqual(spec.permissions[0].mode, "420")
    XCTAssertEqual(spec.warnings.count, 1)
  }

  func testMutatedFilesNeverCrashAndAlwaysKeepTheRules() {
    let random = SeededRandomness(seed: 7)
    var accepted = 0
    for round in 0..<4000 {
      guard let spec = AppSpecReader.read(mutated(Array(Self.full.utf8), random)).value else { continue }
      accepted += 1
      for script in spec.hooks.values.joined() {
        XCTAssertGreaterThan(script.timeout, 0, "round \(round)")
        XCTAssertNotNil(RelativePath.clean(script.location), "round \(round)")
      }
      for file in spec.files {
        XCTAssertTrue(file.destination.hasPrefix("/"), "round \(round)")
        XCTAssertEqual(RelativePath.clean(file.source), file.source, "round \(round)")
      }
      for permission in spec.permissions {
        if let mode = permission.mode { XCTAssertTrue((3...4).contains(mode.utf8.count) && UInt32(mode, radix: 8) != nil, mode) }
      }
    }
    XCTAssertGreaterThan(accepted, 100, "the mutation is too wild to test anything")
  }
}
