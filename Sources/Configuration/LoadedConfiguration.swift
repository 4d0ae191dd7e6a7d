package import Settings

/// A configuration with the origins of its values.
package struct LoadedConfiguration: Sendable {
    /// The effective values.
    package let configuration: Settings
    /// The files that were read, in the order in which they were applied.
    package let files: [String]
    let origins: [String: ConfigurationOrigin]

    init(configuration: Settings, files: [String], origins: [String: ConfigurationOrigin]) {
        self.configuration = configuration
        self.files = files
        self.origins = origins
    }

    /// The origin of a key's value. The key is named "server.listen", "endpoint[0].path" in the array, and
    /// "channels.\"room:*\".history" in the table of a pattern; "channels.\"room:*\"" is the place where that pattern
    /// first appears.
    package func origin(of path: String) -> ConfigurationOrigin {
        origins[path] ?? .builtIn
    }

    /// Adds the origin to an error about the value of a key, which has the form `KEY = "VALUE": reason`.
    package func located(_ text: String) -> String {
        let key = text.prefix { $0 != " " && $0 != "[" }
        switch origin(of: String(key)) {
        case .builtIn: return text
        case .file(let path, let line, let column): return "\(path):\(line):\(column): \(text)"
        case let place: return "\(place): \(text)"
        }
    }

    /// Whether `server.max_connections_per_ip` exempts loopback: the default does, because proxies and tools on this
    /// machine come from there; a value that was set holds for every address.
    package var exemptsLoopback: Bool { origin(of: "server.max_connections_per_ip") == .builtIn }

    /// Whether the configuration explicitly says who may connect, even if that is everybody.
    package var saysWhoMayConnect: Bool {
        origin(of: "auth.mode") != .builtIn || origin(of: "server.allowed_origins") != .builtIn
    }

    /// All effective values as TOML that can be read again, each with a comment that gives its origin. Of a secret,
    /// only the fact that it is set is printed.
    package var printed: String {
        Schema.sections.map { section in
            switch section {
            case .table(let name, let keys):
                printed("[\(name)]", keys, section.keys, of: configuration, from: name)
            case .endpoints(let keys):
                configuration.endpoints.enumerated().map { index, endpoint in
                    printed("[[endpoint]]", keys, section.keys, of: endpoint, from: "endpoint[\(index)]")
                }.joined(separator: "\n")
            case .consumers(let keys):
                configuration.consumers.enumerated().map { index, consumer in
                    printed("[[consume]]", keys, section.keys, of: consumer, from: "consume[\(index)]")
                }.joined(separator: "\n")
            case .channels(let keys):
                configuration.channels.map { channel in
                    let name = "channels.\(quoted(channel.pattern))"
                    return printed("[\(name)]", keys, section.keys, of: channel, from: name)
                }.joined(separator: "\n")
            }
        }.filter { !$0.isEmpty }.joined(separator: "\n")
    }

    private func printed<Root>(
        _ heading: String, _ keys: [SchemaKey<Root>], _ described: [ConfigurationKey], of root: Root,
        from prefix: String
    ) -> String {
        let lines = zip(keys, described).map { key, described in
            let value = key.text(root)
            // A substitute value would be taken for the secret if the text were read again; a comment is not.
            let isHidden = described.hides(value)
            let setting = isHidden ? "# \(key.name) is set, and secret" : "\(key.name) = \(value)"
            return (setting, comment(on: "\(prefix).\(key.name)"))
        }
        // The comments are aligned, except behind a long value.
        let width = min(lines.map(\.0.count).max() ?? 0, 48)
        return "\(heading)\n"
            + lines.map { setting, comment in
                setting + String(repeating: " ", count: max(0, width - setting.count)) + "  # \(comment)\n"
            }.joined()
    }

    /// A path may contain any character but NUL, including a newline, which would end the comment.
    private func comment(on path: String) -> String {
        let text = origin(of: path).description
        let shown = quoted(text)
        return shown.dropFirst().dropLast() == text ? text : shown
    }
}
