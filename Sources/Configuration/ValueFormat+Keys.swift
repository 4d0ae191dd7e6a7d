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
