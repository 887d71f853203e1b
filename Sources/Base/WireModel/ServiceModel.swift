/// Placeholder: the wire helper writes it.
public struct ServiceModel: Sendable { public init() {} }
