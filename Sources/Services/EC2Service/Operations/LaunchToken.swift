import Crypto
import FoundationEssentials
import RegionKit
import RegionStore
import WireModel

/// A client token that has been used in one account and region. Its row makes the token unique: of two calls that race, one commit wins.
/// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Run_Instance_Idempotency.html
struct LaunchTokenRecord: StoredRecord, Equatable {
  static let collection = "ec2.launch-token"
  /// Of what was asked for with the token.
  var fingerprint: String
}

/// A call's client token and what it asks for.
struct LaunchToken: Sendable {
  let text: String
  let fingerprint: String

  /// Nil when the call has none. Throws `InvalidParameterValue` for more than 64 characters.
  init?(_ input: Obj<RunInstancesRequest>) throws {
    guard let token = input[.clientToken], !token.isEmpty else { return nil }
    guard token.utf8.count <= 64, token.utf8.allSatisfy({ $0 < 0x80 }) else {
      throw AWSError("InvalidParameterValue", "Value for parameter ClientToken is invalid: it takes at most 64 ASCII characters.")
    }
    text = token
    let asked = input.fields.filter { $0.key != "ClientToken" && $0.key != "DryRun" }
    var bytes: [UInt8] = []
    Self.append(.object(asked), to: &bytes)
    let digits = Array("0123456789abcdef")
    fingerprint = String(SHA256.hash(data: bytes).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
  }

  static func mismatch() -> AWSError {
    AWSError(
      "IdempotentParameterMismatch",
      "Arguments on this idempotent request are inconsistent with arguments used in previous request(s). Use another ClientToken.")
  }

  /// One text for one value: each part tells its kind and its length.
  private static func append(_ value: WireValue, to bytes: inout [UInt8]) {
    func add(_ kind: String, _ text: String) { bytes += Array("\(kind)\(text.utf8.count):\(text)".utf8) }
    switch value {
    case .null: add("n", "")
    case .bool(let bool): add("b", String(bool))
    case .int(let int): add("i", String(int))
    case .double(let double): add("d", String(double))
    case .string(let text): add("s", text)
    case .timestamp(let date): add("t", String(date.timeIntervalSince1970))
    case .blob(let blob):
      add("x", String(blob.count))
      bytes += blob
    case .list(let items):
      add("l", String(items.count))
      for item in items { append(item, to: &bytes) }
    case .object(let members):
      add("o", String(members.count))
      for (name, member) in members.sorted(by: { $0.key < $1.key }) {
        add("k", name)
        append(member, to: &bytes)
      }
    case .stream: add("r", "")
    }
  }
}
