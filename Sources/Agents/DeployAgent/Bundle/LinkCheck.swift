/// Every symbolic link below a directory must stay below it: resolved step by step on what was really unpacked, because `a/../..`
/// is harmless or not depending on whether `a` is itself a link.
struct LinkCheck {
  let root: String
  private static let hops = 40

  func check() throws(AgentError) { try walk([]) }

  private func walk(_ at: [String]) throws(AgentError) {
    for name in try Disk.names(path(at)) {
      let here = at + [name]
      switch Disk.kind(path(here)) {
      case .directory: try walk(here)
      case .symlink:
        guard try staysInside(here) else {
          throw AgentError(
            "The bundle's link \(here.joined(separator: "/")) points outside of the bundle (\(try Disk.readLink(path(here)))); nothing "
              + "was unpacked.")
        }
      default: break
      }
    }
  }

  private func path(_ parts: [String]) -> String { RelativePath.join(root, parts.joined(separator: "/")) }

  private func staysInside(_ link: [String]) throws(AgentError) -> Bool {
    var resolved: [String] = []
    var pending = Array(link.reversed())
    var hops = 0
    while let part = pending.popLast() {
      if part == "." || part.isEmpty { continue }
      if part == ".." {
        guard resolved.popLast() != nil else { return false }
        continue
      }
      let next = resolved + [part]
      guard Disk.kind(path(next)) == .symlink else {
        resolved = next
        continue
      }
      hops += 1
      guard hops <= Self.hops else { return false }
      let target = try Disk.readLink(path(next))
      guard !target.hasPrefix("/") else { return false }
      pending += target.split(separator: "/", omittingEmptySubsequences: false).map(String.init).reversed()
    }
    return true
  }
}
