import Settings

/// A key with its value, as an administrator sees it.
package struct EffectiveSetting: Sendable, Hashable {
    /// The key as named in errors, such as "limits.channels".
    package let key: String
    /// The value as TOML.
    package let value: String
    /// The origin of the value.
    package let origin: ConfigurationOrigin
    /// The event after which a change of the value takes effect.
    package let change: ConfigurationKey.Change
}

extension LoadedConfiguration {
    /// Every key with its effective value, in the order of the manual. Of a secret, only the fact that it is set is
    /// shown.
    package var settings: [EffectiveSetting] {
        Schema.sections.flatMap { section in
            switch section {
            case .table(let name, let keys):
                settings(keys, section.keys, of: configuration, named: name)
            case .endpoints(let keys):
                configuration.endpoints.enumerated().flatMap { index, endpoint in
                    settings(keys, section.keys, of: endpoint, named: "endpoint[\(index)]")
                }
            case .consumers(let keys):
                configuration.consumers.enumerated().flatMap { index, consumer in
                    settings(keys, section.keys, of: consumer, named: "consume[\(index)]")
                }
            case .channels(let keys):
                configuration.channels.flatMap { channel in
                    settings(keys, section.keys, of: channel, named: "channels.\(quoted(channel.pattern))")
                }
            }
        }
    }

    private func settings<Root>(
        _ keys: [SchemaKey<Root>], _ described: [ConfigurationKey], of root: Root, named prefix: String
    ) -> [EffectiveSetting] {
        zip(keys, described).map { key, described in
            let value = key.text(root)
            let path = "\(prefix).\(key.name)"
            return EffectiveSetting(
                key: path, value: described.hides(value) ? "(secret)" : value,
                origin: origin(of: path), change: described.change)
        }
    }

    /// The tables whose keys can be set while the daemon runs.
    private static let settableTables: Set = ["server", "websocket", "queue", "limits", "drain", "log"]

    /// The configuration after an administrator has set some keys while the daemon runs.
    ///
    /// - Parameter values: the values by key, such as "limits.channels"; TOML, or text without the quotes.
    /// - Throws: every error in the values.
    package func setting(_ values: [String: String]) throws(ConfigurationErrors) -> LoadedConfiguration {
        var decoder = ConfigurationDecoder(self)
        let source = ConfigurationOrigin.administrator.description
        for (path, text) in values.sorted(by: { $0.key < $1.key }) {
            let parts = path.split(separator: ".", maxSplits: 1).map(String.init)
            guard let key = ConfigurationKey.all.first(where: { $0.path == path }), parts.count == 2 else {
                let message = "\(path): no key that can be set; \"wsctl config\" lists all, see wsd.toml(5)"
                decoder.report(message, in: source)
                continue
            }
            guard key.change != .live || Self.settableTables.contains(parts[0]) else {
                let message = "\(path): is not set this way; change it in the file, and then \"wsctl reload\""
                decoder.report(message, in: source)
                continue
            }
            guard key.change == .live else {
                decoder.report("\(path): takes effect at a restart only; change it in the file", in: source)
                continue
            }
            let before = decoder.errors.count
            decoder.apply(Array("[\(parts[0])]\n\(parts[1]) = \(Self.toml(text))\n".utf8), from: source)
            if decoder.errors.count == before { decoder.noteSet(path) }
        }
        decoder.checkAgreement()
        guard decoder.errors.isEmpty else { throw ConfigurationErrors(errors: decoder.errors.map(\.withoutPosition)) }
        return LoadedConfiguration(
            configuration: decoder.configuration, files: files, origins: decoder.origins)
    }

    /// Turns typed text into a TOML value: numbers, booleans, arrays and quoted text stay, everything else is put in
    /// quotes.
    private static func toml(_ text: String) -> String {
        let isPlain = text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }
        let isNumber = !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == 0x5F || $0 == 0x2D }
        let isList = text.hasPrefix("[") && text.hasSuffix("]")
        let isQuoted = text.utf8.count > 1 && text.hasPrefix("\"") && text.hasSuffix("\"")
        return isPlain && (isNumber || isList || isQuoted || text == "true" || text == "false") ? text : quoted(text)
    }
}
