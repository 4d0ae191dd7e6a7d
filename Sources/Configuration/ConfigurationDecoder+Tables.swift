import Base
import Settings

/// Decodes the tables that may appear several times.
extension ConfigurationDecoder {
    mutating func applyEndpoints(
        _ section: TOMLNode.Entry, _ keys: [SchemaKey<Settings.Endpoint>], from file: String
    ) {
        if case .array(let elements) = section.node.value, elements.isEmpty {
            let message = "endpoint: the array is empty; leave it out for the default, or give an [[endpoint]]"
            report(message, at: section.node.position, in: file)
            return
        }
        let blank = Settings.Endpoint(path: "")
        if let endpoints = tables(section, keys, blank, required: [("path", "\"/ws\"")], from: file) {
            adjust(\.endpoints, to: endpoints)
        }
    }

    mutating func applyConsumers(
        _ section: TOMLNode.Entry, _ keys: [SchemaKey<Settings.Consume>], from file: String
    ) {
        let required = [("source", "\"redis-stream\""), ("stream", "\"orders\"")]
        if let consumers = tables(section, keys, Settings.Consume(stream: ""), required: required, from: file) {
            adjust(\.consumers, to: consumers)
        }
    }

    /// The tables of an array, which replaces the earlier one entirely, like every array; nil for anything else.
    ///
    /// - Parameter required: the keys that each table has to have, with an example of the value.
    private mutating func tables<Root>(
        _ section: TOMLNode.Entry, _ keys: [SchemaKey<Root>], _ blank: Root, required: [(key: String, example: String)],
        from file: String
    ) -> [Root]? {
        let name = section.key
        guard case .array(let elements) = section.node.value else {
            let way =
                if case .table = section.node.value { "there can be several" } else { "each is a table" }
            report("\(name): \(way), so write [[\(name)]] above its keys", at: section.keyPosition, in: file)
            return nil
        }
        forget { $0.hasPrefix("\(name)[") }
        var tables: [Root] = []
        for (index, element) in elements.enumerated() {
            // For what is no table, a placeholder, so that the indexes of the others remain those in the file.
            var table = blank
            defer { tables.append(table) }
            guard case .table(let entries) = element.value else {
                let need = required.map { "a \($0.key)" }.joined(separator: " and ")
                report(
                    "\(name): got \(element.description); each is a table with \(need)", at: element.position, in: file)
                continue
            }
            for entry in entries {
                guard let key = keys.first(where: { $0.name == entry.key }) else {
                    report(UnknownName.key(entry.key, in: name), at: entry.keyPosition, in: file)
                    continue
                }
                decode(
                    entry, by: key, in: name, defaults: blank, into: &table, from: file, as: "\(name)[\(index)]")
            }
            for (key, example) in required where !entries.contains(where: { $0.key == key }) {
                let message = "\(name): it has no \(key); give one, such as \(key) = \(example)"
                report(message, at: element.position, in: file)
            }
            note("\(name)[\(index)]", at: element.position, in: file)
        }
        return tables
    }

    /// Applies the settings of channels: a known pattern keeps its place, a new one is appended.
    mutating func applyChannels(
        _ section: TOMLNode.Entry, _ keys: [SchemaKey<Settings.Channel>], from file: String
    ) {
        let way = "it holds a table for each pattern, which begins with [channels.\"PATTERN\"]"
        guard case .table(let patterns) = section.node.value else {
            report("channels: got \(section.node.description); \(way)", at: section.keyPosition, in: file)
            return
        }
        for pattern in patterns {
            guard case .table(let entries) = pattern.node.value else {
                report(
                    "channels: \(quoted(pattern.key)) is \(pattern.node.description); \(way)", at: pattern.keyPosition,
                    in: file)
                continue
            }
            do throws(InvalidValue) {
                try ChannelName.checkPattern(pattern.key)
            } catch {
                report("channels: \(error)", at: pattern.keyPosition, in: file)
                continue
            }
            let path = "channels.\(quoted(pattern.key))"
            let defaults = Settings.Channel(pattern: pattern.key)
            var channels = configuration.channels
            // By bytes, as names are matched; == treats composed and decomposed letters with accents as the same.
            let known = channels.firstIndex { $0.pattern.utf8.elementsEqual(pattern.key.utf8) }
            let place = known ?? channels.count
            if known == nil {
                checkReach(of: pattern, from: file)
                channels.append(defaults)
                note(path, at: pattern.keyPosition, in: file)
            }
            for entry in entries {
                if let key = keys.first(where: { $0.name == entry.key }) {
                    decode(
                        entry, by: key, in: "channels", defaults: defaults, into: &channels[place], from: file, as: path
                    )
                } else if entry.node.isTable {
                    let message =
                        "channels: a pattern with a dot in it stands in quotes, "
                        + "as in [channels.\(quoted("\(pattern.key).\(entry.key)"))]"
                    report(message, at: entry.keyPosition, in: file)
                } else {
                    report(UnknownName.key(entry.key, in: "channels"), at: entry.keyPosition, in: file)
                }
            }
            adjust(\.channels, to: channels)
        }
    }

    /// Reports a new pattern that could never match, because it comes after "*".
    private mutating func checkReach(of pattern: TOMLNode.Entry, from file: String) {
        guard configuration.channels.contains(where: { $0.pattern == "*" }) else { return }
        let place = origins["channels.\"*\""].map { " (\($0))" } ?? ""
        let message =
            "channels: no channel is left for \(quoted(pattern.key)) behind \"*\"\(place); "
            + "the first that matches holds, so put it before that"
        report(message, at: pattern.keyPosition, in: file)
    }
}
