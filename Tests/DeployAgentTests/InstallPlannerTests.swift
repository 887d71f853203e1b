import FoundationEssentials
import XCTest

@testable import DeployAgent

/// A disk in a dictionary: path to kind; links resolve to what they name.
struct FakeFiles: FileView {
  var entries: [String: FileKind] = [:]
  var links: [String: String] = [:]
  init(_ paths: [String], links: [String: String] = [:]) {
    self.links = links
    for path in paths {
      var parent = RelativePath.parent(path)
      while parent != "/" {
        entries[parent] = .directory
        parent = RelativePath.parent(parent)
      }
      if path.hasSuffix("/") { entries[String(path.dropLast())] = .directory } else { entries[path] = .file }
    }
    entries["/"] = .directory
    for link in links.keys { entries[link] = .symlink }
  }
  func kind(_ path: String) -> FileKind? { entries[path] }
  func resolvedKind(_ path: String) -> FileKind? { links[path].map { entries[$0] } ?? entries[path] }
  func names(_ path: String) throws(AgentError) -> [String] {
    let real = links[path] ?? path
    return entries.keys.filter { RelativePath.parent($0) == real && $0 != "/" }.map(RelativePath.name).sorted()
  }
  func mode(_ path: String) -> UInt32? { 0o640 }
  func identity(_ path: String) -> String? { links[path] ?? path }
}

final class InstallPlannerTests: XCTestCase {
  private func plan(_ files: FakeFiles, _ yaml: String, behavior: String = "DISALLOW") throws -> InstallPlan {
    let spec = try AppSpecReader.read("version: 0.0\nos: linux\n" + yaml).get()
    return try InstallPlanner(archive: "/a", files: files, fileExistsBehavior: behavior).plan(spec)
  }
  private func failure(_ files: FakeFiles, _ yaml: String, behavior: String = "DISALLOW") -> String {
    do {
      _ = try plan(files, yaml, behavior: behavior)
      return "accepted"
    } catch { return "\(error)" }
  }

  func testDirectoriesMergeFilesKeepTheirNamesAncestorsAreMade() throws {
    let plan = try plan(
      FakeFiles(["/a/web/x", "/a/web/sub/y", "/a/one", "/srv/"]),
      "files:\n  - {source: web, destination: /srv/app/web}\n  - {source: one, destination: /srv/app}")
    XCTAssertEqual(
      plan.instructions,
      [
        .mkdir(directory: "/srv/app"), .mkdir(directory: "/srv/app/web"), .mkdir(directory: "/srv/app/web/sub"),
        .copy(source: "/a/web/sub/y", destination: "/srv/app/web/sub/y"), .copy(source: "/a/web/x", destination: "/srv/app/web/x"),
        .copy(source: "/a/one", destination: "/srv/app/one"),
      ])
  }

  func testConflicts() {
    let taken = FakeFiles(["/a/one", "/srv/one"])
    let yaml = "files:\n  - {source: one, destination: /srv}"
    XCTAssertEqual(
      failure(taken, yaml), "The deployment failed because a specified file already exists at this location: /srv/one")
    XCTAssertEqual(try plan(taken, yaml, behavior: "RETAIN").instructions, [])
    XCTAssertEqual(
      try plan(taken, yaml, behavior: "OVERWRITE").instructions, [.copy(source: "/a/one", destination: "/srv/one")])
    XCTAssertTrue(failure(taken, yaml, behavior: "MAYBE").contains("invalid option was specified for fileExistsBehavior"))
    XCTAssertEqual(try plan(taken, yaml + "\nfile_exists_behavior: RETAIN", behavior: "OVERWRITE").instructions, [])
    XCTAssertTrue(
      failure(
        FakeFiles(["/a/p/x", "/a/q/x", "/srv/"]), "files:\n  - {source: p, destination: /srv}\n  - {source: q, destination: /srv}"
      ).contains("two source files named /a/p/x and /a/q/x for the same destination (/srv/x)"))
    XCTAssertTrue(
      failure(
        FakeFiles(["/a/p/x/y", "/a/q/x", "/srv/"]),
        "files:\n  - {source: p, destination: /srv}\n  - {source: q, destination: /srv}"
      ).contains("a directory is to be there"))
    XCTAssertTrue(
      failure(FakeFiles(["/a/p/x/y", "/srv/x"]), "files:\n  - {source: p, destination: /srv}", behavior: "OVERWRITE").contains(
        "a directory is needed at this location"))
    XCTAssertTrue(
      failure(FakeFiles(["/a/x", "/srv/x/y"]), "files:\n  - {source: x, destination: /srv}", behavior: "OVERWRITE").contains(
        "over a directory"))
    // A link that leads nowhere is still in the way.
    XCTAssertTrue(
      failure(FakeFiles(["/a/x", "/srv/"], links: ["/srv/x": "/gone"]), "files:\n  - {source: x, destination: /srv}").contains(
        "already exists"))
  }

  func testALinkToItsOwnParentIsAnErrorAndNoLoop() {
    let files = FakeFiles(["/a/d/x", "/srv/"], links: ["/a/d/again": "/a/d"])
    XCTAssertTrue(failure(files, "files:\n  - {source: d, destination: /srv}").contains("contains itself through a link"))
  }

  func testPermissionsTouchOnlyWhatTheDeploymentMakes() throws {
    let files = FakeFiles(["/a/w/a.html", "/a/w/b.css", "/a/w/s/c.html", "/srv/old.html"])
    let yaml = """
      files:
        - {source: w, destination: /srv}
      permissions:
        - {object: /srv, pattern: "*.html", mode: "644", type: [file]}
        - {object: /srv/s, owner: web, group: web}
        - {object: /nowhere, mode: "600"}
        - {object: /srv/b.css, mode: "600"}
      """
    XCTAssertEqual(
      try plan(files, yaml).instructions.filter { if case .copy = $0 { false } else { true } },
      [
        .mkdir(directory: "/srv/s"), .chmod(mode: "644", file: "/srv/a.html"),
        .chown(owner: "web", group: "web", file: "/srv/s/c.html"), .chmod(mode: "600", file: "/srv/b.css"),
      ])
  }

  func testPermissionErrors() {
    let files = FakeFiles(["/a/w/x", "/srv/"])
    func says(_ permissions: String) -> String {
      failure(files, "files:\n  - {source: w, destination: /srv}\npermissions:\n\(permissions)")
    }
    XCTAssertTrue(
      says("  - {object: /srv, mode: '600'}\n  - {object: /srv/x, mode: '644'}").contains(
        "permissions setting for (/srv/x) is specified more than once"))
    XCTAssertTrue(says("  - {object: /srv/x, pattern: '*'}").contains("invalid pattern (*)"))
    XCTAssertTrue(says("  - {object: /srv/x, except: [y]}").contains("except parameter for a pattern"))
    XCTAssertTrue(says("  - {object: /srv/x, acls: ['d:u:bob:r']}").contains("default ACL entry was specified for the file"))
    XCTAssertTrue(says("  - {object: /srv/x, owner: 1000}").contains("must be names"))
  }

  func testAccessControlListsGetTheirBaseEntries() throws {
    let files = FakeFiles(["/a/w/x", "/srv/"])
    let yaml = """
      files:
        - {source: w, destination: /srv/d}
      permissions:
        - {object: /srv/d, acls: ["u:bob:rwx"], mode: "750"}
        - {object: /srv, type: [directory], acls: ["d:u:eve:r"]}
      """
    XCTAssertEqual(
      try plan(files, yaml).instructions.compactMap { if case .setfacl(let acl, let file) = $0 { [file] + acl } else { nil } },
      [
        ["/srv/d/x", "u:bob:rwx", "u::rwx", "g::r-x", "o::---", "m::r-x"],
        ["/srv/d", "d:u:eve:r--", "u::rwx", "g::r-x", "o::r-x", "d:u::rwx", "d:g::r-x", "d:o::r-x", "d:m::r-x"],
      ])
  }

  func testSimpleGlob() {
    for (pattern, path, matches) in [
      ("**", "a/b/c", true), ("*", "a", true), ("*", "a/b", false), ("*.txt", "x.txt", true), ("*.t?t", "x.txt", false),
      ("a*b*c", "aXXbYYc", true), ("a*b*c", "ac", false), ("a", "a", true), ("", "a", false), ("*a", "aaa", true),
      ("[ab]", "a", false), ("s/*", "s/x", false),
    ] { XCTAssertEqual(SimpleGlob.matches(pattern, path), matches, "\(pattern) \(path)") }
  }

  func testTheInstructionFile() throws {
    let plan = InstallPlan(instructions: [
      .copy(source: "/a/x", destination: "/srv/x"), .mkdir(directory: "/d"), .chmod(mode: "644", file: "/srv/x"),
      .setfacl(acl: ["u:b:r--"], file: "/f"), .semanage(context: SecurityContext(user: nil, type: "t", range: "s0"), file: "/f"),
      .chown(owner: "o", group: nil, file: "/f"),
    ])
    XCTAssertEqual(
      try plan.json(),
      #"{"instructions":[{"destination":"/srv/x","source":"/a/x","type":"copy"},{"directory":"/d","type":"mkdir"},"#
        + #"{"file":"/srv/x","mode":"644","type":"chmod"},{"acl":["u:b:r--"],"file":"/f","type":"setfacl"},"#
        + #"{"context":{"range":"s0","role":null,"type":"t","user":null},"file":"/f","type":"semanage"},"#
        + #"{"file":"/f","group":null,"owner":"o","type":"chown"}]}"#)
  }
}
