/// One error in the configuration.
package struct ConfigurationError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The path of the file, or "command line".
    package let file: String
    /// The line, counted from 1; nil for an error about the whole file, for example if it can't be read.
    package let line: Int?
    /// The column, counted from 1 in Unicode code points; nil if `line` is.
    package let column: Int?
    /// The message: it names the key, the value and the way out.
    package let message: String

    init(file: String, position: SourcePosition? = nil, message: String) {
        self.file = file
        line = position?.line
        column = position?.column
        self.message = message
    }

    /// The error without line and column, for a text that has no lines to look at.
    var withoutPosition: ConfigurationError { ConfigurationError(file: file, message: message) }

    /// "file:line:column: message", the form that compilers use and editors understand.
    package var description: String {
        guard let line, let column else { return "\(file): \(message)" }
        return "\(file):\(line):\(column): \(message)"
    }
}

/// All errors in the configuration, in the order of the files, then by line.
package struct ConfigurationErrors: Error, Sendable, Hashable, CustomStringConvertible {
    /// The errors; never empty.
    package let errors: [ConfigurationError]

    /// One line for each error.
    package var description: String {
        errors.map(\.description).joined(separator: "\n")
    }
}
