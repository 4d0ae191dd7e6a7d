/// What there is to know about a key, for people and for tests: the rows of wsd.toml(5).
package struct ConfigurationKey: Sendable, Equatable {
    /// The table that the key stands in, "server"; for `[[endpoint]]` it is "endpoint", for
    /// `[channels."PATTERN"]` "channels".
    package let section: String
    /// The key in its table, "listen".
    package let name: String
    /// The kind of value, "duration".
    package let type: String
    /// The values that are allowed, in words; nil where the type says it all.
    package let range: String?
    /// The values where there are only a few, without quotes; else empty.
    package let choices: [String]
    /// The built-in value as TOML; nil where the key must be given.
    package let defaultText: String?
    /// When a change of the key is obeyed.
    package let change: Change
    /// Whether the value is kept out of messages and printed forms.
    package let isSecret: Bool
    /// What the key is for, in a line.
    package let meaning: String

    /// When a change of a key is obeyed.
    package enum Change: Sendable, Equatable {
        /// By the daemon that runs, when it reads its configuration again.
        case live
        /// By the next one.
        case restart
    }

    /// "server.listen".
    package var path: String { "\(section).\(name)" }

    /// Every key, in the order of the manual.
    package static var all: [ConfigurationKey] { Schema.sections.flatMap(\.keys) }
}
