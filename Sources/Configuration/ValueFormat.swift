/// How a type of value is written: from TOML, to TOML, and in words.
struct ValueFormat<Value: Sendable>: Sendable {
    /// "duration", for the manual.
    let type: String
    /// What a wrong value is answered with: "an integer from 0 to 1024".
    let expected: String
    /// The allowed values in words: "0 to 1024".
    var range: String?
    /// The values where there are only a few, as TOML without quotes.
    var choices: [String] = []
    /// The value, or nil after having reported at least one problem.
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
