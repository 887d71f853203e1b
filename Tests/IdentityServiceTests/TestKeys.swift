/// Public keys made for these tests by ssh-keygen; the PEM form and the MD5 fingerprint are its output too.
enum TestKeys {
  static let fingerprint = "9e:18:0c:26:94:1c:12:89:95:b0:71:59:3d:fb:fa:2c"
  static let ssh =
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCp2CpxShrpn8dfEyK9QuwxJ8T0goBldE/vd6vSuejP+1Q5vhC/gIsHCT+O+JdX"
    + "fGGFUEyb6GMMMt5IoJ0zl3MQCBzEGaPBhUHgFQIxFMMa0LLo/SbXGYYx+Y1O1rIia9lJgsoYzONfXn1cNeJfZiMd3cl4I9Jzr7+/"
    + "f76fGYyJdQVWmHtAajGfsoXimFMlfKtR5YoYn92T/abAVLlE9BY4wo5NeaJkGYUx6VQeRpcB6mXUoQprHlqnDCpAc97Wax8baPZK"
    + "3NQDfSAaCQ8pI8TTl6CBHF9VFUqu0hEmsj0b9YFn2gLI4SZ6+d2Ocd91FzQUN9rK5z9Tocz6NLmcy1EZ"
  /// 1,024 bits.
  static let small =
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQCVZyY0P8kpSrflpzsR60XARbRWcucsiYV9OoiiJRXHg1FN5sv8ZdJUxfwoiWk+"
    + "clWGIbJZE6hgENKGYbl+Jl44ER0L06i1HbSQPZVZdj3pOS6LTo5MVG+Bmg/yTSnNsVG+jucg0ar7aAm8SvDmLDWfVC5zOzAaW7yJ"
    + "QklL3VhdRQ=="
  static let pem =
    "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAqdgqcUoa6Z/HXxMivULs\nMSfE9IKA"
    + "ZXRP73er0rnoz/tUOb4Qv4CLBwk/jviXV3xhhVBMm+hjDDLeSKCdM5dz\nEAgcxBmjwYVB4BUCMRTDGtCy6P0m1xmGMfmNTtayImv"
    + "ZSYLKGMzjX159XDXiX2Yj\nHd3JeCPSc6+/v3++nxmMiXUFVph7QGoxn7KF4phTJXyrUeWKGJ/dk/2mwFS5RPQW\nOMKOTXmiZBmFM"
    + "elUHkaXAepl1KEKax5apwwqQHPe1msfG2j2StzUA30gGgkPKSPE\n05eggRxfVRVKrtIRJrI9G/WBZ9oCyOEmevndjnHfdRc0FDfa"
    + "yuc/U6HM+jS5nMtR\nGQIDAQAB\n-----END PUBLIC KEY-----\n"
}
