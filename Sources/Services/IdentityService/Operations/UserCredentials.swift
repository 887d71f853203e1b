import Crypto
import FoundationEssentials
import RegionKit
import RegionStore
import WireModel

/// Console passwords, SSH keys and service-specific credentials: all kept in the user's record.
extension IAMOperations {
  // MARK: Console password

  func createLoginProfile(_ input: Obj<CreateLoginProfileRequest>, _ call: Call) async throws -> Obj<CreateLoginProfileResponse> {
    let name = try ImpliedUser(input[.userName], call).requireUser("CreateLoginProfile")
    guard let password = input[.password] else {
      throw IdentityErrors.validation("CreateLoginProfile needs Password.")
    }
    let login = LoginRecord(
      created: call.now, resetRequired: input[.passwordResetRequired] ?? false, password: try hash(password))
    _ = try await changeUser(name, call) { user in
      guard user.login == nil else {
        throw IAMErrors.entityAlreadyExistsException("Login Profile for user \(user.name) already exists.")
      }
      user.login = login
    }
    return Obj { $0[.loginProfile] = shape(login, name) }
  }

  /// The rule of an account without a password policy: 8 to 128 characters.
  private func hash(_ password: String) throws -> PasswordHash {
    guard password.count >= 8 else {
      throw IAMErrors.passwordPolicyViolationException("Password should have a minimum length of 8")
    }
    return PasswordHash(password, salt: core.random.bytes(16), rounds: core.passwordRounds)
  }

  private func shape(_ login: LoginRecord, _ name: String) -> Obj<LoginProfile> {
    Obj {
      $0[.userName] = name
      $0[.createDate] = login.created
      $0[.passwordResetRequired] = login.resetRequired
    }
  }

  private func noLogin(_ name: String) -> AWSError {
    IAMErrors.noSuchEntityException("Login Profile for User \(name) cannot be found.")
  }

  func getLoginProfile(_ input: Obj<GetLoginProfileRequest>, _ call: Call) async throws -> Obj<GetLoginProfileResponse> {
    let name = try ImpliedUser(input[.userName], call).requireUser("GetLoginProfile")
    let user = try await core.user(name, call.account).value
    guard let login = user.login else { throw noLogin(user.name) }
    return Obj { $0[.loginProfile] = shape(login, user.name) }
  }

  func updateLoginProfile(_ input: Obj<UpdateLoginProfileRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    let hashed = try input[.password].map(hash)
    return try await changeUser(input[.userName], call) { user in
      guard var login = user.login else { throw noLogin(user.name) }
      if let hashed { login.password = hashed }
      if let reset = input[.passwordResetRequired] { login.resetRequired = reset }
      user.login = login
    }
  }

  func deleteLoginProfile(_ input: Obj<DeleteLoginProfileRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    let name = try ImpliedUser(input[.userName], call).requireUser("DeleteLoginProfile")
    return try await changeUser(name, call) { user in
      guard user.login != nil else { throw noLogin(user.name) }
      user.login = nil
    }
  }

  // MARK: SSH public keys

  func uploadSSHPublicKey(_ input: Obj<UploadSSHPublicKeyRequest>, _ call: Call) async throws -> Obj<UploadSSHPublicKeyResponse> {
    guard let key = RSAPublicKeyText(input[.sSHPublicKeyBody]) else {
      throw IAMErrors.unrecognizedPublicKeyEncodingException("The key must be an RSA key in ssh-rsa or PEM format.")
    }
    guard key.bits >= 2_048 else {
      throw IAMErrors.invalidPublicKeyException("The RSA key has \(key.bits) bits; at least 2048 are needed.")
    }
    let record = SSHKeyRecord(
      id: core.uniqueId("APKA"), body: key.ssh, fingerprint: key.fingerprint, active: true, uploaded: call.now)
    _ = try await changeUser(input[.userName], call) { user in
      guard !user.sshKeys.contains(where: { $0.fingerprint == record.fingerprint }) else {
        throw IAMErrors.duplicateSSHPublicKeyException("The SSH public key is already associated with user \(user.name).")
      }
      guard user.sshKeys.count < 5 else {
        throw IAMErrors.limitExceededException("Cannot exceed quota for SSHPublicKeysPerUser: 5")
      }
      user.sshKeys.append(record)
    }
    return Obj { $0[.sSHPublicKey] = shape(record, input[.userName], pem: false) }
  }

  private func shape(_ key: SSHKeyRecord, _ user: String, pem: Bool) -> Obj<SSHPublicKey> {
    Obj {
      $0[.userName] = user
      $0[.sSHPublicKeyId] = key.id
      $0[.fingerprint] = key.fingerprint
      $0[.sSHPublicKeyBody] = pem ? RSAPublicKeyText(key.body)?.pem ?? key.body : key.body
      $0[.status] = key.active ? .active : .inactive
      $0[.uploadDate] = key.uploaded
    }
  }

  private func noKey(_ id: String) -> AWSError {
    IAMErrors.noSuchEntityException("The Public Key with id \(id) cannot be found.")
  }

  func getSSHPublicKey(_ input: Obj<GetSSHPublicKeyRequest>, _ call: Call) async throws -> Obj<GetSSHPublicKeyResponse> {
    let user = try await core.user(input[.userName], call.account).value
    guard let key = user.sshKeys.first(where: { $0.id == input[.sSHPublicKeyId] }) else { throw noKey(input[.sSHPublicKeyId]) }
    guard input[.encoding] == .ssh || input[.encoding] == .pem else {
      throw IAMErrors.unrecognizedPublicKeyEncodingException("Encoding must be SSH or PEM.")
    }
    return Obj { $0[.sSHPublicKey] = shape(key, user.name, pem: input[.encoding] == .pem) }
  }

  func listSSHPublicKeys(_ input: Obj<ListSSHPublicKeysRequest>, _ call: Call) async throws -> Obj<ListSSHPublicKeysResponse> {
    let name = try ImpliedUser(input[.userName], call).requireUser("ListSSHPublicKeys")
    let user = try await core.user(name, call.account).value
    let page = try PageRequest(input, call, filters: [user.name]).cut(user.sshKeys) { $0.id }
    return Obj {
      $0[.sSHPublicKeys] = page.items.map { key in
        Obj {
          $0[.userName] = user.name
          $0[.sSHPublicKeyId] = key.id
          $0[.status] = key.active ? .active : .inactive
          $0[.uploadDate] = key.uploaded
        }
      }
      page.close(&$0)
    }
  }

  func updateSSHPublicKey(_ input: Obj<UpdateSSHPublicKeyRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await changeUser(input[.userName], call) { user in
      guard let index = user.sshKeys.firstIndex(where: { $0.id == input[.sSHPublicKeyId] }) else {
        throw noKey(input[.sSHPublicKeyId])
      }
      user.sshKeys[index].active = input[.status] == .active
    }
  }

  func deleteSSHPublicKey(_ input: Obj<DeleteSSHPublicKeyRequest>, _ call: Call) async throws -> Obj<NoMembers> {
    try await changeUser(input[.userName], call) { user in
      guard user.sshKeys.contains(where: { $0.id == input[.sSHPublicKeyId] }) else { throw noKey(input[.sSHPublicKeyId]) }
      user.sshKeys.removeAll { $0.id == input[.sSHPublicKeyId] }
    }
  }

  // MARK: Service-specific credentials

  private static let credentialServices = ["codecommit.amazonaws.com"]

  func createServiceSpecificCredential(
    _ input: Obj<CreateServiceSpecificCredentialRequest>, _ call: Call
  ) async throws -> Obj<CreateServiceSpecificCredentialResponse> {
    let service = input[.serviceName]
    guard Self.credentialServices.contains(service) else { throw unsupported(service) }
    let password = newPassword()
    var made: ServiceCredentialRecord?
    _ = try await changeUser(input[.userName], call) { user in
      let existing = user.serviceCredentials.filter { $0.service == service }
      guard existing.count < 2 else {
        throw IAMErrors.limitExceededException("Cannot exceed quota for ServiceSpecificCredentialsPerUser: 2")
      }
      let plain = "\(user.name)-at-\(call.account)"
      let login = existing.contains { $0.login == plain } ? "\(user.name)+1-at-\(call.account)" : plain
      let record = ServiceCredentialRecord(
        id: core.uniqueId("ACCA"), service: service, login: login, passwordDigest: Self.digest(password), active: true,
        created: call.now, expires: input[.credentialAgeDays].map { call.now.addingTimeInterval(Double($0) * 86_400) })
      user.serviceCredentials.append(record)
      made = record
    }
    return Obj { $0[.serviceSpecificCredential] = made.map { shape($0, input[.userName], password) } }
  }

  private func unsupported(_ service: String) -> AWSError {
    IAMErrors.serviceNotSupportedException(
      "No such service \(service) is supported for Service Specific Credentials. Supported: "
        + Self.credentialServices.joined(separator: ", "))
  }

  private func newPassword() -> String { Data(core.random.bytes(32)).base64EncodedString() }
  static func digest(_ password: String) -> [UInt8] { Array(SHA256.hash(data: Array(password.utf8))) }

  private func shape(_ record: ServiceCredentialRecord, _ user: String, _ password: String) -> Obj<ServiceSpecificCredential> {
    Obj {
      $0[.createDate] = record.created
      $0[.expirationDate] = record.expires
      $0[.serviceName] = record.service
      $0[.serviceUserName] = record.login
      $0[.servicePassword] = password
      $0[.serviceSpecificCredentialId] = record.id
      $0[.userName] = user
      $0[.status] = record.active ? .active : .inactive
    }
  }

  func listServiceSpecificCredentials(
    _ input: Obj<ListServiceSpecificCredentialsRequest>, _ call: Call
  ) async throws -> Obj<ListServiceSpecificCredentialsResponse> {
    if let service = input[.serviceName], !Self.credentialServices.contains(service) { throw unsupported(service) }
    var users: [UserRecord]
    if input[.allUsers] == true {
      users = try await core.store.list(UserRecord.self, in: IdentityCore.scope(call.account)).map(\.value)
    } else {
      let name = try ImpliedUser(input[.userName], call).requireUser("ListServiceSpecificCredentials")
      users = [try await core.user(name, call.account).value]
    }
    let all = users.flatMap { user in
      user.serviceCredentials.filter { input[.serviceName] == nil || $0.service == input[.serviceName] }.map { (user.name, $0) }
    }
    let page = try PageRequest(input, call, filters: [input[.userName] ?? "", input[.serviceName] ?? ""]).cut(all) { $0.1.id }
    return Obj {
      $0[.serviceSpecificCredentials] = page.items.map { (name, record) in
        Obj {
          $0[.userName] = name
          $0[.status] = record.active ? .active : .inactive
          $0[.serviceUserName] = record.login
          $0[.createDate] = record.created
          $0[.expirationDate] = record.expires
          $0[.serviceSpecificCredentialId] = record.id
          $0[.serviceName] = record.service
        }
      }
      page.close(&$0)
    }
  }

  private func changeCredential(
    _ id: String, _ userName: String?, _ operation: String, _ call: Call,
    _ edit: (inout [ServiceCredentialRecord], Int) -> Void
  ) async throws -> Obj<NoMembers> {
    let name = try ImpliedUser(userName, call).requireUser(operation)
    return try await changeUser(name, call) { user in
      guard let index = user.serviceCredentials.firstIndex(where: { $0.id == id }) else {
        throw IAMErrors.noSuchEntityException("No such credential \(id) exists")
      }
      edit(&user.serviceCredentials, index)
    }
  }

  func updateServiceSpecificCredential(
    _ input: Obj<UpdateServiceSpecificCredentialRequest>, _ call: Call
  ) async throws -> Obj<NoMembers> {
    try await changeCredential(input[.serviceSpecificCredentialId], input[.userName], call.operation, call) {
      $0[$1].active = input[.status] == .active
    }
  }

  func deleteServiceSpecificCredential(
    _ input: Obj<DeleteServiceSpecificCredentialRequest>, _ call: Call
  ) async throws -> Obj<NoMembers> {
    try await changeCredential(input[.serviceSpecificCredentialId], input[.userName], call.operation, call) { $0.remove(at: $1) }
  }

  func resetServiceSpecificCredential(
    _ input: Obj<ResetServiceSpecificCredentialRequest>, _ call: Call
  ) async throws -> Obj<ResetServiceSpecificCredentialResponse> {
    let password = newPassword()
    var changed: ServiceCredentialRecord?
    _ = try await changeCredential(input[.serviceSpecificCredentialId], input[.userName], call.operation, call) {
      $0[$1].passwordDigest = Self.digest(password)
      changed = $0[$1]
    }
    let name = try ImpliedUser(input[.userName], call).requireUser(call.operation)
    return Obj { $0[.serviceSpecificCredential] = changed.map { shape($0, name, password) } }
  }
}
