import Settings

/// A key whose value differs in another configuration.
package struct ConfigurationChange: Sendable, Hashable {
    /// The key as named in errors, such as "limits.channels" or "channels.\"room:*\".history".
    package let key: String
    /// The event after which the change takes effect.
    package let change: ConfigurationKey.Change
}

extension LoadedConfiguration {
    /// The differences from `other`, in the order of the manual. A table that exists in only one of them counts as one
    /// key.
    package func changes(from other: LoadedConfiguration) -> [ConfigurationChange] {
        Schema.sections.flatMap { section in
            switch section {
            case .table(let name, let keys):
                Self.changes(keys, section.keys, configuration, other.configuration, named: name)
            case .endpoints(let keys):
                Self.changes(
                    keys, section.keys, configuration.endpoints, other.configuration.endpoints, change: .live
                ) { index, _ in "endpoint[\(index)]" }
            case .consumers(let keys):
                Self.changes(
                    keys, section.keys, configuration.consumers, other.configuration.consumers, change: .restart
                ) { index, _ in "consume[\(index)]" }
            case .channels(let keys):
                Self.changes(
                    keys, section.keys, configuration.channels, other.configuration.channels, change: .live
                ) { _, channel in "channels.\(quoted(channel.pattern))" }
            }
        }
    }

    private static func changes<Root>(
        _ keys: [SchemaKey<Root>], _ described: [ConfigurationKey], _ new: Root, _ old: Root, named prefix: String
    ) -> [ConfigurationChange] {
        zip(keys, described).filter { key, _ in key.text(new) != key.text(old) }
            .map { ConfigurationChange(key: "\(prefix).\($0.name)", change: $1.change) }
    }

    /// Compares tables whose order matters: the same name at another place is a different table.
    private static func changes<Root>(
        _ keys: [SchemaKey<Root>], _ described: [ConfigurationKey], _ new: [Root], _ old: [Root],
        change: ConfigurationKey.Change, name: (Int, Root) -> String
    ) -> [ConfigurationChange] {
        (0..<max(new.count, old.count)).flatMap { index -> [ConfigurationChange] in
            guard index < new.count else { return [ConfigurationChange(key: name(index, old[index]), change: change)] }
            let newName = name(index, new[index])
            guard index < old.count, name(index, old[index]) == newName else {
                return [ConfigurationChange(key: newName, change: change)]
            }
            return changes(keys, described, new[index], old[index], named: newName)
        }
    }
}
