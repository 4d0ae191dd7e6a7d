/// The format of a type of value: from TOML, to TOML, and in words.
struct ValueFormat<Value: Sendable>: Sendable {
    /// The name of the type for the manual, such as "duration".
    let type: String
    /// The expected value for error messages, such as "an integer from 0 to 1024".
    let expected: String
    /// The allowed values in words, such as "0 to 1024".
    var range: String?
    /// The possible values as TOML without quotes, if there are only a few.
    var choices: [String] = []
    /// Decodes a value; nil after at least one problem has been reported.
    let decode: @Sendable (TOMLNode, inout ValueDecoding) -> Value?
    /// The TOML that decodes to a value.
    let text: @Sendable (Value) -> String

    /// A value written as a TOML string.
    static func string(
        _ type: String, expected: String, range: String? = nil,
        parse: @escaping @Sendable (String) throws(InvalidValue) -> Value,
        text: @escaping @Sendable (Value) -> String
    ) -> ValueFormat {
        ValueFormat(
            type: type, expected: expected, range: range,
            decode: { node, decoding in
                guard case .string(let written) = node.value else {
                    decoding.reportType(node, expected: expected)
                    return nil
                }
                do throws(InvalidValue) {
                    return try parse(written)
                } catch {
                    decoding.report(error, at: node)
                    return nil
                }
            },
            text: { quoted(text($0)) })
    }
}
