/// Where an effective value comes from.
package enum ConfigurationOrigin: Sendable, Hashable, CustomStringConvertible {
    /// Nobody said anything.
    case builtIn
    /// A file, and the place of the key in it.
    case file(path: String, line: Int, column: Int)
    /// An option of the command.
    case commandLine

    /// As --print-config says it: "default", "/etc/wsd/wsd.toml:12" or "command line".
    package var description: String {
        switch self {
        case .builtIn: "default"
        case .file(let path, let line, _): "\(path):\(line)"
        case .commandLine: "command line"
        }
    }
}
