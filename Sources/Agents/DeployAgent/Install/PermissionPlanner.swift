/// Turns one entry of `permissions` into instructions. Only what this deployment creates is ever touched.
struct PermissionPlanner {
  let files: any FileView

  func apply(_ permission: Permission, _ draft: inout Draft) throws(AgentError) {
    let object = permission.object
    for name in [permission.owner, permission.group].compactMap({ $0 }) where name.isNumber {
      throw because("owner and group must be names, but the permission for \(object) gives the number \(name.text). Put the name there.")
    }
    if draft.copies[object] != nil {
      guard permission.kinds.contains(.file) else { return }
      guard permission.pattern == "**" else {
        throw because(
          "a permission for a file cannot use a pattern: an invalid pattern (\(permission.pattern)) was specified for \(object).")
      }
      guard permission.except.isEmpty else {
        throw because("the except parameter for a pattern cannot be used with the file \(object).")
      }
      try set(permission, on: object, isDirectory: false, &draft)
    } else if draft.directories.contains(object) || files.resolvedKind(object) == .directory {
      for (path, isDirectory) in matches(permission, draft) { try set(permission, on: path, isDirectory: isDirectory, &draft) }
    }
  }

  /// In the order of creation.
  private func matches(_ permission: Permission, _ draft: Draft) -> [(String, Bool)] {
    let prefix = permission.object == "/" ? "/" : permission.object + "/"
    return draft.plan.instructions.compactMap { instruction -> (String, Bool)? in
      let (path, kind): (String, Permission.Kind)
      switch instruction {
      case .copy(_, let destination): (path, kind) = (destination, .file)
      case .mkdir(let directory): (path, kind) = (directory, .directory)
      case .chmod, .setfacl, .semanage, .chown: return nil
      }
      guard path.hasPrefix(prefix), permission.kinds.contains(kind) else { return nil }
      let relative = String(path.dropFirst(prefix.count))
      guard !relative.isEmpty, SimpleGlob.matches(permission.pattern, relative) else { return nil }
      guard !permission.except.contains(where: { SimpleGlob.matches($0, relative) }) else { return nil }
      return (path, kind == .directory)
    }
  }

  private func set(_ permission: Permission, on path: String, isDirectory: Bool, _ draft: inout Draft) throws(AgentError) {
    guard draft.settled.insert(path).inserted else {
      throw because("the permissions setting for (\(path)) is specified more than once in the application specification file.")
    }
    if let mode = permission.mode { draft.plan.instructions.append(.chmod(mode: mode, file: path)) }
    if !permission.acls.isEmpty {
      if !isDirectory, permission.acls.contains(where: \.isDefault) {
        throw because("a default ACL entry was specified for the file \(path); only directories have default entries.")
      }
      draft.plan.instructions.append(.setfacl(acl: acl(permission, path, isDirectory, draft), file: path))
    }
    if let context = permission.context { draft.plan.instructions.append(.semanage(context: context, file: path)) }
    if permission.owner != nil || permission.group != nil {
      draft.plan.instructions.append(.chown(owner: permission.owner?.text, group: permission.group?.text, file: path))
    }
  }

  /// The listed entries and the base entries that `setfacl --set` needs beside them.
  private func acl(_ permission: Permission, _ path: String, _ isDirectory: Bool, _ draft: Draft) -> [String] {
    // A copy keeps its source's mode; directories are made 0755.
    let current = permission.mode.flatMap { UInt32($0, radix: 8) } ?? draft.copies[path].flatMap { files.mode($0) } ?? 0o755
    func bits(_ shift: UInt32) -> String { ACLEntry.letters(UInt8(current >> shift & 7)) }
    var out = permission.acls.map(\.text)
    let access = permission.acls.filter { !$0.isDefault }
    out += ["u::\(bits(6))", "g::\(bits(3))", "o::\(bits(0))"]
    if access.contains(where: { !$0.name.isEmpty }), !access.contains(where: { $0.tag == .mask }) { out.append("m::\(bits(3))") }
    let defaults = permission.acls.filter(\.isDefault)
    guard !defaults.isEmpty else { return out }
    func lacks(_ tag: ACLEntry.Tag) -> Bool { !defaults.contains { $0.tag == tag && $0.name.isEmpty } }
    if lacks(.user) { out.append("d:u::\(bits(6))") }
    if lacks(.group) { out.append("d:g::\(bits(3))") }
    if lacks(.other) { out.append("d:o::\(bits(0))") }
    if defaults.contains(where: { !$0.name.isEmpty }), lacks(.mask) { out.append("d:m::\(bits(3))") }
    return out
  }

  private func because(_ reason: String) -> AgentError { AgentError("The deployment failed because \(reason)") }
}

/// The patterns of permissions: `**` is everything; else only `*` is special and stands for any run of characters without a slash. A
/// relative path with a slash matches nothing but `**`.
enum SimpleGlob {
  static func matches(_ pattern: String, _ path: String) -> Bool {
    if pattern == "**" { return true }
    guard !path.contains("/") else { return false }
    let pattern = Array(pattern.utf8)
    let text = Array(path.utf8)
    var p = 0
    var t = 0
    var star: (p: Int, t: Int)?
    while t < text.count {
      if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
        star = (p, t)
        p += 1
      } else if p < pattern.count, pattern[p] == text[t] {
        p += 1
        t += 1
      } else if let last = star {
        star = (last.p, last.t + 1)
        p = last.p + 1
        t = last.t + 1
      } else {
        return false
      }
    }
    return pattern[p...].allSatisfy { $0 == UInt8(ascii: "*") }
  }
}
