import FoundationEssentials
import RegionKit
import RegionStore
import WireModel

/// The operations of IAM; each noun has a file of its own.
struct IAMOperations: IAMAPI {
  let core: IdentityCore
  let lastUse: LastUseRecorder
}

/// Whose keys or password an operation without `UserName` means.
enum ImpliedUser {
  case named(String)
  case root

  init(_ name: String?, _ call: Call) throws {
    if let name {
      self = .named(name)
      return
    }
    switch call.principal.kind {
    case .root: self = .root
    case .user: self = .named(call.principal.userName ?? "")
    default: throw IdentityErrors.validation("Must specify userName when calling with non-User credentials")
    }
  }

  /// The user's name; for root an error, where the operation is for users only.
  func requireUser(_ operation: String) throws -> String {
    switch self {
    case .named(let name): return name
    case .root: throw IdentityErrors.validation("\(operation) needs UserName: the account's root is not an IAM user.")
    }
  }
}

extension IAMOperations {
  func path(_ text: String?) -> String { text ?? "/" }

  /// Reads a policy that a caller wants stored; what cannot be enforced is refused here.
  func check(_ document: String, as kind: PolicyDocument.Kind) throws {
    do {
      _ = try PolicyParser.parse(document, as: kind)
    } catch {
      throw IAMErrors.malformedPolicyDocumentException(error.text)
    }
  }

  /// Tags as AWS takes them: at most 50, keys unique without regard to case, no `aws:` prefix.
  func tags(_ shapes: [Obj<Tag>]?, added: [TagRecord] = []) throws -> [TagRecord] {
    var out = added
    var seen: Set<String> = []
    for shape in shapes ?? [] {
      let tag = TagRecord(key: shape[.key], value: shape[.value])
      guard seen.insert(tag.key.asciiLowercased).inserted else {
        throw IAMErrors.invalidInputException("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
      }
      guard !tag.key.asciiLowercased.hasPrefix("aws:") else {
        throw IAMErrors.invalidInputException("The tag key \(tag.key) begins with aws:, which is reserved for AWS.")
      }
      if let index = out.firstIndex(where: { $0.key.asciiLowercased == tag.key.asciiLowercased }) {
        out[index] = tag
      } else {
        out.append(tag)
      }
    }
    guard out.count <= 50 else { throw IAMErrors.limitExceededException("Cannot exceed quota for TagsPerResource: 50") }
    return out
  }

  func without(_ keys: [String], _ tags: [TagRecord]) -> [TagRecord] {
    let gone = Set(keys.map(\.asciiLowercased))
    return tags.filter { !gone.contains($0.key.asciiLowercased) }
  }

  /// The tags as a condition context: `aws:RequestTag/KEY` and `aws:TagKeys`.
  func tagPage<Shape, Input>(
    _ record: some TaggedRecord, _ input: Obj<Input>, _ call: Call, _ output: inout Obj<Shape>
  ) throws {
    let page = try PageRequest(input, call, filters: [record.name]).cut(record.tagShapes) { $0[.key] }
    output.fields["Tags"] = page.items.wire
    page.close(&output)
  }

  /// Whether more of a kind may be made; AWS's default quotas.
  func requireRoom<Record: NamedRecord>(_ type: Record.Type, _ account: AccountID, _ quota: Int, _ name: String) async throws {
    // Counting is only worth its price near the quota; ids are enough, so ask for one more than allowed.
    let some = try await core.store.list(type, in: IdentityCore.scope(account), StoreQuery(limit: quota))
    guard some.count < quota else { throw IAMErrors.limitExceededException("Cannot exceed quota for \(name): \(quota)") }
  }
}
