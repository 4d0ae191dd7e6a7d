/// One thing that is wrong with the configuration.
package struct ConfigurationError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The path of the file, or "command line".
    package let file: String
    /// From 1; nil where the file as a whole is meant, as when it can't be read.
    package let line: Int?
    /// From 1, in Unicode code points; nil as `line` is.
    package let column: Int?
    /// The thing, the value and the way out.
    package let message: String

    init(file: String, position: SourcePosition? = nil, message: String) {
        self.file = file
        line = position?.line
        column = position?.column
        self.message = message
    }

    /// The same about a text that has no lines to look at.
    var withoutPosition: ConfigurationError { ConfigurationError(file: file, message: message) }

    /// "file:line:column: message", as compilers write it and editors jump to it.
    package var description: String {
        guard let line, let column else { return "\(file): \(message)" }
        return "\(file):\(line):\(column): \(message)"
    }
}

/// Everything that is wrong with the configuration, by file as they are read, then by line.
package struct ConfigurationErrors: Error, Sendable, Hashable, CustomStringConvertible {
    /// Never empty.
    package let errors: [ConfigurationError]

    /// One line for each.
    package var description: String {
        errors.map(\.description).joined(separator: "\n")
    }
}
