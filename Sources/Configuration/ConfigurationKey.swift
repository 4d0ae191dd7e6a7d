/// The description of a key for people and for tests: an entry of wsd.toml(5).
package struct ConfigurationKey: Sendable, Equatable {
    /// The table of the key, such as "server"; for `[[endpoint]]` it is "endpoint", for `[channels."PATTERN"]`
    /// "channels".
    package let section: String
    /// The name of the key in its table, such as "listen".
    package let name: String
    /// The type of the value, such as "duration".
    package let type: String
    /// The allowed values in words; nil if the type is enough.
    package let range: String?
    /// The possible values without quotes, if there are only a few; otherwise empty.
    package let choices: [String]
    /// The built-in value as TOML; nil if the key is required.
    package let defaultText: String?
    /// The event after which a change of the key takes effect.
    package let change: Change
    /// Whether a value may have a secret in it: it is left out of messages, and of printed configurations if it has one.
    package let isSecret: Bool
    /// The purpose of the key, in one line.
    package let meaning: String

    /// The event after which a change of a key takes effect.
    package enum Change: Sendable, Equatable {
        /// The running daemon reads its configuration again.
        case live
        /// The daemon is restarted.
        case restart
    }

    /// The full name, such as "server.listen".
    package var path: String { "\(section).\(name)" }

    /// Whether a printed configuration leaves out a value, given as TOML: a URL with a login.
    func hides(_ value: String) -> Bool { isSecret && value.contains("@") }

    /// Every key, in the order of the manual.
    package static var all: [ConfigurationKey] { Schema.sections.flatMap(\.keys) }
}

/// The origin of an effective value.
package enum ConfigurationOrigin: Sendable, Hashable, CustomStringConvertible {
    /// The built-in default.
    case builtIn
    /// A file, and the place of the key in it.
    case file(path: String, line: Int, column: Int)
    /// An option on the command line.
    case commandLine
    /// An administrator, while the daemon was running; valid until the daemon reads its configuration again.
    case administrator

    /// The text that --print-config shows: "default", "/etc/wsd/wsd.toml:12", "command line" or "wsctl".
    package var description: String {
        switch self {
        case .builtIn: "default"
        case .file(let path, let line, _): "\(path):\(line)"
        case .commandLine: "command line"
        case .administrator: "wsctl"
        }
    }
}

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

/// The reason why a text is not a valid duration, size, address, range, origin or path: a sentence with the value and
/// the way out.
package struct InvalidValue: Error, Sendable, Equatable, CustomStringConvertible {
    /// The sentence, without a full stop.
    package let description: String

    init(_ description: String) {
        self.description = description
    }
}
