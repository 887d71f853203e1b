import FoundationEssentials
import RegionKit
import WireModel

/// How records become the structures of IAM's answers.
extension NamedRecord {
  func common<Shape>(_ output: inout Obj<Shape>, _ account: AccountID, nameMember: String, idMember: String) {
    output.fields["Path"] = .string(path)
    output.fields[nameMember] = .string(name)
    output.fields[idMember] = .string(id)
    output.fields["Arn"] = .string(arn(account))
    output.fields["CreateDate"] = .timestamp(created)
  }
}

extension TaggedRecord {
  var tagShapes: [Obj<Tag>] {
    tags.map { tag in
      Obj {
        $0[.key] = tag.key
        $0[.value] = tag.value
      }
    }
  }
}

extension BoundedHolder {
  var boundaryShape: Obj<AttachedPermissionsBoundary>? {
    boundary.map { arn in
      Obj {
        // "Policy" is what IAM answers, although its model names another word.
        $0[.permissionsBoundaryType] = PermissionsBoundaryAttachmentType(rawValue: "Policy")
        $0[.permissionsBoundaryArn] = arn
      }
    }
  }
}

extension UserRecord {
  /// `full`: with tags and boundary, as GetUser and CreateUser answer and ListUsers does not.
  func shape(_ account: AccountID, full: Bool) -> Obj<User> {
    Obj {
      common(&$0, account, nameMember: "UserName", idMember: "UserId")
      guard full else { return }
      $0[.permissionsBoundary] = boundaryShape
      if !tags.isEmpty { $0[.tags] = tagShapes }
    }
  }
}

extension GroupRecord {
  func shape(_ account: AccountID) -> Obj<Group> {
    Obj { common(&$0, account, nameMember: "GroupName", idMember: "GroupId") }
  }
}

extension RoleRecord {
  /// `lastUse` only for GetRole.
  func shape(_ account: AccountID, full: Bool, lastUse: LastUseRecord? = nil, withLastUse: Bool = false) -> Obj<Role> {
    Obj {
      common(&$0, account, nameMember: "RoleName", idMember: "RoleId")
      $0[.assumeRolePolicyDocument] = PolicyText.encoded(trust)
      $0[.description] = description
      $0[.maxSessionDuration] = maxSession
      guard full else { return }
      $0[.permissionsBoundary] = boundaryShape
      if !tags.isEmpty { $0[.tags] = tagShapes }
      if withLastUse {
        $0[.roleLastUsed] = Obj {
          $0[.lastUsedDate] = lastUse?.date
          $0[.region] = lastUse?.region
        }
      }
    }
  }
}

extension InstanceProfileRecord {
  func shape(_ account: AccountID, role: RoleRecord?) -> Obj<InstanceProfile> {
    Obj {
      common(&$0, account, nameMember: "InstanceProfileName", idMember: "InstanceProfileId")
      $0[.roles] = role.map { [$0.shape(account, full: false)] } ?? []
      $0[.tags] = tagShapes
    }
  }
}

extension PolicyRecord {
  func shape(_ account: AccountID, use: PolicyUseRecord?, full: Bool) -> Obj<Policy> {
    Obj {
      common(&$0, account, nameMember: "PolicyName", idMember: "PolicyId")
      $0[.defaultVersionId] = defaultVersion
      $0[.attachmentCount] = use?.attached.count ?? 0
      $0[.permissionsBoundaryUsageCount] = use?.boundary.count ?? 0
      $0[.isAttachable] = true
      $0[.updateDate] = updated
      guard full else { return }
      $0[.description] = description
      $0[.tags] = tagShapes
    }
  }

  func shape(of version: Version, withDocument: Bool) -> Obj<PolicyVersion> {
    Obj {
      $0[.versionId] = version.id
      $0[.isDefaultVersion] = version.id == defaultVersion
      $0[.createDate] = version.created
      if withDocument { $0[.document] = PolicyText.encoded(version.document) }
    }
  }
}

extension AWSManagedPolicy {
  func shape(use: PolicyUseRecord?, full: Bool) -> Obj<Policy> {
    Obj {
      $0[.policyName] = name
      $0[.policyId] = id
      $0[.arn] = arn
      $0[.path] = path
      $0[.defaultVersionId] = version
      $0[.attachmentCount] = use?.attached.count ?? 0
      $0[.permissionsBoundaryUsageCount] = use?.boundary.count ?? 0
      $0[.isAttachable] = true
      $0[.createDate] = created
      $0[.updateDate] = created
      guard full else { return }
      $0[.description] = description
      $0[.tags] = []
    }
  }
}

enum PolicyText {
  /// IAM answers policy documents percent-encoded (RFC 3986).
  static func encoded(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var out: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "~"):
        out.append(byte)
      default:
        out += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// Characters that count against AWS's policy size quotas: all but white space.
  static func size(_ text: String) -> Int { text.unicodeScalars.count { !$0.properties.isWhitespace } }
}
