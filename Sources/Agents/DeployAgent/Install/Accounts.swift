import CProcess
import Glibc

/// Users and groups of this host by name.
enum Accounts {
  struct User: Sendable {
    var name: String
    var uid: uid_t
    var gid: gid_t
    var home: String
    var shell: String
    var groups: [gid_t]
  }

  static func user(_ name: String) throws(AgentError) -> User {
    var entry = passwd()
    var found: UnsafeMutablePointer<passwd>?
    var buffer = [CChar](repeating: 0, count: 16_384)
    guard getpwnam_r(name, &entry, &buffer, buffer.count, &found) == 0, found != nil else {
      throw AgentError("can't find user for \(name)")
    }
    var groups = [gid_t](repeating: 0, count: 1024)
    let count = rs_process_groups(name, entry.pw_gid, &groups, Int32(groups.count))
    guard count >= 0 else { throw AgentError("the user \(name) is in more than \(groups.count) groups") }
    return User(
      name: name, uid: entry.pw_uid, gid: entry.pw_gid, home: String(cString: entry.pw_dir), shell: String(cString: entry.pw_shell),
      groups: Array(groups[..<Int(count)]))
  }

  static func group(_ name: String) throws(AgentError) -> gid_t {
    var entry = Glibc.group()
    var found: UnsafeMutablePointer<Glibc.group>?
    var buffer = [CChar](repeating: 0, count: 65_536)
    guard getgrnam_r(name, &entry, &buffer, buffer.count, &found) == 0, found != nil else {
      throw AgentError("can't find group for \(name)")
    }
    return entry.gr_gid
  }
}
