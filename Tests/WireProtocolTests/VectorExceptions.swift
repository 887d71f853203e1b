/// Vectors that this server does not reproduce, grouped by the reason. A listed vector that passes is a test failure, so the list
/// cannot rot.
enum VectorExceptions {
  static let input = byName([
    (
      "The recorded request has no body, only the Content-Encoding header of a compressing client: nothing to decode.",
      """
      ec2/SDKAppliedContentEncoding_ec2Query ec2/SDKAppendsGzipAndIgnoresHttpProvidedEncoding_ec2Query
      json/SDKAppliedContentEncoding_awsJson1_1 json/SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_1
      json_1_0/SDKAppliedContentEncoding_awsJson1_0 json_1_0/SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_0
      query/SDKAppliedContentEncoding_awsQuery query/SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsQuery
      rest-json/SDKAppliedContentEncoding_restJson1 rest-json/SDKAppendedGzipAfterProvidedEncoding_restJson1
      rest-xml/SDKAppliedContentEncoding_restXml rest-xml/SDKAppendedGzipAfterProvidedEncoding_restXml
      """
    ),
    (
      "The client fills the token in; the server finds it in the request and hands it on.",
      """
      ec2/Ec2ProtocolIdempotencyTokenAutoFill query/QueryProtocolIdempotencyTokenAutoFill
      rest-json/RestJsonQueryIdempotencyTokenAutoFill rest-xml/QueryIdempotencyTokenAutoFill
      """
    ),
    (
      "The client leaves an empty list or map out of the request: nothing there tells it from an absent one.",
      """
      ec2/Ec2EmptyQueryLists query/QueryEmptyQueryMaps rest-json/RestJsonOmitsEmptyListQueryValues
      """
    ),
    (
      "The recorded request has no X-Amz-Target header: the vector is about the client choosing a host.",
      """
      json_1_0/AwsJson10EndpointTrait json_1_0/AwsJson10EndpointTraitWithHostLabel json_1_0/AwsJson10HostWithPath
      """
    ),
    (
      "The client's endpoint has a path of its own in front of the operation's; a region has none.",
      """
      rest-json/RestJsonHostWithPath
      """
    ),
    (
      "The client sends {} for an absent payload; it is decoded as the empty structure that it is.",
      """
      rest-json/RestJsonHttpWithEmptyStructurePayload rest-json/RestJsonHttpWithHeadersButNoPayload
      """
    ),
  ])
  static let output = byName([
    (
      "A time with an offset: readers must take it, this server writes UTC.",
      """
      ec2/Ec2QueryDateTimeWithNegativeOffset ec2/Ec2QueryDateTimeWithPositiveOffset json/AwsJson11DateTimeWithNegativeOffset
      json/AwsJson11DateTimeWithPositiveOffset query/AwsQueryDateTimeWithNegativeOffset
      query/AwsQueryDateTimeWithPositiveOffset rest-json/RestJsonDateTimeWithNegativeOffset
      rest-json/RestJsonDateTimeWithPositiveOffset rest-xml/RestXmlDateTimeWithNegativeOffset
      rest-xml/RestXmlDateTimeWithPositiveOffset
      """
    ),
    (
      "The answer's message is not among what the vector gives to encode.",
      """
      ec2/Ec2ComplexError rest-xml/ComplexError
      """
    ),
    (
      "The answer holds something outside the model, which readers must skip; this server writes nothing of the kind.",
      """
      json/handles_unexpected_json_output json/AwsJson11DeserializeIgnoreType json_1_0/AwsJson10DeserializeIgnoreType
      json_1_0/AwsJson10HandlesUnexpectedJsonOutput rest-json/RestJsonDeserializeIgnoreType rest-xml/InvalidGreetingError
      smithy-rpc-v2-cbor/RpcV2CborExtraFieldsInTheBodyShouldBeSkippedByClients
      smithy-rpc-v2-cbor/RpcV2CborPayloadWithUnsetUnion
      """
    ),
    (
      "One of several places for the error code that readers must know; this server writes the header, in RPC protocols __type too.",
      """
      json/AwsJson11FooErrorUsingXAmznErrorType json/AwsJson11FooErrorUsingXAmznErrorTypeWithUri
      json/AwsJson11FooErrorUsingXAmznErrorTypeWithUriAndNamespace json/AwsJson11FooErrorUsingCode
      json/AwsJson11FooErrorUsingCodeAndNamespace json/AwsJson11FooErrorUsingCodeUriAndNamespace
      json_1_0/AwsJson10FooErrorUsingXAmznErrorType json_1_0/AwsJson10FooErrorUsingXAmznErrorTypeWithUri
      json_1_0/AwsJson10FooErrorUsingXAmznErrorTypeWithUriAndNamespace json_1_0/AwsJson10FooErrorUsingCode
      json_1_0/AwsJson10FooErrorUsingCodeAndNamespace json_1_0/AwsJson10FooErrorUsingCodeUriAndNamespace
      rest-json/RestJsonFooErrorUsingCode rest-json/RestJsonFooErrorUsingCodeAndNamespace
      rest-json/RestJsonFooErrorUsingCodeUriAndNamespace rest-json/RestJsonFooErrorWithDunderType
      rest-json/RestJsonFooErrorWithDunderTypeAndNamespace rest-json/RestJsonFooErrorWithDunderTypeUriAndNamespace
      """
    ),
    (
      "The recorded answer wants the request header X-Amz-Target in it: a mistake of the vector.",
      """
      json/AwsJson11IntEnums
      """
    ),
    (
      "Readers must take an answer without the wrapper; this server always sends it, with the request id.",
      """
      query/QueryEmptyInputAndEmptyOutput query/QueryNoInputAndNoOutput query/QueryNoInputAndOutput
      """
    ),
    (
      "Readers must take it; this server sends an empty map for an empty output and nothing without output (no_output, empty_output).",
      """
      smithy-rpc-v2-cbor/empty_output_no_body smithy-rpc-v2-cbor/NoOutputClientAllowsEmptyCbor
      smithy-rpc-v2-cbor/NoOutputClientAllowsEmptyBody
      """
    ),
    (
      "Nulls in a structure or dense collection, which readers must skip; this server leaves absent members out.",
      """
      smithy-rpc-v2-cbor/RpcV2CborDeserializesDenseSetMapAndSkipsNull
      smithy-rpc-v2-cbor/RpcV2CborClientDoesntDeserializeNullStructureValues
      """
    ),
  ])

  private static func byName(_ groups: [(reason: String, names: String)]) -> [String: String] {
    var out: [String: String] = [:]
    for group in groups { for name in group.names.split(whereSeparator: \.isWhitespace) { out[String(name)] = group.reason } }
    return out
  }
}
