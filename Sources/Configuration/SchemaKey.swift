import Settings

/// One key of a table: its name, the property that it sets, and the format of its value.
struct SchemaKey<Root: Sendable>: Sendable {
    let name: String
    /// The description of the key, given its table and a value with the defaults (nil if there is none).
    let described: @Sendable (_ section: String, _ defaults: Root?) -> ConfigurationKey
    /// Sets the property from TOML, or returns problems.
    let decode: @Sendable (TOMLNode, ConfigurationKey, inout Root) -> [(position: SourcePosition, message: String)]
    /// The property as TOML.
    let text: @Sendable (Root) -> String

    /// - Parameters:
    ///   - example: a value for error messages; nil for the default.
    ///   - required: whether the key has no default.
    init<Value: Sendable>(
        _ name: String, _ property: any WritableKeyPath<Root, Value> & Sendable, _ format: ValueFormat<Value>,
        _ change: ConfigurationKey.Change, isSecret: Bool = false, required: Bool = false, example: String? = nil,
        _ meaning: String
    ) {
        self.name = name
        described = { section, defaults in
            ConfigurationKey(
                section: section, name: name, type: format.type, range: format.range, choices: format.choices,
                defaultText: required ? nil : defaults.map { format.text($0[keyPath: property]) },
                change: change, isSecret: isSecret, meaning: meaning)
        }
        decode = { node, key, root in
            var decoding = ValueDecoding(key: key, example: example ?? key.defaultText ?? "")
            if let value = format.decode(node, &decoding), decoding.problems.isEmpty {
                root[keyPath: property] = value
            }
            return decoding.problems
        }
        text = { format.text($0[keyPath: property]) }
    }
}

/// One table of the file.
enum SchemaSection: Sendable {
    /// `[name]`.
    case table(String, [SchemaKey<Settings>])
    /// `[[endpoint]]`, an array of tables.
    case endpoints([SchemaKey<Settings.Endpoint>])
    /// `[[consume]]`, another.
    case consumers([SchemaKey<Settings.Consume>])
    /// `[channels."PATTERN"]`, the one table of tables.
    case channels([SchemaKey<Settings.Channel>])

    /// The name of the table in the file.
    var name: String {
        switch self {
        case .table(let name, _): name
        case .endpoints: "endpoint"
        case .consumers: "consume"
        case .channels: "channels"
        }
    }

    /// The heading of the table.
    var heading: String {
        switch self {
        case .table(let name, _): "[\(name)]"
        case .endpoints, .consumers: "[[\(name)]]"
        case .channels: "[\(name).\"PATTERN\"]"
        }
    }

    /// The descriptions of its keys.
    var keys: [ConfigurationKey] {
        switch self {
        case .table(_, let keys): keys.map { $0.described(name, Settings()) }
        case .endpoints(let keys): keys.map { $0.described(name, Settings.Endpoint(path: "/ws")) }
        case .consumers(let keys): keys.map { $0.described(name, Settings.Consume(stream: "")) }
        case .channels(let keys): keys.map { $0.described(name, Settings.Channel(pattern: "*")) }
        }
    }
}
