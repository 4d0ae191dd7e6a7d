/// Where an effective value comes from.
package enum ConfigurationOrigin: Sendable, Hashable, CustomStringConvertible {
    /// Nobody said anything.
    case builtIn
    /// A file, and the place of the key in it.
    case file(path: String, line: Int, column: Int)
    /// An option of the command.
    case commandLine
    /// An administrator, while the daemon ran; until it reads its configuration again.
    case administrator

    /// As --print-config says it: "default", "/etc/wsd/wsd.toml:12", "command line" or "wsctl".
    package var description: String {
        switch self {
        case .builtIn: "default"
        case .file(let path, let line, _): "\(path):\(line)"
        case .commandLine: "command line"
        case .administrator: "wsctl"
        }
    }
}
