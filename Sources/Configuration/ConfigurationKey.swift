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
    /// Whether the value is left out of messages and printed configurations.
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

    /// Every key, in the order of the manual.
    package static var all: [ConfigurationKey] { Schema.sections.flatMap(\.keys) }
}
