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
