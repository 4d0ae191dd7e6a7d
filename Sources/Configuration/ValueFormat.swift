import Settings

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

extension ValueFormat {
    /// An array of such values. Every invalid element is reported, and so is every duplicate.
    static func array<Element: Equatable>(
        of element: ValueFormat<Element>, _ plural: String
    ) -> ValueFormat where Value == [Element] {
        let expected = "an array of \(plural)"
        return ValueFormat(
            type: "array of \(plural)", expected: expected,
            decode: { node, decoding in
                guard case .array(let elements) = node.value else {
                    decoding.reportType(node, expected: expected)
                    return nil
                }
                var values: [Element] = []
                for node in elements {
                    guard let value = element.decode(node, &decoding) else { continue }
                    if values.contains(value) {
                        let shown = decoding.key.isSecret ? "a value" : element.text(value)
                        decoding.report("\(shown) is there twice; leave one out", at: node)
                    }
                    values.append(value)
                }
                return values
            },
            text: { "[" + $0.map(element.text).joined(separator: ", ") + "]" })
    }
}

extension ValueFormat<KeyFile> {
    /// A file with a key.
    static let keyFile = string(
        "path", expected: "an absolute path in quotes",
        parse: { written throws(InvalidValue) in try KeyFile(parsing: written) }, text: \.description)
}

extension ValueFormat<KeyFile?> {
    /// A file with a key, or nothing.
    static let keyFileOrNone = string(
        "path", expected: "an absolute path in quotes", range: "absolute, or \"credential:NAME\"",
        parse: { written throws(InvalidValue) in written.isEmpty ? nil : try KeyFile(parsing: written) },
        text: { $0?.description ?? "" })
}

extension ValueFormat<KeySetSource?> {
    /// A file or URL with a set of keys, or nothing.
    static let keySetOrNone = string(
        "path or URL", expected: "an absolute path or an https URL in quotes",
        range: "absolute, \"credential:NAME\", or an https URL",
        parse: { written throws(InvalidValue) in written.isEmpty ? nil : try KeySetSource(parsing: written) },
        text: { $0?.description ?? "" })
}

/// The state while the value of one key is decoded: the key, and the problems found.
struct ValueDecoding {
    let key: ConfigurationKey
    /// An allowed value, for messages.
    let example: String
    var problems: [(position: SourcePosition, message: String)] = []

    mutating func report(_ message: String, at node: TOMLNode) {
        problems.append((node.position, "\(key.path): \(message)"))
    }

    /// Reports a value of the wrong type.
    mutating func reportType(_ node: TOMLNode, expected: String) {
        let shown = key.isSecret ? node.kindDescription : node.description
        report("got \(shown); give \(expected), such as \(key.name) = \(example)", at: node)
    }

    /// Reports a value of the right type that is invalid.
    mutating func report(_ error: InvalidValue, at node: TOMLNode) {
        report(error.description, at: node)
    }
}
