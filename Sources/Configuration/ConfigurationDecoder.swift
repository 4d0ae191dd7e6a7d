import Settings

/// Applies texts to the defaults one after the other, and collects all their errors.
struct ConfigurationDecoder {
    private(set) var configuration = Settings()
    /// The origins by path, such as "server.listen", "endpoint[0].path" or "channels.\"room:*\".history"; a missing
    /// path means a default.
    private(set) var origins: [String: ConfigurationOrigin] = [:]
    private(set) var errors: [ConfigurationError] = []
    /// The keys whose last value was invalid, so that the intended value is unknown.
    private(set) var unclear: Set<String> = []
    /// Whether a file could not be read at all.
    private(set) var isIncomplete = false

    init() {}

    /// Starts from a loaded configuration.
    init(_ loaded: LoadedConfiguration) {
        configuration = loaded.configuration
        origins = loaded.origins
    }

    /// Applies one file.
    mutating func apply(_ bytes: [UInt8], from file: String) {
        let entries: [TOMLNode.Entry]
        do throws(TOMLDocument.SyntaxError) {
            entries = try TOMLDocument.parse(bytes)
        } catch {
            isIncomplete = true
            let told = UnquotedValue.error(in: bytes, error) ?? error
            report(told.message, at: told.position, in: file)
            return
        }
        for entry in entries {
            guard let section = Schema.sections.first(where: { $0.name == entry.key }) else {
                report(UnknownName.outermost(entry), at: entry.keyPosition, in: file)
                continue
            }
            switch section {
            case .table(let name, let keys): apply(entry, to: name, keys, from: file)
            case .endpoints(let keys): applyEndpoints(entry, keys, from: file)
            case .consumers(let keys): applyConsumers(entry, keys, from: file)
            case .channels(let keys): applyChannels(entry, keys, from: file)
            }
        }
    }

    /// Sets a key from an option of the command line.
    mutating func override<Value>(
        _ path: String, _ property: WritableKeyPath<Settings, Value>, with value: Value
    ) {
        configuration[keyPath: property] = value
        origins[path] = .commandLine
        unclear.remove(path)
    }

    /// Notes that an administrator has set a key.
    mutating func noteSet(_ path: String) { origins[path] = .administrator }

    /// Changes a value that was not set; it still counts as a default.
    mutating func adjust<Value>(_ property: WritableKeyPath<Settings, Value>, to value: Value) {
        configuration[keyPath: property] = value
    }

    /// Records the position of something that is identified by a path.
    mutating func note(_ path: String, at position: SourcePosition, in file: String) {
        origins[path] = .file(path: file, line: position.line, column: position.column)
    }

    /// Removes the origins of values that no longer exist.
    mutating func forget(_ isGone: (String) -> Bool) {
        origins = origins.filter { !isGone($0.key) }
        unclear = unclear.filter { !isGone($0) }
    }

    /// Records a file or directory that could not be read.
    mutating func reportUnreadable(_ file: String, _ reason: String) {
        isIncomplete = true
        report(reason, in: file)
    }

    /// Adds an error without a position in a file.
    mutating func report(_ message: String, in file: String) {
        errors.append(ConfigurationError(file: file, message: message))
    }

    /// Adds an error at a position in a file.
    mutating func report(_ message: String, at position: SourcePosition, in file: String) {
        errors.append(ConfigurationError(file: file, position: position, message: message))
    }

    /// Adds an error about values that are valid on their own, at the place of the first that is not a default. Adds
    /// none if one of them is unclear, because that has an error of its own.
    mutating func report(_ message: String, about paths: [String]) {
        guard unclear.isDisjoint(with: paths) else { return }
        for path in paths {
            switch origins[path] {
            case .file(let file, let line, let column)?:
                report(message, at: SourcePosition(line: line, column: column), in: file)
                return
            case .commandLine?, .administrator?:
                report(message, in: origins[path]!.description)
                return
            case .builtIn?, nil: continue
            }
        }
        assertionFailure("the defaults agree with each other")
    }

    private mutating func apply(
        _ section: TOMLNode.Entry, to name: String, _ keys: [SchemaKey<Settings>], from file: String
    ) {
        guard case .table(let entries) = section.node.value else {
            let message = "\(name): got \(section.node.description); it is a table, which begins with [\(name)]"
            report(message, at: section.keyPosition, in: file)
            return
        }
        for entry in entries {
            guard let key = keys.first(where: { $0.name == entry.key }) else {
                let message = UnknownName.key(entry.key, in: name)
                report(message, at: entry.keyPosition, in: file)
                continue
            }
            var changed = configuration
            decode(entry, by: key, in: name, defaults: Settings(), into: &changed, from: file, as: name)
            configuration = changed
        }
    }

    mutating func decode<Root>(
        _ entry: TOMLNode.Entry, by key: SchemaKey<Root>, in section: String, defaults: Root, into root: inout Root,
        from file: String, as prefix: String
    ) {
        let problems = key.decode(entry.node, key.described(section, defaults), &root)
        for problem in problems {
            report(problem.message, at: problem.position, in: file)
        }
        let path = "\(prefix).\(key.name)"
        if problems.isEmpty { unclear.remove(path) } else { unclear.insert(path) }
        note(path, at: entry.keyPosition, in: file)
    }
}
